import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { dependencyFiles } from '../../deploy/image/files.ts'
import { imageOf, layerOf, writeLayout } from '../../deploy/image/oci.ts'
import { readTarget } from '../../deploy/image/push.ts'
import { tarOf } from '../../deploy/image/tar.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const entry = (path: string, text = path, mode = 0o644) => ({
  path,
  mode,
  content: Buffer.from(text),
})
let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-image-test-'))
})

afterEach(() => rmSync(directory, { recursive: true }))

describe('a layer', () => {
  const long = `app/node_modules/${'a'.repeat(90)}/${'b'.repeat(90)}/index.js`

  it('is what tar takes it for: names of any length, modes, directories, the owner root and no time', () => {
    const file = join(directory, 'layer.tar')
    writeFileSync(
      file,
      tarOf([
        entry('bin/run', '#!', 0o755),
        entry(long),
        { path: 'tmp', mode: 0o1777, content: null },
      ]),
    )
    const listed = execFileSync('tar', ['--utc', '--numeric-owner', '-tvf', file], {
      encoding: 'utf8',
    })
    const facts = listed
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/))

    expect(facts.map(([mode, owner, , day, , name]) => [mode, owner, day, name])).toEqual(
      [
        ['drwxr-xr-x', 'app/'],
        ['drwxr-xr-x', 'app/node_modules/'],
        ['drwxr-xr-x', `app/node_modules/${'a'.repeat(90)}/`],
        ['drwxr-xr-x', `app/node_modules/${'a'.repeat(90)}/${'b'.repeat(90)}/`],
        ['-rw-r--r--', long],
        ['drwxr-xr-x', 'bin/'],
        ['-rwxr-xr-x', 'bin/run'],
        ['drwxrwxrwt', 'tmp/'],
      ].map(([mode, name]) => [mode, '0/0', '1970-01-01', name]),
    )
  })

  it('does not depend on the order in which files are found', () => {
    expect(tarOf([entry('b'), entry('a/c')])).toEqual(tarOf([entry('a/c'), entry('b')]))
  })

  it('refuses a name that no header holds', () => {
    expect(() => tarOf([entry(`${'x'.repeat(200)}/y`)])).toThrow('too long')
  })
})

describe('an image', () => {
  const make = (out: string) => {
    const layers = [layerOf([entry('app/main.js')], 'Berth', join(directory, 'cache'))]
    const settings = {
      architecture: 'amd64',
      created: new Date(0),
      config: { User: '1:1' },
      annotations: {},
    }
    const image = imageOf(layers, settings)
    writeLayout(out, image, { os: 'linux', architecture: 'amd64' }, '0.1.0')
    return image
  }

  it('has the same digest each time, and another for another file', () => {
    const other = layerOf([entry('app/main.js', 'changed')], 'Berth', join(directory, 'cache'))

    expect(make(join(directory, 'one')).manifest.digest).toBe(
      make(join(directory, 'two')).manifest.digest,
    )
    expect(other.digest).not.toBe(make(join(directory, 'three')).layers[0]?.digest)
  })

  it('is a layout whose index leads to the manifest, and the manifest to every blob', () => {
    const { manifest } = make(directory)
    const read = (file: string) => JSON.parse(readFileSync(join(directory, file), 'utf8')) as never
    const blob = (digest: string) => `blobs/sha256/${digest.slice('sha256:'.length)}`
    const { manifests } = read('index.json') as { manifests: { digest: string }[] }
    const { config, layers } = read(blob(manifest.digest)) as {
      config: { digest: string }
      layers: { digest: string }[]
    }

    expect(read('oci-layout')).toEqual({ imageLayoutVersion: '1.0.0' })
    expect(manifests.map(({ digest }) => digest)).toEqual([manifest.digest])
    expect(readdirSync(join(directory, 'blobs/sha256')).sort()).toEqual(
      [manifest, config, ...layers].map(({ digest }) => digest.slice('sha256:'.length)).sort(),
    )
  })
})

describe('what goes into it', () => {
  const paths = dependencyFiles(root).map(({ path }) => path)

  it('is every production dependency, and none for development', () => {
    const { dependencies, devDependencies } = JSON.parse(
      readFileSync(join(root, 'package.json'), 'utf8'),
    ) as Record<string, Record<string, string>>
    const has = (name: string) => paths.includes(`app/node_modules/${name}/package.json`)

    expect(Object.keys(dependencies ?? {}).filter((name) => !has(name))).toEqual([])
    expect(['vitest', 'typescript', 'oxlint', 'node'].filter(has)).toEqual([])
    expect(Object.keys(devDependencies ?? {})).toContain('vitest')
  })

  it('has the licences, and nothing for editors', () => {
    expect(paths).toContain('app/node_modules/fastify/LICENSE')
    expect(paths.filter((path) => /\.(d\.ts|map|md)$/.test(path))).toEqual([])
  })
})

describe('a target', () => {
  it.each([
    ['anubis:32000/berth:0.1.0', false, 'https://anubis:32000', 'berth', '0.1.0'],
    ['10.0.0.1:5000/tools/berth:latest', true, 'http://10.0.0.1:5000', 'tools/berth', 'latest'],
  ])('%s', (name, isPlain, registry, repository, tag) => {
    expect(readTarget(name, isPlain)).toEqual({ registry, repository, tag })
  })

  it.each(['berth:0.1.0', 'anubis:32000/berth', 'anubis/Berth:1'])('is not %s', (name) => {
    expect(() => readTarget(name, false)).toThrow('HOST/REPOSITORY:TAG')
  })
})
