import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { satisfies, subset } from 'semver'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

interface Package {
  readonly version: string
  readonly engines?: { readonly node?: string }
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

const readPackage = (directory: string) =>
  JSON.parse(readFileSync(join(root, directory, 'package.json'), 'utf8')) as Package

describe('package.json', () => {
  const { engines, dependencies, devDependencies } = readPackage('.')
  const supported = engines?.node ?? ''

  it('supports only versions of Node.js that every dependency supports', () => {
    const tooNew = Object.keys(dependencies).filter((name) => {
      const needed = readPackage(`node_modules/${name}`).engines?.node
      return needed !== undefined && !subset(supported, needed)
    })

    expect(tooNew).toEqual([])
  })

  it('brings a Node.js of the major version in .nvmrc', () => {
    const major = readFileSync(join(root, '.nvmrc'), 'utf8').trim()

    expect(devDependencies['node']).toMatch(new RegExp(`^${major}\\.`))
  })

  it('names the oldest version that bin/berth.js accepts', () => {
    const text = readFileSync(join(root, 'bin/berth.js'), 'utf8')
    const [, major, minor] = /major === (\d+) && minor >= (\d+)/.exec(text) ?? []

    expect(supported).toBe(`>=${major}.${minor}.0`)
    expect(satisfies(`${devDependencies['node']}`, supported)).toBe(true)
  })
})

describe('the built package', () => {
  const { version } = readPackage('.')
  const directory = mkdtempSync(join(tmpdir(), 'berth-package-'))
  const build = (out: string) =>
    execFileSync(process.execPath, [join(root, 'tools/build.ts'), join(directory, out)])
  const filesOf = (out: string) =>
    Object.fromEntries(
      globSync('*', { cwd: join(directory, out) }).map((name) => [
        name,
        readFileSync(join(directory, out, name), 'utf8'),
      ]),
    )

  beforeAll(() => {
    build('dist')
    build('again')
    for (const name of [
      'bin',
      'deploy/base',
      'deploy/components',
      'webhook-config',
      'package.json',
    ])
      cpSync(join(root, name), join(directory, name), { recursive: true })
  }, 300_000)

  afterAll(() => rmSync(directory, { recursive: true }))

  const config = join(directory, 'webhook-config/examples/docker-hub.yaml')

  it('runs without node_modules', () => {
    const berth = (...args: string[]) =>
      execFileSync(process.execPath, [join(directory, 'bin/berth.js'), ...args], {
        encoding: 'utf8',
      })

    expect(berth('--version')).toBe(`${version}\n`)
    expect(berth('check', '--config', config)).toMatch(/: [0-9]+ rows?, /)
    expect(berth('install', '--image', 'm.corp/berth:1', '--config', config)).toContain(
      'kind: Deployment',
    )
  })

  it('loads a config in its worker', async () => {
    const worker = new Worker(join(directory, 'dist/config-worker.js'), { workerData: config })

    expect(await once(worker, 'message')).toMatchObject([{ ok: true }])
    await worker.terminate()
  })

  it('has the same bytes each time', () => {
    expect(filesOf('again')).toEqual(filesOf('dist'))
  })

  it('contains the licences of the packages in it', () => {
    const licences = filesOf('dist')['THIRD-PARTY-LICENSES.txt']

    for (const name of ['fastify', 'undici', 'zod', '@aws-sdk/client-ecr'])
      expect(licences).toMatch(new RegExp(`^${name} [0-9].*\\((?:MIT|Apache-2.0)\\)$`, 'm'))
  })
})
