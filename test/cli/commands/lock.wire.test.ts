import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseLock } from '../../../src/decision/lock/lock-text.ts'
import { berth } from '../../support/io.ts'
import { type FakeRegistry, startFakeRegistry } from '../../support/registry.ts'

let directory: string
let config: string
let lockFile: string
let mirror: FakeRegistry
let upstream: FakeRegistry
let nginx: string
let redis: string

beforeEach(async () => {
  mirror = await startFakeRegistry()
  upstream = await startFakeRegistry()
  nginx = mirror.addManifest({ repository: 'library/nginx', tag: '1' })
  redis = upstream.addManifest({
    repository: 'library/redis',
    tag: 'latest',
    body: manifest('redis'),
  })
  directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
  lockFile = join(directory, 'berth.lock')
  config = put(
    'berth.yaml',
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: mirror.example, endpoint: '${mirror.url}', mirror: true }
  - { host: docker.io, endpoint: '${upstream.url}' }
fallback:
  - { name: hub, images: ['docker.io/**'], try: ['mirror.example/{path}', 'docker.io/{path}'] }
pin: { lock: berth.lock }
`,
  )
})

afterEach(async () => {
  await mirror.close()
  await upstream.close()
})

function put(name: string, text: string): string {
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

function manifest(of: string): string {
  return JSON.stringify({ schemaVersion: 2, config: { of } })
}

const pods = (...images: string[]) =>
  put(
    'pods.yaml',
    images
      .map(
        (image) =>
          `apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec: { containers: [{ image: '${image}' }] }\n`,
      )
      .join('---\n'),
  )
const lock = (...more: string[]) =>
  berth(['lock', '--config', config, '-f', join(directory, 'pods.yaml'), ...more])
const digests = () => {
  const read = parseLock(readFileSync(lockFile, 'utf8'))
  return read.ok
    ? [...read.lock.values()].map(({ image, digest, from }) => [image, digest, from])
    : read.message
}

describe('berth lock for rows that leave their images', () => {
  beforeEach(() => {
    const text = readFileSync(config, 'utf8')
    writeFileSync(
      config,
      text.replace(
        'fallback:\n',
        "fallback:\n  - { name: out, when: { namespaces: [out] }, images: ['**/nginx'], leave: true }\n  - { name: unpinned, images: ['**/redis'], try: ['docker.io/{path}'], pin: false }\n",
      ),
    )
  })

  it('leaves out an image of pods that a row leaves unchanged, and locks it for others', async () => {
    pods('nginx:1', 'redis')

    expect(await lock('-n', 'out')).toMatchObject({ code: 0 })
    expect(digests()).toEqual([['docker.io/library/redis:latest', redis, 'docker.io']])
    expect(await lock('-n', 'out', '--check')).toMatchObject({ code: 0 })
    expect(await lock('-n', 'web')).toMatchObject({ code: 0 })
    expect(digests()).toContainEqual(['docker.io/library/nginx:1', nginx, 'mirror.example'])
  })

  it('locks an image whose namespace is not known, and says so', async () => {
    pods('nginx:1')
    const { code, stderr } = await lock()

    expect(code).toBe(0)
    expect(stderr).toContain(
      'docker.io/library/nginx:1 is locked, but row out may leave it unchanged: not known of the pod: namespace',
    )
  })
})

describe('berth lock', () => {
  it('adds new images and removes unused ones; only --update moves the others to another digest', async () => {
    pods('nginx:1', 'redis')

    const first = await lock()

    expect(first).toMatchObject({ code: 0, stdout: '' })
    expect(digests()).toEqual([
      ['docker.io/library/nginx:1', nginx, 'mirror.example'],
      ['docker.io/library/redis:latest', redis, 'docker.io'],
    ])

    const moved = mirror.addManifest({
      repository: 'library/nginx',
      tag: '1',
      body: manifest('moved'),
    })
    pods('nginx:1', 'docker.io/library/nginx:1', `busybox@${redis}`)
    const second = await lock()

    expect(second.stderr).toBe('- docker.io/library/redis:latest\n')
    expect(digests()).toEqual([['docker.io/library/nginx:1', nginx, 'mirror.example']])

    const third = await lock('--update')

    expect(third.stderr).toContain(
      `~ docker.io/library/nginx:1 ${nginx} → ${moved} (mirror.example)`,
    )
    expect(digests()).toEqual([['docker.io/library/nginx:1', moved, 'mirror.example']])
  })

  it('exits with 1 if an image cannot be locked, and keeps its old digest', async () => {
    pods('nginx:1', 'redis')
    await lock()
    const before = readFileSync(lockFile, 'utf8')
    mirror.behave(() => ({ status: 503 }))
    upstream.behave(() => ({ status: 503 }))
    pods('nginx:1', 'redis', 'gone:1')

    const { code, stderr } = await lock('--update')

    expect(code).toBe(1)
    expect(stderr).toContain('docker.io/library/gone:1 is not locked: ')
    expect(readFileSync(lockFile, 'utf8')).toBe(before)
  })

  it('rejects a directory for --out, and leaves no file in it', async () => {
    pods('nginx:1')
    const names = readdirSync(directory)

    const { code, stderr } = await lock('--out', directory)

    expect(code).toBe(2)
    expect(stderr).toContain(
      `berth: file-unwritable: ${directory} cannot be written: it is a directory\n`,
    )
    expect(readdirSync(directory)).toEqual(names)
  })

  it('compares the file with the images in use with --check, and asks no registry', async () => {
    pods('nginx:1')
    const missing = await lock('--check')
    await lock()
    const asked = mirror.requests.length
    const fine = await lock('--check')
    pods('redis')
    const other = await lock('--check')

    expect(missing).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('nginx:1 is not locked'),
    })
    expect(fine).toMatchObject({ code: 0, stdout: '' })
    expect(other.stdout).toContain('redis:latest is not locked')
    expect(other.stdout).toContain('nginx:1 is not used any more')
    expect(mirror.requests).toHaveLength(asked)
  })

  it('does not overwrite a file that is not a lock file', async () => {
    pods('nginx:1')
    put('other.lock', 'images: []\n')

    const outcome = await lock('--out', join(directory, 'other.lock'))

    expect(outcome).toMatchObject({ code: 2, stderr: expect.stringContaining('lock-invalid') })
  })

  it('pins the images of explain and rewrite: the digest stays when the tag moves', async () => {
    pods('nginx:1')
    await lock()
    mirror.addManifest({ repository: 'library/nginx', tag: '1', body: manifest('moved') })
    const before = mirror.requests.length

    const explained = await berth(['explain', 'nginx:1', '-o', 'json', '--config', config])
    const rewritten = await berth([
      'rewrite',
      '-f',
      join(directory, 'pods.yaml'),
      '--config',
      config,
    ])
    const offline = await berth([
      'rewrite',
      '-f',
      join(directory, 'pods.yaml'),
      '--no-probe',
      '--config',
      config,
    ])

    const chosen = `mirror.example/library/nginx:1@${nginx}`
    expect(JSON.parse(explained.stdout)).toMatchObject([{ chosen, pinned: true, changed: true }])
    expect(rewritten.stdout).toContain(`image: '${chosen}'`)
    expect(offline.stdout).toContain(`image: '${chosen}'`)
    const asked = mirror.requests.slice(before).map(({ path }) => path)
    expect(asked.length).toBeGreaterThan(0)
    expect(asked.filter((path) => !path.includes('sha256'))).toEqual([])
  })

  it('skips a mirror that does not have the locked digest yet', async () => {
    pods('redis')
    await lock()
    mirror.addManifest({ repository: 'library/redis', tag: 'latest', body: manifest('stale') })

    const { stdout } = await berth(['explain', 'redis', '-o', 'json', '--config', config])

    expect(JSON.parse(stdout)).toMatchObject([
      {
        chosen: `docker.io/library/redis:latest@${redis}`,
        candidates: [{ outcome: 'absent' }, { outcome: 'found' }],
      },
    ])
  })

  it('does not pin an image to a digest that upstream has deleted', async () => {
    put(
      'berth.lock',
      `apiVersion: berth.dev/v1alpha1\nkind: BerthLock\nimages:\n  - { image: 'docker.io/library/redis:latest', digest: '${nginx}', from: docker.io, date: '2026-11-21' }\n`,
    )

    const { stdout } = await berth(['explain', 'redis', '-o', 'json', '--config', config])

    expect(JSON.parse(stdout)).toMatchObject([
      {
        changed: false,
        chosen: 'docker.io/library/redis:latest',
        warnings: [expect.stringContaining('not pinned: 404')],
      },
    ])
  })
})

describe('berth rewrite --pin', () => {
  it('pins every tag, and exits with 1 if an image has no digest', async () => {
    const file = pods('nginx:1')

    const fine = await berth(['rewrite', '-f', file, '--pin', '--config', config])
    pods('gone:1')
    const gone = await berth(['rewrite', '-f', file, '--pin', '--config', config])

    expect(fine).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`mirror.example/library/nginx:1@${nginx}`),
    })
    expect(gone.code).toBe(1)
    expect(gone.stderr).toContain('not pinned')
  })
})
