import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const source = fileURLToPath(new URL('../src', import.meta.url))

/** Which rooms a room may import from; ARCHITECTURE.md says the same in words. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  reference: [],
  fallback: ['reference'],
  pod: ['reference'],
  resolve: ['reference', 'fallback'],
  credentials: [],
  diagnose: ['reference', 'pod', 'credentials'],
  registry: ['reference', 'resolve', 'credentials'],
  lock: ['reference', 'fallback'],
  manifests: ['reference', 'pod', 'admission', 'resolve'],
  propagation: ['reference', 'credentials'],
  config: ['reference', 'fallback', 'registry', 'credentials', 'lock', 'propagation'],
  admission: ['reference', 'pod', 'fallback', 'resolve'],
  mirror: ['reference', 'fallback', 'pod', 'resolve', 'registry', 'admission'],
  telemetry: ['pod', 'admission', 'resolve'],
  server: ['pod', 'admission', 'resolve', 'telemetry'],
  kube: ['admission', 'telemetry'],
  nodes: ['reference', 'fallback', 'registry', 'config'],
  controller: [
    'reference',
    'fallback',
    'pod',
    'registry',
    'mirror',
    'credentials',
    'propagation',
    'diagnose',
    'kube',
    'config',
    'server',
    'telemetry',
  ],
  commands: [
    'reference',
    'fallback',
    'pod',
    'resolve',
    'credentials',
    'propagation',
    'registry',
    'config',
    'lock',
    'manifests',
    'admission',
    'mirror',
    'telemetry',
    'server',
    'kube',
    'controller',
    'nodes',
    'diagnose',
  ],
}

/** The rooms that do no input or output. */
const pure = ['reference', 'fallback', 'pod', 'diagnose']

/** Packages that one file, or one room, may import. */
const owners: Readonly<Record<string, RegExp>> = {
  minimatch: /^fallback\/glob\.ts$/,
  'fast-json-patch': /^pod\/patch\.ts$/,
  '@kubernetes/client-node': /^kube\//,
  '@aws-sdk/client-ecr': /^credentials\/aws\.ts$/,
  '@aws-sdk/client-sts': /^credentials\/aws\.ts$/,
  selfsigned: /^server\/tls\.ts$/,
  zod: /^config\/schema\.ts$/,
  'cli-progress': /^mirror\/progress\.ts$/,
  'prom-client': /^telemetry\//,
  pino: /^telemetry\//,
  'smol-toml': /^nodes\//,
  semver: /^(?:mirror\/select-tags\.ts$|config\/mirror\.ts$|nodes\/)/,
}

interface Import {
  readonly file: string
  readonly target: string
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(source, file), 'utf8')
  return [...text.matchAll(/(?:from|import\() ?'([^']+)'/g)].map(([, target = '']) => ({
    file,
    target,
  }))
}

const files = globSync('**/*.ts', { cwd: source })
const imports = files.flatMap(importsOf)
const roomOf = (file: string) => file.split('/', 1)[0] ?? ''

/** The file of `src` that an import leads to; null for a package. */
function insideSource({ file, target }: Import): string | null {
  return target.startsWith('.') ? relative(source, join(source, dirname(file), target)) : null
}

describe('imports', () => {
  it('are found at all', () => {
    expect(imports.length).toBeGreaterThan(100)
  })

  it('point along the arrows', () => {
    const wrong = imports.filter((each) => {
      const to = insideSource(each)
      const from = roomOf(each.file)
      if (to === null || to === 'errors.ts' || each.file === 'main.ts' || roomOf(to) === from)
        return false
      return !(arrows[from] ?? []).includes(roomOf(to))
    })

    expect(wrong).toEqual([])
  })

  it('of main.ts lead to the commands alone', () => {
    const targets = imports.filter(({ file }) => file === 'main.ts').map(({ target }) => target)

    expect(targets).toEqual(['./commands/run.ts'])
  })

  it('of the pure rooms lead to no module of Node.js', () => {
    expect(
      imports.filter(
        ({ file, target }) => pure.includes(roomOf(file)) && target.startsWith('node:'),
      ),
    ).toEqual([])
  })

  it.each(Object.entries(owners))('of %s stay where they belong', (name, owner) => {
    const users = imports.filter(({ target }) => target === name).map(({ file }) => file)

    expect(users.length).toBeGreaterThan(0)
    expect(users.filter((file) => !owner.test(file))).toEqual([])
  })
})

describe('the process', () => {
  it('is touched by main.ts alone', () => {
    const users = files.filter((file) =>
      /\bprocess\.(?:argv|exit|exitCode|env|stdout|stderr|stdin|on)\b/.test(
        readFileSync(join(source, file), 'utf8'),
      ),
    )

    expect(users).toEqual(['main.ts'])
  })
})

const byText = (a = '', b = '') => (a < b ? -1 : 1)

describe('ARCHITECTURE.md', () => {
  const text = readFileSync(new URL('../ARCHITECTURE.md', import.meta.url), 'utf8')

  it('names every room once, and what it may import', () => {
    const rows = [...text.matchAll(/^\| `src\/([a-z]+)` \| .* \| (.*) \|$/gm)].map(
      ([, room = '', rooms = '']) =>
        [room, rooms.split(/, | and /).filter((each) => /^[a-z]+$/.test(each))] as const,
    )
    const everythingAbove = rows.map(([room]) => room).filter((room) => room !== 'commands')

    expect(rows.map(([room]) => room).toSorted(byText)).toEqual(
      Object.keys(arrows).toSorted(byText),
    )
    for (const [room, rooms] of rows) {
      const said =
        room === 'commands' ? everythingAbove : rooms.filter((each) => each !== 'nothing')
      expect([room, said.toSorted(byText)]).toEqual([room, (arrows[room] ?? []).toSorted(byText)])
    }
  })

  it('gives a reason for every dependency', () => {
    const { dependencies } = JSON.parse(
      readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
    ) as { dependencies: Record<string, string> }
    const table = [...text.matchAll(/^\| (?!folder)(@?[a-z/-]+) \| [^|]{10,} \|$/gm)].map(
      ([, name]) => name,
    )

    expect(table.toSorted(byText)).toEqual(Object.keys(dependencies).toSorted(byText))
  })
})
