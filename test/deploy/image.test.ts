import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  createImage,
  createLayer,
  createMultiPlatform,
  writeLayout,
} from '../../deploy/image/oci.ts'
import { parsePushTarget } from '../../deploy/image/push.ts'
import { createTar, type TarEntry } from '../../deploy/image/tar.ts'

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

describe('createTar', () => {
  const long = `app/node_modules/${'a'.repeat(90)}/${'b'.repeat(90)}/index.js`
  const tooLongForUstar = `${'x'.repeat(200)}/${'y'.repeat(200)}`

  it('writes long names, modes, parent directories, root as the owner and no time', async () => {
    const entries = [
      entry('bin/run', '#!', 0o755),
      entry(long),
      entry(tooLongForUstar),
      { path: 'tmp', mode: 0o1777, content: null },
    ]

    expect(await listTar(entries)).toEqual(
      [
        ['drwxr-xr-x', 'app/'],
        ['drwxr-xr-x', 'app/node_modules/'],
        ['drwxr-xr-x', `app/node_modules/${'a'.repeat(90)}/`],
        ['drwxr-xr-x', `app/node_modules/${'a'.repeat(90)}/${'b'.repeat(90)}/`],
        ['-rw-r--r--', long],
        ['drwxr-xr-x', 'bin/'],
        ['-rwxr-xr-x', 'bin/run'],
        ['drwxrwxrwt', 'tmp/'],
        ['drwxr-xr-x', `${'x'.repeat(200)}/`],
        ['-rw-r--r--', tooLongForUstar],
      ].map(([mode, name]) => [mode, '0/0', '1970-01-01', name]),
    )
  })

  it('gives the same bytes for any order of the entries', async () => {
    const archive = await createTar([entry('b'), entry('a/c'), entry('empty', '')])

    expect(await createTar([entry('empty', ''), entry('a/c'), entry('b')])).toEqual(archive)
  })

  /** What GNU tar reads from an archive of these entries. */
  async function listTar(entries: readonly TarEntry[]) {
    const file = join(directory, 'layer.tar')
    writeFileSync(file, await createTar(entries))
    const output = execFileSync('tar', ['--utc', '--numeric-owner', '-tvf', file], {
      encoding: 'utf8',
    })
    return output
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/))
      .map(([mode, owner, , day, , name]) => [mode, owner, day, name])
  }
})

describe('createImage', () => {
  const build = async (out: string) => {
    const cache = join(directory, 'cache')
    const layers = [await createLayer([entry('app/main.js')], 'Berth', cache)]
    const settings = {
      architecture: 'amd64',
      created: new Date(0),
      config: { User: '1:1' },
      annotations: {},
    }
    const image = createImage(layers, settings)
    writeLayout(out, [{ name: 'berth:0.2.0', artifact: createMultiPlatform([image], {}) }])
    return image
  }

  it('gives the same digest for the same files and another for changed ones', async () => {
    const cache = join(directory, 'cache')
    const changed = await createLayer([entry('app/main.js', 'changed')], 'Berth', cache)
    const one = await build(join(directory, 'one'))
    const two = await build(join(directory, 'two'))

    expect(one.manifest.digest).toBe(two.manifest.digest)
    expect(one.layers[0]?.digest).not.toBe(changed.digest)
  })

  it('writes a layout whose index names the manifest, which names every blob', async () => {
    const { manifest } = await build(directory)
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

describe('parsePushTarget', () => {
  it.each([
    ['anubis:32000/berth:0.2.0', false, 'https://anubis:32000', 'berth', '0.2.0'],
    ['10.0.0.1:5000/tools/berth:latest', true, 'http://10.0.0.1:5000', 'tools/berth', 'latest'],
  ])('parses %s', (name, isPlainHttp, registry, repository, tag) => {
    expect(parsePushTarget(name, isPlainHttp)).toEqual({ registry, repository, tag })
  })

  it.each(['berth:0.2.0', 'anubis:32000/berth', 'anubis/Berth:1'])('rejects %s', (name) => {
    expect(() => parsePushTarget(name, false)).toThrow('HOST/REPOSITORY:TAG')
  })
})

describe('the cache of layers', () => {
  /** Reports the size of the first layer in the directory, as soon as there is one. */
  const watcher = `
    const { readdirSync, statSync } = require('node:fs')
    const { parentPort, workerData } = require('node:worker_threads')
    parentPort.postMessage('ready')
    for (;;) {
      const name = readdirSync(workerData).find((each) => each.endsWith('.tar.gz'))
      if (name === undefined) continue
      parentPort.postMessage(statSync(workerData + '/' + name).size)
      break
    }`

  it('shows a layer to other processes only when it is complete', async () => {
    const content = randomBytes(16 * 2 ** 20)
    const worker = new Worker(watcher, { eval: true, workerData: directory })
    await once(worker, 'message')
    const seen = once(worker, 'message')
    const layer = await createLayer([{ path: 'large', mode: 0o644, content }], 'a test', directory)

    expect(await seen).toEqual([layer.content.length])
  })
})
