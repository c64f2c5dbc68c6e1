import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

interface LockedPackage {
  readonly version?: string
  readonly integrity?: string
  readonly resolved?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly os?: readonly string[]
  readonly cpu?: readonly string[]
}

const text = readFileSync(join(root, 'package-lock.json'), 'utf8')
const { packages } = JSON.parse(text) as { packages: Readonly<Record<string, LockedPackage>> }
const locked = Object.entries(packages).filter(([path]) => path !== '')

/** Returns where Node.js finds a package from the directory of another, in the lock file. */
function find(name: string, from: string): string | undefined {
  const path = from === '' ? `node_modules/${name}` : `${from}/node_modules/${name}`
  if (path in packages) return path
  if (from === '') return undefined
  const parent = from.slice(0, Math.max(from.lastIndexOf('/node_modules/'), 0))
  return find(name, parent)
}

describe('package-lock.json', () => {
  // npm leaves them out if it writes the file next to a node_modules of one platform. To add them, delete node_modules and
  // the file, and run `npm install --package-lock-only`.
  it('has the optional packages of every platform', () => {
    const wanted = locked.flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).map((name) => ({ name, path })),
    )

    expect(wanted.length).toBeGreaterThan(100)
    expect(wanted.filter(({ name, path }) => find(name, path) === undefined)).toEqual([])
  })

  it.each(
    ['linux', 'darwin', 'win32'].flatMap((os) => ['x64', 'arm64'].map((cpu) => [os, cpu] as const)),
  )('has the compiled parts of the tools for %s on %s', (os, cpu) => {
    const names = locked
      .filter(([, each]) => each.os?.includes(os) === true && each.cpu?.includes(cpu) === true)
      .map(([path]) => path)
      .join('\n')

    for (const tool of ['rolldown', 'oxlint', 'oxlint-tsgolint', 'typescript', 'lightningcss'])
      expect(names).toContain(tool)
  })

  it('has a version and an integrity hash for each package, and no address of a registry', () => {
    const incomplete = locked.filter(
      ([, { version, integrity }]) =>
        version === undefined || integrity?.startsWith('sha512-') !== true,
    )

    expect(locked.length).toBeGreaterThan(300)
    expect(incomplete).toEqual([])
    expect(locked.filter(([, { resolved }]) => resolved !== undefined)).toEqual([])
    expect(text).not.toMatch(/registry\.|\.tgz/)
  })

  it.each([
    ['linux', 'arm64'],
    ['darwin', 'arm64'],
    ['win32', 'x64'],
  ])(
    'is complete for npm ci on %s on %s',
    async (os, cpu) => {
      const directory = mkdtempSync(join(tmpdir(), 'berth-npm-ci-'))
      onTestFinished(() => rmSync(directory, { recursive: true }))
      for (const file of ['package.json', 'package-lock.json', '.npmrc'])
        cpSync(join(root, file), join(directory, file))
      const platform = ['--os', os, '--cpu', cpu]
      const offline = ['--offline', '--cache', join(directory, 'cache')]
      const { stdout } = await promisify(execFile)(
        'npm',
        ['ci', '--dry-run', '--ignore-scripts', '--no-audit', ...platform, ...offline],
        { cwd: directory },
      )

      expect(stdout).toMatch(/^add @rolldown\/binding-/m)
      expect(stdout).toContain(`${os}-${cpu}`)
    },
    120_000,
  )
})
