import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { addSignatureTag, ecdsaKey, signBytes, simpleSigningPayload } from '../../support/cosign.ts'
import { tarHeader } from '../../../src/registry/layout/tar-entries.ts'
import { berth } from '../../support/io.ts'
import { indexType, manifestType } from '../../support/registry.ts'
import { bytes, startStore, type Store } from '../../support/store-registry.ts'

const run = promisify(execFile)

let directory: string
let source: Store
let mirror: Store
let config: string

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'berth-layout-'))
  source = await startStore()
  mirror = await startStore()
  config = join(directory, 'berth.yaml')
  writeConfig()
})

function writeConfig(more = '') {
  writeFileSync(
    config,
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: 'mirror.example', endpoint: '${mirror.url}', mirror: true }
  - { host: docker.io, endpoint: '${source.url}' }
  - { host: quay.io, endpoint: '${source.url}' }
fallback:
  - { name: hub, images: ['docker.io/**'], try: ['mirror.example/{host}/{path}', 'docker.io/{path}'] }
${more}`,
  )
}

afterEach(async () => {
  await source.close()
  await mirror.close()
  rmSync(directory, { recursive: true, force: true })
})

const kinds = [
  ['a directory', 'oci', 'layout'],
  ['an archive', 'oci-archive', 'layout.tar'],
] as const

const layer = (seed: string, size = 50_000) => ({ layers: [bytes(size, seed)] })

/** Adds an index with a manifest for each platform. */
function addIndex(repository: string, tag: string, platforms: readonly string[]): string {
  const manifests = platforms.map((platform) => {
    const [os, architecture] = platform.split('/')
    const digest = source.addImage(repository, null, layer(platform))
    const size = source.manifests.get(repository)?.get(digest)?.body.length
    return { mediaType: manifestType, digest, size, platform: { os, architecture } }
  })
  const body = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests }))
  return source.addManifest(repository, tag, { body, mediaType: indexType })
}

const mirrored = (path: string, tag: string) => mirror.tags.get(`docker.io/${path}`)?.get(tag)

function readIndex(layout: string) {
  return JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as {
    manifests: { digest: string; annotations?: Record<string, string> }[]
  }
}

describe.each(kinds)('berth mirror through %s', (_, kind, name) => {
  let layout: string
  let path: string

  beforeEach(() => {
    path = join(directory, name)
    layout = `${kind}:${path}`
  })

  const to = (...args: string[]) => berth(['mirror', '--config', config, '--to', layout, ...args])
  const from = (...args: string[]) =>
    berth(['mirror', '--config', config, '--from', layout, ...args])

  it('carries the images of a plan to the mirrors without a request to their registries', async () => {
    const nginx = addIndex('library/nginx', '1.29', ['linux/amd64', 'linux/arm64'])
    const redis = source.addImage('library/redis', '7', layer('redis'))
    const written = await to('nginx:1.29', 'redis:7')
    expect(mirror.requests).toEqual([])
    source.forgetRequests()
    const pushed = await from()

    expect({ code: written.code, stderr: written.stderr }).toMatchObject({ code: 0 })
    expect(written.stdout).toContain(`→  ${layout}:docker.io/library/nginx:1.29`)
    expect({ code: pushed.code, stderr: pushed.stderr }).toMatchObject({ code: 0 })
    expect(pushed.stdout).toContain(`${layout}:docker.io/library/redis:7  →  mirror.example/docker`)
    expect(mirrored('library/nginx', '1.29')).toBe(nginx)
    expect(mirrored('library/redis', '7')).toBe(redis)
    expect(source.requests).toEqual([])
  })

  it('writes nothing in a second run, and only what is new in a third', async () => {
    source.addImage('library/nginx', '1.29', layer('nginx'))
    await to('nginx:1.29')
    const before = statSync(path, { bigint: true })
    const second = await to('nginx:1.29', '-o', 'json')
    const after = statSync(path, { bigint: true })
    source.addImage('library/redis', '7', { layers: [bytes(50_000, 'nginx'), bytes(9, 'redis')] })
    const third = await to('redis:7', '-o', 'json')

    expect(JSON.parse(second.stdout)).toMatchObject({ status: 'current', bytesMoved: 0 })
    expect(after.mtimeNs).toBe(before.mtimeNs)
    expect(JSON.parse(third.stdout)).toMatchObject({
      status: 'copied',
      destination: `${layout}:docker.io/library/redis:7`,
    })
    expect((JSON.parse(third.stdout) as { bytesThere: number }).bytesThere).toBe(50_000)
    expect(await from()).toMatchObject({ code: 0 })
    expect([...mirror.tags.keys()].sort()).toEqual([
      'docker.io/library/nginx',
      'docker.io/library/redis',
    ])
  })

  it('carries signatures and SBOMs', async () => {
    const image = source.addImage('library/nginx', '1.29', layer('nginx'))
    const artifactType = 'application/vnd.example.sbom'
    const sbom = source.addImage('library/nginx', null, {
      ...layer('sbom', 90),
      subject: image,
      artifactType,
    })
    const signatureTag = `${image.replace(':', '-')}.sig`
    const signature = source.addImage('library/nginx', signatureTag, layer('signature', 80))
    const written = await to('nginx:1.29', '--referrers')
    const pushed = await from('--referrers')

    expect([written.code, pushed.code]).toEqual([0, 0])
    expect(mirrored('library/nginx', signatureTag)).toBe(signature)
    expect(mirror.manifests.get('docker.io/library/nginx')?.has(sbom)).toBe(true)
    expect((await to('nginx:1.29', '--referrers')).stdout).toContain('current')
  })

  it('carries the signatures that `mirror.verify` needs, and verifies them on both sides', async () => {
    const key = ecdsaKey()
    const verify = { images: ['docker.io/**'], cosign: { key: key.publicPem } }
    writeConfig(`mirror: { verify: [${JSON.stringify(verify)}] }\n`)
    const image = source.addImage('library/nginx', '1.29', layer('nginx'))
    const unsigned = await to('nginx:1.29')
    const payload = simpleSigningPayload(image)
    const signatures = [{ payload, signature: signBytes(key, payload) }]
    const signature = addSignatureTag(source, 'library/nginx', image, signatures)
    const written = await to('nginx:1.29')
    const pushed = await from()
    writeConfig(
      `mirror: { verify: [${JSON.stringify({ ...verify, cosign: { key: ecdsaKey().publicPem } })}] }\n`,
    )
    const refused = await from('nginx:1.29=mirror.example/nginx:1.29')

    expect(unsigned.stdout).toContain('has no cosign signature')
    expect([written, pushed]).toMatchObject([{ code: 0 }, { code: 0 }])
    expect(mirrored('library/nginx', `${image.replace(':', '-')}.sig`)).toBe(signature)
    expect(refused.stdout).toContain('mirror.verify[0]')
    expect(mirror.tags.get('nginx')?.size ?? 0).toBe(0)
  })

  it('carries some platforms of an image', async () => {
    addIndex('library/nginx', '1.29', ['linux/amd64', 'linux/arm64'])
    await to('nginx:1.29', '--platform', 'linux/arm64')
    const pushed = await from('-o', 'json')

    expect(JSON.parse(pushed.stdout)).toMatchObject({
      status: 'copied',
      platforms: ['linux/arm64'],
    })
  })

  it('carries an index without attestations that do not exist', async () => {
    await mirror.close()
    mirror = await startStore({ sparseIndexes: true })
    writeConfig()
    const platform = source.addImage('library/nginx', null, layer('linux/amd64'))
    const size = source.manifests.get('library/nginx')?.get(platform)?.body.length
    const missing = `sha256:${'0'.repeat(64)}`
    const annotations = {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': platform,
    }
    const manifests = [
      {
        mediaType: manifestType,
        digest: platform,
        size,
        platform: { os: 'linux', architecture: 'amd64' },
      },
      { mediaType: manifestType, digest: missing, size: 100, annotations },
    ]
    const body = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests }))
    const index = source.addManifest('library/nginx', '1.29', { body, mediaType: indexType })
    const refused = await to('nginx:1.29')
    const written = await to('nginx:1.29', '--allow-missing-attestations', '-o', 'json')
    const pushed = await from('--allow-missing-attestations')

    expect(refused.stdout).toContain('--allow-missing-attestations copies the image without it')
    expect(JSON.parse(written.stdout)).toMatchObject({ missingAttestations: [missing] })
    expect(pushed).toMatchObject({ code: 0 })
    expect(mirrored('library/nginx', '1.29')).toBe(index)
    expect((await from('--deep')).stdout).toContain(`that ${layout} does not have`)
  })

  it('carries images by digest', async () => {
    const digest = source.addImage('library/nginx', '1.29', layer('nginx'))
    const written = await to(`nginx@${digest}`, `nginx:1.29@${digest}`)
    const pushed = await from(`nginx@${digest}`)
    const all = await from()

    expect([written.code, pushed.code, all.code]).toEqual([0, 0, 0])
    expect(mirrored('library/nginx', '1.29')).toBe(digest)
  })

  /** Calls `stop` when the layer of the second image is requested. */
  function stopAtSecondLayer(stop: () => void) {
    source.addImage('team/app', '1', layer('first'))
    source.addImage('team/app', '2', layer('second', 90_000))
    const content = bytes(90_000, 'second')
    const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`
    source.fault(({ method, path: target }) => {
      if (method !== 'GET' || !target.endsWith(digest)) return null
      stop()
      return { cutAt: 30_000 }
    })
    return [`${source.host}/team/app:1`, `${source.host}/team/app:2`, '--jobs', '1', '-o', 'json']
  }

  const statuses = (stdout: string) =>
    stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { status: string }).status)
      .toSorted()

  it('keeps what is complete if it is stopped', async () => {
    const controller = new AbortController()
    const args = stopAtSecondLayer(() => controller.abort('SIGTERM'))
    const stopped = await berth(['mirror', '--to', layout, ...args], '', controller.signal)
    const other = await berth(['mirror', '--from', layout, '--to', `oci:${directory}/other`])
    source.fault(() => null)
    const completed = await berth(['mirror', '--to', layout, ...args])

    expect(stopped.code).toBe(143)
    expect(other.stdout).toContain('/team/app:1')
    expect(other.stdout).not.toContain('/team/app:2')
    expect(statuses(completed.stdout)).toEqual(['copied', 'current'])
  })

  it('completes what a killed run has left', { timeout: 60_000 }, async () => {
    const main = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))
    const args = stopAtSecondLayer(() => child.kill('SIGKILL'))
    const child = spawn(process.execPath, [main, 'mirror', '--to', layout, ...args])
    await once(child, 'exit')
    source.fault(() => null)
    const completed = await berth(['mirror', '--to', layout, ...args])
    const again = await berth(['mirror', '--to', layout, ...args])
    const { code } = await berth(['mirror', '--from', layout, '--to', `oci:${directory}/other`])
    const downloads = source.log().filter((line) => line.startsWith('GET /v2/team/app/blobs'))

    expect(child.signalCode).toBe('SIGKILL')
    expect(completed).toMatchObject({ code: 0 })
    expect(statuses(again.stdout)).toEqual(['current', 'current'])
    expect(code).toBe(0)
    // The layer of the second image. The first image is in the layout.
    expect(downloads.length).toBeLessThanOrEqual(2)
    if (kind === 'oci-archive') {
      const { stdout } = await run('tar', ['-tf', path])
      expect(stdout).not.toContain('incomplete')
    }
  })

  it('shows with --dry-run what a layout lacks, and writes nothing', async () => {
    source.addImage('library/nginx', '1.29', layer('nginx'))
    const { code, stdout } = await to('nginx:1.29', '--dry-run')

    expect(code).toBe(0)
    expect(stdout).toContain('planned: sha256:')
    expect(existsSync(path)).toBe(false)
  })

  it('names an image that the layout does not have, and the tags that it has', async () => {
    source.addImage('library/nginx', '1.29', layer('nginx'))
    await to('nginx:1.29')
    const other = await from('nginx:1.30')

    expect(other.code).toBe(1)
    expect(other.stdout).toContain(`${layout} has no such image in docker.io/library/nginx`)
    expect(other.stdout).toContain('existing tags: 1.29')
  })

  it('rejects a layout that does not exist', async () => {
    const { code, stderr } = await from()

    expect(code).toBe(2)
    expect(stderr).toContain(`layout-invalid: no image layout at ${path}: it does not exist`)
  })

  it('copies named images without a config, and between layouts', async () => {
    source.addImage('team/app', '1', layer('app'))
    const image = `${source.host}/team/app:1`
    const other = `oci:${join(directory, 'other')}`
    const written = await berth(['mirror', image, '--to', layout])
    const copied = await berth(['mirror', '--from', layout, '--to', other])

    expect({ ...written, stdout: '' }).toMatchObject({ code: 0 })
    expect(copied).toMatchObject({ code: 0 })
    expect(readIndex(join(directory, 'other')).manifests[0]?.annotations).toEqual({
      'io.containerd.image.name': image,
      'org.opencontainers.image.ref.name': image,
    })
  })

  it('can be read by skopeo', { timeout: 60_000 }, async ({ skip }) => {
    const version = await run('skopeo', ['--version']).catch(() => null)
    if (version === null) return skip('skopeo is not installed: apt-get install skopeo')
    const nginx = source.addImage('library/nginx', '1.29', layer('nginx'))
    source.addImage('library/redis', '7', layer('redis'))
    await to('nginx:1.29', 'redis:7')
    const name = `${layout}:docker.io/library/nginx:1.29`
    const raw = await run('skopeo', ['inspect', '--raw', name])

    expect(`sha256:${createHash('sha256').update(raw.stdout).digest('hex')}`).toBe(nginx)
  })
})

describe('an image layout in a directory', () => {
  let path: string

  beforeEach(() => {
    path = join(directory, 'layout')
    source.addImage('library/nginx', '1.29', layer('nginx'))
  })

  const to = (...args: string[]) =>
    berth(['mirror', '--config', config, '--to', `oci:${path}`, 'nginx:1.29', ...args])
  const from = (...args: string[]) =>
    berth(['mirror', '--config', config, '--from', `oci:${path}`, ...args])

  /** The largest blob, which is the layer. */
  function layerFile(): string {
    const blobs = join(path, 'blobs/sha256')
    const size = (file: string) => statSync(join(blobs, file)).size
    const [name = ''] = readdirSync(blobs).toSorted((one, other) => size(other) - size(one))
    return join(blobs, name)
  }

  it('has the files of the specification, and no others', async () => {
    await to()

    expect(readdirSync(path).toSorted()).toEqual(['blobs', 'index.json', 'oci-layout'])
    expect(JSON.parse(readFileSync(join(path, 'oci-layout'), 'utf8'))).toEqual({
      imageLayoutVersion: '1.0.0',
    })
    for (const name of readdirSync(join(path, 'blobs/sha256'))) {
      const content = readFileSync(join(path, 'blobs/sha256', name))
      expect(createHash('sha256').update(content).digest('hex')).toBe(name)
    }
  })

  it.each([
    ['changed', (file: string) => writeFileSync(file, Buffer.alloc(50_000))],
    ['truncated', (file: string) => truncateSync(file, 10_000)],
    ['a link', (file: string) => (rmSync(file), symlinkSync('/dev/zero', file))],
    ['missing', (file: string) => rmSync(file)],
  ])('is not pushed with a blob that is %s, and the next run repairs it', async (_, damage) => {
    await to()
    const file = layerFile()
    damage(file)
    const pushed = await from()
    const wrong = [...mirror.blobs.values()].flatMap((blobs) => [...blobs.keys()])
    const repaired = await to('-o', 'json')
    const again = await from()

    expect(pushed.code).toBe(1)
    expect(pushed.stdout).toMatch(/blob sha256:\S+ (?:from|in) oci:|does not have blob/)
    expect(wrong.some((digest) => file.endsWith(digest.slice(7)))).toBe(false)
    expect(JSON.parse(repaired.stdout)).toMatchObject({ status: 'repaired', bytesMoved: 50_000 })
    expect(again.code).toBe(0)
  })

  it('reads a referrer once that the index lists many times', async () => {
    const image = source.addImage('library/nginx', '1.29', layer('nginx'))
    source.addImage('library/nginx', null, { ...layer('sbom', 90), subject: image })
    await to('nginx:1.29', '--referrers')
    const index = readIndex(path)
    const sbom = index.manifests.find(({ annotations }) => annotations === undefined)
    const manifests = [...index.manifests, ...Array<typeof sbom>(10_000).fill(sbom)]
    writeFileSync(join(path, 'index.json'), JSON.stringify({ ...index, manifests }))

    expect(await from('--referrers')).toMatchObject({ code: 0 })
  })

  it('gets a damaged manifest again', async () => {
    await to()
    const digest = readIndex(path).manifests[0]?.digest ?? ''
    const file = join(path, 'blobs', digest.replace(':', '/'))
    writeFileSync(file, readFileSync(file, 'utf8').replace('2', '3'))
    const pushed = await from()
    const repaired = await to('-o', 'json')

    expect(pushed.stdout).toContain('does not match its digest')
    expect(JSON.parse(repaired.stdout)).toMatchObject({ status: 'repaired' })
    expect(await from()).toMatchObject({ code: 0 })
  })

  it.each(['blobs', 'blobs/sha256'])('is rejected if %s is a link', async (name) => {
    await to()
    const other = join(directory, 'other')
    renameSync(join(path, name), other)
    symlinkSync(other, join(path, name))
    const before = readdirSync(other)

    for (const { code, stderr } of [await from(), await to()]) {
      expect(code).toBe(2)
      expect(stderr).toContain(`${name} is a symbolic link`)
    }
    expect(readdirSync(other)).toEqual(before)
  })

  it('is not written among other files', async () => {
    mkdirSync(path)
    writeFileSync(join(path, 'thesis.txt'), 'x')
    const { code, stderr } = await to()

    expect(code).toBe(2)
    expect(stderr).toContain('the directory has other files, and no file oci-layout')
    expect(readdirSync(path)).toEqual(['thesis.txt'])
  })

  it.each([
    ['an index.json that is not JSON', 'index.json', '{', 'is not JSON'],
    ['an index.json over 4 MiB', 'index.json', ' '.repeat(4 * 1024 * 1024 + 1), 'exceeds 4 MiB'],
    [
      'a digest that is a path',
      'index.json',
      '{"manifests":[{"digest":"sha256:../../../etc/passwd","size":1}]}',
      'has a descriptor without a valid digest and size',
    ],
    ['another version', 'oci-layout', '{"imageLayoutVersion":"2.0.0"}', 'version 1'],
  ])('is rejected with %s', async (_, file, text, message) => {
    await to()
    writeFileSync(join(path, file), text)
    const { code, stderr } = await from()

    expect(code).toBe(2)
    expect(stderr).toContain(message)
  })
})

/** Returns whether this user can mount a small file system in a namespace. */
async function canMount(): Promise<boolean> {
  const script = `mount -t tmpfs -o size=64k none ${directory}`
  return run('unshare', ['-rm', 'sh', '-c', script]).then(
    () => true,
    () => false,
  )
}

describe('a full disk', () => {
  it.for(['oci:disk/layout', 'oci-archive:disk/layout.tar'])(
    'is named in the message, and the next run on a larger one completes %s',
    { timeout: 60_000 },
    async (layout, { skip }) => {
      if (!(await canMount())) skip('this user cannot mount a file system with `unshare -rm`')
      source.addImage('team/app', '1', layer('small', 20_000))
      source.addImage('team/app', '2', layer('large', 400_000))
      const image = `${source.host}/team/app`
      mkdirSync(join(directory, 'disk'))
      const main = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))
      const mirrorAll = `"$NODE" ${main} mirror --jobs 1 --to ${layout} -o json ${image}:1 ${image}:2`
      const script = `cd ${directory}; mount -t tmpfs -o size=200k none disk
        ${mirrorAll}; echo '"next"'; mount -o remount,size=4m disk; ${mirrorAll}`
      const { stdout } = await run('unshare', ['-rm', 'sh', '-c', script], {
        env: { PATH: process.env['PATH'], NODE: process.execPath },
      })
      const records = stdout
        .trim()
        .split('\n')
        .map((line): unknown => JSON.parse(line))
      const at = records.indexOf('next')

      expect(records.slice(0, at)).toContainEqual(expect.objectContaining({ status: 'copied' }))
      expect(records.slice(0, at)).toContainEqual(expect.objectContaining({ status: 'failed' }))
      expect(stdout).toContain('no space is left')
      expect(records.slice(at + 1)).toMatchObject([{ error: null }, { error: null }])
    },
  )
})

describe('an image layout in an archive', () => {
  let path: string

  beforeEach(() => {
    path = join(directory, 'layout.tar')
    source.addImage('library/nginx', '1.29', layer('nginx'))
  })

  const to = (...args: string[]) =>
    berth(['mirror', '--config', config, '--to', `oci-archive:${path}`, ...args])
  const from = () => berth(['mirror', '--config', config, '--from', `oci-archive:${path}`])

  it('is read by GNU tar, and has only the files of the specification', async () => {
    await to('nginx:1.29')
    await to('nginx:1.29')
    const { stdout } = await run('tar', ['-tf', path])

    expect(
      stdout
        .trim()
        .split('\n')
        .map((name) => name.replace(/[0-9a-f]{64}/, 'HEX'))
        .toSorted(),
    ).toEqual([...Array<string>(3).fill('blobs/sha256/HEX'), 'index.json', 'oci-layout'])
  })

  it('can be written by GNU tar', async () => {
    await berth(['mirror', 'nginx:1.29', '--config', config, '--to', `oci:${directory}/plain`])
    await run('tar', ['-C', join(directory, 'plain'), '-cf', path, '.'])

    expect(await from()).toMatchObject({ code: 0 })
  })

  it.each([1_000, 20_000])(
    'is rejected if it was cut off at byte %d, and completed',
    async (at) => {
      await to('nginx:1.29')
      truncateSync(path, at)
      const cut = await from()
      const completed = await to('nginx:1.29')

      expect(cut.code).toBe(2)
      expect(cut.stderr).toMatch(/is not a complete archive: it ends|no file oci-layout/)
      expect(completed).toMatchObject({ code: 0 })
      expect(await from()).toMatchObject({ code: 0 })
      expect((await run('tar', ['-tf', path])).stdout).not.toContain('incomplete')
    },
  )

  it('is rejected if it is compressed', async () => {
    await to('nginx:1.29')
    await run('gzip', [path])
    const { code, stderr } = await berth([
      'mirror',
      '--config',
      config,
      '--from',
      `oci-archive:${path}.gz`,
    ])

    expect(code).toBe(2)
    expect(stderr).toContain('it may be compressed or damaged')
  })

  it.each([
    ['a short text', Buffer.from('thesis')],
    [
      'a disk image that begins with zeros',
      Buffer.concat([Buffer.alloc(10_240), Buffer.from('x')]),
    ],
    ['another archive', tarHeader('thesis.txt', 0)],
  ])('is not written over %s', async (_, content) => {
    writeFileSync(path, content)
    const { code, stderr } = await to('nginx:1.29')

    expect(code).toBe(2)
    expect(stderr).toContain('the file has other content')
    expect(readFileSync(path).equals(content)).toBe(true)
  })

  it('is not pushed with a damaged blob, and the next run repairs it in its place', async () => {
    await to('nginx:1.29')
    const { size } = statSync(path)
    const content = readFileSync(path)
    const at = content.indexOf(bytes(50_000, 'nginx'))
    content.write('damage', at + 40_000)
    writeFileSync(path, content)
    const pushed = await from()
    const repaired = await to('nginx:1.29')

    expect(pushed.code).toBe(1)
    expect(pushed.stdout).toContain('does not match its digest')
    expect(repaired.stdout).toContain('repaired')
    expect(statSync(path).size).toBe(size)
    expect(await from()).toMatchObject({ code: 0 })
  })
})
