import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
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

  // More code takes longer to load. These are the sizes in November 2026, and a tenth.
  it.each([
    { args: ['--version'], kilobytes: 148 },
    { args: ['explain', 'nginx', '--no-probe', '--config', config], kilobytes: 963 },
    // It ends when it has loaded its code and the config.
    { args: ['serve', '--config', config, '--tls-cert', 'none'], kilobytes: 3_409 },
  ])('loads less than $kilobytes kB of code for $args', ({ args, kilobytes }) => {
    const counter = join(directory, 'count.cjs')
    writeFileSync(
      counter,
      `process.on('exit', () => {
        const { statSync, writeSync } = require('node:fs')
        const files = Object.keys(require.cache).filter((file) => file !== __filename)
        writeSync(2, String(files.reduce((sum, file) => sum + statSync(file).size, 0)))
      })`,
    )
    const { stderr } = spawnSync(
      process.execPath,
      ['--require', counter, join(directory, 'bin/berth.js'), ...args],
      { encoding: 'utf8' },
    )

    const bytes = Number(/[0-9]+$/.exec(stderr)?.[0])

    expect(bytes).toBeGreaterThan(50_000)
    expect(bytes).toBeLessThan(kilobytes * 1000)
  })

  it('loads a config in its worker', async () => {
    const worker = new Worker(join(directory, 'dist/config-worker.cjs'), {
      workerData: config,
      stdout: true,
      stderr: true,
    })
    const ended = once(worker, 'exit')

    expect(await once(worker, 'message')).toMatchObject([{ ok: true }])
    await ended
    // The files that it loads start no other program.
    expect(await text(worker.stdout)).toBe('')
    expect(await text(worker.stderr)).toBe('')
  })

  it('has the same bytes each time', () => {
    expect(filesOf('again')).toEqual(filesOf('dist'))
  })

  it('contains the licence of every package in it', () => {
    const files = filesOf('dist')
    const sections = (files['THIRD-PARTY-LICENSES.txt'] ?? '').split(`\n\n${'-'.repeat(80)}\n\n`)
    const licences = new Map(sections.map((text) => [text.split(' ')[0], text]))
    // The bundler writes the path of each source above its code, but not into the page, which has no comments.
    const sources = Object.values(files).flatMap((text) => [
      ...text.matchAll(/^\/\/ (?:\S+\/)?node_modules\/((?:@[^/\s]+\/)?[^/\s]+)\//gm),
    ])
    const bundled = new Set([...sources.map(([, name]) => name), 'preact', 'd3-sankey'])

    expect(bundled.size).toBeGreaterThan(100)
    expect([...bundled].filter((name) => !licences.has(name))).toEqual([])
    for (const text of sections) expect(text).toMatch(/^\S+ \d\S+ \([\w.-]+\)\n\n\s*\S/)
  })

  it('contains the text of every licence that the packages bring', () => {
    const sections = (filesOf('dist')['THIRD-PARTY-LICENSES.txt'] ?? '').split('-'.repeat(80))
    const without = sections.filter((text) => text.includes('contains no text of its licence'))

    expect(without.map((text) => text.trim().split(' ')[0])).toEqual([
      '@aws-sdk/credential-provider-http',
      '@aws-sdk/credential-provider-login',
      '@aws-sdk/nested-clients',
      '@sigstore/verify',
      'abstract-logging',
    ])
  })
})
