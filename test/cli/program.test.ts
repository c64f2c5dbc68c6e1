import { globSync, readFileSync } from 'node:fs'
import { PassThrough, Readable } from 'node:stream'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { createProgram } from '../../src/cli/program.ts'
import { pathOf } from '../../src/cli/verb.ts'
import { errorCodes } from '../../src/errors.ts'
import { targets } from '../../src/nodes/render/targets.ts'
import { berth } from '../support/io.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const io = {
  stdout: new PassThrough(),
  stderr: new PassThrough(),
  stdin: Readable.from([]),
  env: {},
  signal: new AbortController().signal,
}
const program = await createProgram({ io, run: () => Promise.resolve() })

function below(command: Command): Command[] {
  return command.commands.flatMap((each) => [each, ...below(each)])
}

const hidden = ['berth complete', 'berth version']
const verbs = below(program)
  .map((command) => [pathOf(command), command] as const)
  .filter(([path]) => !hidden.includes(path))

describe('every command', () => {
  it.each(verbs)('%s has a summary without a full stop and with an upper-case start', (_, verb) => {
    expect(verb.summary()).toMatch(/^[A-Z].*[^.]$/)
  })

  it.each(verbs)('%s describes each argument and option', (_, verb) => {
    const items = [...verb.options, ...verb.registeredArguments]

    expect(
      items
        .filter((item) => !('hidden' in item && item.hidden))
        .map(({ description }) => description)
        .filter((description) => description.length < 6 || description.endsWith('.')),
    ).toEqual([])
  })

  it.each(verbs)(
    '%s has examples that start with its name, and help within 80 columns',
    async (path) => {
      const { stdout } = await berth([...path.split(' ').slice(1), '--help'])
      const [help = '', examples = ''] = stdout.split('\nExamples:\n')

      expect(examples.split('\n').filter((line) => line.includes(path)).length).toBeGreaterThan(0)
      expect(help.split('\n').filter((line) => line.length > 80)).toEqual([])
    },
  )
})

describe('the list of commands', () => {
  it('has the order of docs/cli.md, and fits into 80 columns', async () => {
    const { stdout } = await berth(['help'])
    const listed = [...stdout.matchAll(/^  ([a-z]+) {2,}[A-Z]/gm)].map(([, verb]) => verb)
    const page = readFileSync(join(root, 'docs/cli.md'), 'utf8')

    expect(listed.filter((verb) => verb !== 'help')).toEqual(
      [...page.matchAll(/^## berth ([a-z]+)$/gm)].map(([, verb]) => verb),
    )
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
  })
})

describe('the choices of --target', () => {
  it('are all targets of node files', () => {
    const render = verbs.find(([path]) => path === 'berth nodes render')?.[1]
    const target = render?.options.find(({ long }) => long === '--target')

    expect(target?.argChoices).toEqual(Object.keys(targets))
  })
})

/** The modules that a file imports when it is loaded: not those that it imports later, and no types. */
function importsOf(file: string, seen = new Set<string>()): Set<string> {
  const text = readFileSync(join(root, file), 'utf8')
  for (const [, clause = '', target = ''] of text.matchAll(
    /^(?:import|export) ((?:[^']*?) )?from '([^']+)'/gms,
  )) {
    const isType = clause.startsWith('type ') || /^\{(?:\s*type [^,}]+,?)+\s*\}/.test(clause)
    if (isType) continue
    const module = target.startsWith('.')
      ? relative(root, join(root, dirname(file), target))
      : target
    if (seen.has(module)) continue
    seen.add(module)
    if (target.startsWith('.')) importsOf(module, seen)
  }
  return seen
}

describe('a start', () => {
  const definitions = globSync('src/cli/commands/*.ts', { cwd: root })
  const modules = [
    ...new Set(['src/main.ts', ...definitions].flatMap((file) => [...importsOf(file)])),
  ]

  it('loads commander and no other package', () => {
    const packages = modules.filter((each) => !each.startsWith('src/') && !each.startsWith('node:'))

    expect(definitions.length).toBeGreaterThan(15)
    expect(packages).toEqual(['commander'])
  })

  it('loads no room but the command line, except for defaults', () => {
    const rooms = modules.filter((each) => /^src\/(?!cli\/|text\/|errors\.ts$)/.test(each))

    expect(rooms.toSorted()).toEqual([
      'src/engine/secrets-directory.ts',
      'src/package-root.ts',
      'src/registry/layout/layout-location.ts',
      'src/webhook/defaults.ts',
    ])
    expect(modules.filter((each) => each.startsWith('src/cli/actions/'))).toEqual([])
  })
})

describe('berth mirror', () => {
  it('loads no parser of YAML, schemas or versions for pairs of images', () => {
    const modules = [...importsOf('src/cli/actions/mirror.ts')]
    const packages = modules.filter((each) => !each.startsWith('src/') && !each.startsWith('node:'))

    expect(packages.toSorted()).toEqual(['lru-cache', 'p-limit', 'undici'])
  })
})

describe('exit codes', () => {
  it('are documented for every error code', () => {
    const page = readFileSync(join(root, 'docs/errors.md'), 'utf8')
    const run = readFileSync(join(root, 'src/cli/run.ts'), 'utf8')
    const documented = [...page.matchAll(/^\| `([a-z-]+)` \| ([0-9]) \|/gm)].map(
      ([, code, exit]) => [code, exit],
    )
    const used = [...run.matchAll(/^  '?([a-z-]+)'?: ([0-9]),$/gm)].map(([, code, exit]) => [
      code,
      exit,
    ])

    expect(new Map(used as [string, string][])).toEqual(new Map(documented as [string, string][]))
    expect(used).toHaveLength(errorCodes.length)
  })
})
