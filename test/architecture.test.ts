import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const source = fileURLToPath(new URL('../src', import.meta.url))

/** The folders from top to bottom: an import may only lead further down. The longest prefix of a path decides. */
const layers = [
  'cli',
  'webhook',
  'webhook/server',
  'webhook/certificate',
  'webhook/admission',
  'controller',
  'console/page',
  'console/server',
  'console',
  'engine',
  'report',
  'explain',
  'uninstall',
  'install',
  'init',
  'diagnose',
  'mirror',
  'nodes',
  'policies',
  'manifests',
  'pull-secrets',
  'config',
  'registry/probe',
  'registry/layout',
  'registry/images',
  'registry/blobs',
  'registry/manifests',
  'registry',
  'registry/auth',
  'registry/http',
  'aws',
  'kube',
  'signatures',
  'credentials',
  'telemetry',
  'decision/lock',
  'decision/pod',
  'decision/resolve',
  'decision/fallback',
  'decision/reference',
  'decision/platforms',
  'decision/labels',
  'http',
  'proxy',
  'files',
  'yaml',
  'json',
  'text',
  'async',
] as const

/** The rooms that do no input or output. */
const pure = /^(?:decision|diagnose\/rules|yaml|json|text)\//

/** Packages that one file, or one room, may import. */
const owners: Readonly<Record<string, RegExp>> = {
  minimatch: /^decision\/fallback\/glob\.ts$/,
  'fast-json-patch': /^(?:decision\/pod\/patch|json\/json-pointer)\.ts$/,
  '@kubernetes/client-node': /^kube\//,
  '@aws-sdk/client-ecr': /^aws\/sdk\.ts$/,
  '@aws-sdk/client-sts': /^aws\/sdk\.ts$/,
  selfsigned: /^webhook\/certificate\/self-signed\.ts$/,
  zod: /^config\/schema(?:\/[a-z-]+)?\.ts$/,
  commander: /^cli\//,
  'cli-progress': /^cli\/output\/mirror-progress\.ts$/,
  'prom-client': /^telemetry\//,
  pino: /^telemetry\//,
  'smol-toml': /^nodes\//,
  re2js: /^nodes\/read\/go-regexp\.ts$/,
  'tar/header': /^registry\/layout\/tar-entries\.ts$/,
  preact: /^console\/page\//,
  'd3-sankey': /^console\/page\//,
  semver: /^(?:mirror\/select-tags\.ts$|config\/mirror-images\.ts$|nodes\/)/,
}

const byText = (a = '', b = '') => (a < b ? -1 : 1)

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

const files = globSync('**/*.{ts,tsx}', { cwd: source })
const imports = files.flatMap(importsOf)
const layerOf = (file: string): number => {
  const within = layers.filter((layer) => file.startsWith(`${layer}/`))
  const longest = within.toSorted((one, other) => other.length - one.length)[0]
  return longest === undefined ? -1 : layers.indexOf(longest)
}

/** The file of `src` that an import leads to; null for a package. */
function insideSource({ file, target }: Import): string | null {
  return target.startsWith('.') ? relative(source, join(source, dirname(file), target)) : null
}

/** Files that every room may import. */
const forAll = ['errors.ts', 'package-root.ts']

describe('imports', () => {
  it('are found at all', () => {
    expect(imports.length).toBeGreaterThan(100)
  })

  it('lead down the list of folders, types included', () => {
    const wrong = imports.filter((each) => {
      const to = insideSource(each)
      if (to === null || forAll.includes(to) || each.file === 'main.ts') return false
      return layerOf(to) < layerOf(each.file)
    })

    expect(wrong).toEqual([])
  })

  it('come from files that are in one of the folders', () => {
    const elsewhere = files.filter((file) => layerOf(file) === -1)

    expect(elsewhere.toSorted(byText)).toEqual([...forAll, 'main.ts'].toSorted(byText))
  })

  it('of main.ts lead to the command line alone', () => {
    const targets = imports.filter(({ file }) => file === 'main.ts').map(({ target }) => target)

    expect(targets).toEqual(['./cli/run.ts'])
  })

  it('of the pure rooms lead to no module of Node.js', () => {
    expect(
      imports.filter(({ file, target }) => pure.test(file) && target.startsWith('node:')),
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

    expect(users.sort()).toEqual(['main.ts'])
  })
})

describe('ARCHITECTURE.md', () => {
  const text = readFileSync(new URL('../ARCHITECTURE.md', import.meta.url), 'utf8')

  it('lists the folders in the order that imports follow', () => {
    const listed = [...text.matchAll(/^\| `src\/([a-z/-]+)` \|/gm)].map(([, folder]) => folder)

    expect(listed).toEqual([...layers])
  })

  it('gives a reason for every dependency', () => {
    const { dependencies } = JSON.parse(
      readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
    ) as { dependencies: Record<string, string> }
    const table = [...text.matchAll(/^\| (?!folder)(@?[a-z0-9./-]+) \| [^|]{10,} \|$/gm)].map(
      ([, name]) => name,
    )

    expect(table.toSorted(byText)).toEqual(Object.keys(dependencies).toSorted(byText))
  })
})
