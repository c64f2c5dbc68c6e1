import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { documentedCommands, updateReference } from '../../src/cli/command-reference.ts'
import { pathOf } from '../../src/cli/verb.ts'
import { runConfigTests } from '../../src/config/config-tests.ts'
import { readConfig } from '../../src/config/load.ts'
import { jsonSchema } from '../../src/config/schema.ts'
import { rules } from '../../src/diagnose/rules/table.ts'
import { errorCodes } from '../../src/errors.ts'
import { berth } from '../support/io.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const pages = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...globSync('docs/**/*.md', { cwd: root }),
]

function blocks(file: string, language: string): string[] {
  return [...read(file).matchAll(new RegExp('^```' + language + '\\n([^]*?)^```$', 'gm'))].map(
    ([, body = '']) => body,
  )
}

describe('the configs of the documentation', () => {
  const configs = pages.flatMap((page) =>
    blocks(page, 'yaml')
      .filter((body) => body.includes('kind: BerthConfig'))
      .map((body) => [page, body] as const),
  )

  it('exist', () => {
    expect(configs.map(([page]) => page)).toEqual(
      expect.arrayContaining(['README.md', 'docs/configuration.md']),
    )
  })

  it.each(configs)('are valid and pass their tests: %s', (_, body) => {
    const result = readConfig(body, root)

    expect(result.ok ? [] : result.problems).toEqual([])
    expect(result.ok ? result.config.warnings : []).toEqual([])
    const failures = result.ok ? runConfigTests(result.config).map(({ failure }) => failure) : []
    expect(failures.filter((failure) => failure !== null)).toEqual([])
  })

  it('include, in the README, the example that its commands use, in five lines', () => {
    const [config = ''] = blocks('README.md', 'yaml').filter((body) => body.includes('BerthConfig'))
    const example = read('webhook-config/examples/docker-hub.yaml')

    expect(example.replaceAll(/^#.*\n/gm, '')).toBe(config)
    expect(config.trim().split('\n')).toHaveLength(5)
  })

  it('parse, and so do all other YAML and JSON blocks', () => {
    const bodies = pages.flatMap((page) => [...blocks(page, 'yaml'), ...blocks(page, 'json')])

    for (const body of bodies) expect(parse(body)).toBeDefined()
  })
})

describe('commands and paths in the documentation', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const path =
    /(?<![\w./~:-])(?:bench|bin|deploy|docs|e2e|src|test|tools|webhook-config)\/[\w./-]+\.\w+/g

  it.each(pages)('exist: %s', (page) => {
    const text = read(page)
    const names = [...text.matchAll(/npm run ([\w:-]+)/g)].map(([, name = '']) => name)

    expect(names.filter((name) => !(name in scripts))).toEqual([])
    expect((text.match(path) ?? []).filter((file) => !existsSync(join(root, file)))).toEqual([])
  })
})

describe('README.md', () => {
  it('shows what its command prints', async () => {
    const [, command = '', output = ''] =
      /^```console\n\$ npx berth (.+)\n([^]*?)^```$/m.exec(read('README.md')) ?? []
    const args = command
      .split(' ')
      .map((word) => (word.startsWith('webhook-config/') ? join(root, word) : word))

    expect((await berth(args)).stdout.trim()).toBe(output.trim())
  })
})

describe('docs/configuration.md', () => {
  it('has a row or a heading for every key', () => {
    const text = read('docs/configuration.md')
    const keys = new Set<string>()
    JSON.stringify(jsonSchema(), (key, value: unknown) => {
      if (key === 'properties' && typeof value === 'object' && value !== null)
        for (const name of Object.keys(value)) keys.add(name)
      return value
    })
    const shown = (key: string) =>
      text.includes(`\`${key}\``) || text.includes(`## ${key}\n`) || text.includes(`{ ${key}: `)

    expect(keys.size).toBeGreaterThan(20)
    expect(
      [...keys].filter((key) => !shown(key) && key !== 'apiVersion' && key !== 'kind'),
    ).toEqual([])
  })
})

describe('docs/errors.md', () => {
  it('has exactly one row for every code', () => {
    const rows = [...read('docs/errors.md').matchAll(/^\| `([a-z-]+)` \| ([0-9]) \|/gm)].map(
      ([, code]) => code,
    )

    expect(new Set(rows)).toEqual(new Set(errorCodes))
  })
})

describe('docs/diagnose.md', () => {
  it('has a row for every rule, with the texts of the rule table', () => {
    const rows = [...read('docs/diagnose.md').matchAll(/^\| (D[0-9]+ \| .*) \|$/gm)].map(
      ([, row]) => row,
    )

    expect(new Set(rows)).toEqual(
      new Set(
        rules.map(({ id, cause, certainty, means, fix }) =>
          [id, `\`${cause}\``, certainty, means, fix].join(' | '),
        ),
      ),
    )
  })
})

describe('docs/cli.md', () => {
  const page = read('docs/cli.md')

  it('has a generated block for every command', async () => {
    const documented = [...page.matchAll(/^<!-- generated: (berth[a-z ]+) -->$/gm)].map(
      ([, path]) => path,
    )

    const commands = await documentedCommands()

    expect(documented).toEqual(commands.map((command) => pathOf(command)))
  })

  it('has the synopses and options that --help shows; npm run docs:cli updates them', async () => {
    expect(page).toBe(await updateReference(page))
  })
})

describe('docs/walkthrough.md', () => {
  it('has nine steps, each with a link to a file', () => {
    const steps = read('docs/walkthrough.md')
      .split(/^\d+\. /m)
      .slice(1)

    expect(steps).toHaveLength(9)
    expect(steps.filter((step) => !/\]\(\.\.\//.test(step))).toEqual([])
  })
})
