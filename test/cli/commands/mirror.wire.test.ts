import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'
import { bytes, startStore, type Store } from '../../support/store-registry.ts'

let directory: string
let source: Store
let mirror: Store
let config: string

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'berth-mirror-'))
  source = await startStore()
  mirror = await startStore()
  config = writeConfig('')
})

afterEach(async () => {
  await source.close()
  await mirror.close()
  rmSync(directory, { recursive: true, force: true })
})

function writeConfig(more: string): string {
  return write(
    'berth.yaml',
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: 'mirror.example', endpoint: '${mirror.url}', mirror: true }
  - { host: docker.io, endpoint: '${source.url}' }
fallback:
  - { name: hub, images: ['docker.io/**'], try: ['mirror.example/{host}/{path}', 'docker.io/{path}'] }
${more}`,
  )
}

function write(name: string, text: string): string {
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

const lines = (text: string): unknown[] =>
  text
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line))

describe('berth mirror', () => {
  it('copies a pair without a config', async () => {
    const digest = source.addImage('team/app', '1')
    const { code, stdout, stderr } = await berth([
      'mirror',
      `${source.host}/team/app:1`,
      `${mirror.host}/app:1`,
    ])

    expect({ code, stderr }).toMatchObject({ code: 0 })
    expect(stdout).toContain('copied: sha256:')
    expect(mirror.tags.get('app')?.get('1')).toBe(digest)
  })

  it('copies the signatures of the images that a policy covers', async () => {
    const signatureOf = (digest: string) => `${digest.replace(':', '-')}.sig`
    const [nginx, redis] = ['library/nginx', 'library/redis'].map((repository) =>
      signatureOf(source.addImage(repository, '1')),
    ) as [string, string]
    source.addImage('library/nginx', nginx)
    source.addImage('library/redis', redis)
    const policy = write(
      'policy.yaml',
      'apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: { name: signed }\nspec: { rules: [{ name: a, verifyImages: [{ imageReferences: ["docker.io/nginx*"] }] }] }\n',
    )
    const given = ['mirror', 'nginx:1', 'redis:1', '--config', config, '--policies', policy]
    const { code, stderr } = await berth(given)

    expect({ code, stderr }).toMatchObject({ code: 0 })
    expect(mirror.tags.get('docker.io/library/nginx')?.has(nginx)).toBe(true)
    expect(mirror.tags.get('docker.io/library/redis')?.has(redis)).toBe(false)
  })

  it('accepts docker:// before names, and no other prefix of skopeo', async () => {
    const digest = source.addImage('team/app', '1')
    const from = `docker://${source.host}/team/app:1`
    const copied = await berth(['mirror', from, `docker://${mirror.host}/app:1`])
    const archive = await berth(['mirror', from, 'docker-archive:app.tar'])

    expect(copied.code).toBe(0)
    expect(mirror.tags.get('app')?.get('1')).toBe(digest)
    expect(archive.code).not.toBe(0)
    expect(archive.stderr).toContain('`docker-archive:` is a prefix of skopeo and podman')
  })

  it('prints one JSON object per line with -o json, with the same keys for each image', async () => {
    source.addImage('library/nginx', 'latest')
    const audit = join(directory, 'audit.log')
    const args = [
      'mirror',
      'nginx',
      'redis',
      '--config',
      config,
      '-o',
      'json',
      '--audit-log',
      audit,
    ]
    const { code, stdout } = await berth(args)
    const records = lines(stdout) as { source: string; status: string }[]

    expect(code).toBe(1)
    expect(records.map(({ status, source: from }) => `${from} ${status}`).sort()).toEqual([
      'docker.io/library/nginx:latest copied',
      'docker.io/library/redis:latest failed',
    ])
    expect(new Set(records.map((each) => Object.keys(each).join()))).toHaveProperty('size', 1)
    await berth(args)
    expect(lines(readFileSync(audit, 'utf8'))).toHaveLength(4)
  })

  it('sends one HEAD to each side if there is nothing to do, and finds lost blobs with --deep', async () => {
    source.addImage('library/nginx', 'latest', { layers: [bytes(50)] })
    const mirrorNginx = (...more: string[]) =>
      berth(['mirror', 'nginx', '--config', config, ...more])
    await mirrorNginx()
    const [fromSource, fromMirror] = [source.requests.length, mirror.requests.length]
    const again = await mirrorNginx()
    const sent = [...source.requests.slice(fromSource), ...mirror.requests.slice(fromMirror)]
    mirror.blobs.get('docker.io/library/nginx')?.clear()
    const shallow = await mirrorNginx()
    const deep = await mirrorNginx('--deep')

    expect(sent.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'HEAD /v2/library/nginx/manifests/latest',
      'HEAD /v2/docker.io/library/nginx/manifests/latest',
    ])
    expect([again, shallow, deep].map(({ code }) => code)).toEqual([0, 0, 0])
    expect(shallow.stdout).toContain('current')
    expect(deep.stdout).toContain('repaired')
  })

  it('adds the tag of an image whose digest is already on the mirror, and moves no tag', async () => {
    const digest = source.addImage('library/nginx', '1.29')
    const mirrorImage = (name: string) => berth(['mirror', name, '--config', config])
    const tags = () => mirror.tags.get('docker.io/library/nginx')
    await mirrorImage(`nginx@${digest}`)
    const untagged = tags()?.get('1.29')
    await mirrorImage(`nginx:1.29@${digest}`)
    const tagged = tags()?.get('1.29')
    const newer = source.addImage('library/nginx', '1.29', { layers: [bytes(50, 'newer')] })
    await mirrorImage('nginx:1.29')
    const again = await mirrorImage(`nginx:1.29@${digest}`)

    expect([untagged, tagged, tags()?.get('1.29')]).toEqual([undefined, digest, newer])
    expect(again.stdout).toContain('current')
  })

  it('does not take two images of the table for a pair', async () => {
    source.addImage('library/nginx', 'latest')
    source.addImage('library/redis', 'latest', { layers: [bytes(10, 'redis')] })
    const { code } = await berth(['mirror', 'nginx', 'redis', '--config', config, '-q'])

    expect(code).toBe(0)
    expect([...mirror.tags.keys()].sort()).toEqual([
      'docker.io/library/nginx',
      'docker.io/library/redis',
    ])
    expect(source.requests.filter(({ method }) => method !== 'GET' && method !== 'HEAD')).toEqual(
      [],
    )
  })

  describe('with copy: false on a mirror', () => {
    const isWrite = ({ method }: { method: string }) => method !== 'GET' && method !== 'HEAD'

    beforeEach(() => {
      config = write(
        'berth.yaml',
        readFileSync(config, 'utf8').replace('mirror: true', 'mirror: true, copy: false'),
      )
      source.addImage('library/nginx', 'latest')
    })

    it('skips the image, and says why', async () => {
      const { code, stdout, stderr } = await berth(['mirror', 'nginx', '--config', config])

      expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
      expect(stderr).toContain(
        'docker.io/library/nginx:latest: mirror.example has copy: false, so Berth never pushes to it',
      )
      expect(mirror.requests.filter(isWrite)).toEqual([])
    })

    it('does not copy a pair either', async () => {
      const pair = ['nginx', 'mirror.example/nginx']
      const { code, stderr } = await berth(['mirror', ...pair, '--config', config])

      expect(code).toBe(1)
      expect(stderr).toContain('never pushes to it')
      expect(mirror.requests.filter(isWrite)).toEqual([])
    })

    it('copies to the other mirrors of the row', async () => {
      const other = await startStore()
      try {
        write(
          'berth.yaml',
          readFileSync(config, 'utf8')
            .replace(
              'registries:',
              `registries:\n  - { host: own.example, endpoint: '${other.url}', mirror: true }`,
            ) // prettier-ignore
            .replace("'docker.io/{path}'", "'own.example/{path}', 'docker.io/{path}'"),
        )
        const { code } = await berth(['mirror', 'nginx', '--config', config, '-q'])

        expect(code).toBe(0)
        expect([...other.tags.keys()]).toEqual(['library/nginx'])
        expect(mirror.requests).toEqual([])
      } finally {
        await other.close()
      }
    })

    it('compares the image with berth drift, and does not update it', async () => {
      const args = ['drift', 'nginx', '--config', config, '--update']
      const missing = await berth(args)
      expect(mirror.requests.filter(isWrite)).toEqual([])
      const pushed = write('pushed.yaml', readFileSync(config, 'utf8').replace(', copy: false', ''))
      await berth(['mirror', 'nginx', '--config', pushed, '-q'])
      const same = await berth(args)

      expect([missing.code, same.code]).toEqual([1, 0])
      expect(missing.stdout).toContain('mirror-missing')
      expect(missing.stderr).toContain(
        'mirror.example/docker.io/library/nginx:latest is not updated: mirror.example has copy: false',
      )
    })
  })

  it('writes nothing with --dry-run', async () => {
    source.addImage('library/nginx', 'latest', { layers: [bytes(1_000)] })
    const { code, stdout } = await berth([
      'mirror',
      'nginx',
      '--config',
      config,
      '--dry-run',
      '-o',
      'json',
    ])

    expect(code).toBe(0)
    expect(lines(stdout)).toMatchObject([{ status: 'planned', mirrorDigest: null, bytesThere: 0 }])
    expect(mirror.requests.every(({ method }) => method === 'HEAD' || method === 'GET')).toBe(true)
  })

  it('reads images from workloads and Lists', async () => {
    for (const name of ['a', 'b', 'c']) source.addImage(`library/${name}`, 'latest')
    const template = {
      spec: {
        containers: [{ name: 'x', image: 'a' }],
        initContainers: [{ name: 'y', image: 'b' }],
      },
    }
    const job = {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { name: 'j' },
      spec: { jobTemplate: { spec: { template } } },
    }
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      spec: { containers: [{ name: 'x', image: 'c' }] },
    }
    const text = `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [job, pod] })}\n---\n# from Helm\nkind: ConfigMap\napiVersion: v1\n`
    const { code } = await berth(['mirror', '-f', '-', '--config', config, '-q'], text)

    expect(code).toBe(0)
    expect([...mirror.tags.keys()].sort()).toEqual(
      ['a', 'b', 'c'].map((name) => `docker.io/library/${name}`),
    )
  })

  it('reads directories, kinds of the config, and the original images of rewritten pods', async () => {
    for (const name of ['a', 'b', 'c']) source.addImage(`library/${name}`, 'latest')
    config = writeConfig('workloads: [{ kind: argoproj.io/Rollout, pod: spec.template }]\n')
    mkdirSync(join(directory, 'deploy/below'), { recursive: true })
    const records = [
      { site: 'containers/x', from: 'a', to: 'mirror.example/a', row: null, why: '' },
    ]
    write(
      'deploy/pod.json',
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { annotations: { 'berth.dev/images': JSON.stringify(records) } },
        spec: { containers: [{ name: 'x', image: 'mirror.example/a' }] },
      }),
    )
    write(
      'deploy/below/rollout.yaml',
      'apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec: { template: { spec: { containers: [{ image: b }] } } }\n',
    )
    write('deploy/below/notes.txt', 'no: [manifest')
    const deploy = join(directory, 'deploy')
    const { code } = await berth(['mirror', '-f', deploy, '-R', '--config', config, '-q'])
    const nowhere = await berth(['mirror', '-f', '/nowhere.yaml', '--config', config])

    expect(code).toBe(0)
    expect([...mirror.tags.keys()].sort()).toEqual(
      ['a', 'b'].map((name) => `docker.io/library/${name}`),
    )
    expect(nowhere).toMatchObject({ code: 2, stderr: expect.stringContaining('manifest-invalid') })
  })

  it('copies the tags that the config selects by list, glob, range and number', async () => {
    for (const tag of ['1.0.0', '1.1.0', '1.2.0', '2.0.0', 'edge'])
      source.addImage('library/app', tag)
    config = writeConfig(`mirror:
  images:
    - { image: docker.io/library/app, semver: '^1', newest: 2 }
    - { image: docker.io/library/app, tags: ['ed*'] }
    - { image: docker.io/library/gone, newest: 1 }
`)
    const { code, stderr } = await berth(['mirror', '--config', config])

    expect(code).toBe(1)
    expect(stderr).toContain('docker.io/library/gone: the repository does not exist')
    expect([...(mirror.tags.get('docker.io/library/app')?.keys() ?? [])].sort()).toEqual([
      '1.1.0',
      '1.2.0',
      'edge',
    ])
  })

  it('rejects a manifest whose anchor contains an alias of itself', async () => {
    const text = 'apiVersion: v1\nkind: Pod\nspec: &a { <<: *a, containers: [{ image: nginx }] }\n'
    const { code, stderr } = await berth(['mirror', '-f', '-', '--config', config, '-q'], text)

    expect(code).toBe(2)
    expect(stderr).toContain('the alias is inside its own anchor')
  })

  it('skips names in a tag list that are not tags, because they would become part of a path', async () => {
    const elsewhere = '../../../victim/app/manifests/latest'
    source.addImage('library/app', '1.0.0')
    const theirs = source.addImage('victim/app', 'latest')
    source.tags.get('library/app')?.set(elsewhere, theirs)
    config = writeConfig(`mirror:
  images:
    - { image: docker.io/library/app, newest: 9 }
`)
    const { code } = await berth(['mirror', '--config', config])

    expect(code).toBe(0)
    expect([...mirror.manifests.keys()]).toEqual(['docker.io/library/app'])
  })

  it.each([
    ['an image without a mirror', ['ghcr.io/a/b:1'], 1, 'no row has a mirror for it'],
    ['--platform that is not one', ['nginx', '--platform', 'amd64'], 2, 'must be OS/ARCHITECTURE'],
    ['a command line without images', [], 2, 'no images to copy'],
    [
      'an option value that is not a number',
      ['nginx', '--jobs', 'many'],
      2,
      'Give a whole number from 1 to 256.',
    ],
    ['a name that does not parse', ['Nginx'], 1, 'invalid-reference'],
    [
      'an audit log that cannot be written',
      ['nginx', '--audit-log', '/proc/none'],
      2,
      '--audit-log takes a file',
    ],
  ])('reports %s', async (_, args, code, message) => {
    const outcome = await berth(['mirror', ...args, '--config', config])

    expect(outcome.code).toBe(code)
    expect(outcome.stderr).toContain(message)
  })

  it('exits with 143 on SIGTERM', async () => {
    source.addImage('library/nginx', 'latest')
    const stopping = new AbortController()
    mirror.fault(() => {
      stopping.abort('SIGTERM')
      return null
    })
    const { code, stdout } = await berth(
      ['mirror', 'nginx', '--config', config, '-o', 'json'],
      '',
      stopping.signal,
    )

    expect(code).toBe(143)
    expect(lines(stdout)).toMatchObject([{ status: 'failed', error: { message: 'stopped' } }])
  })
})

describe('berth drift', () => {
  it('reports a broken mirror with --deep, and repairs it with --update', async () => {
    source.addImage('library/nginx', 'latest', { layers: [bytes(50)] })
    await berth(['mirror', 'nginx', '--config', config])
    mirror.blobs.get('docker.io/library/nginx')?.clear()
    const shallow = await berth(['drift', 'nginx', '--config', config])
    const deep = await berth(['drift', 'nginx', '--config', config, '--deep'])
    const update = await berth(['drift', 'nginx', '--config', config, '--deep', '--update'])

    expect([shallow.code, deep.code, update.code]).toEqual([0, 1, 0])
    expect(deep.stdout).toMatch(
      /^broken .*\n {4}mirror\.example lacks blob sha256:\w+ and 1 more\n$/,
    )
    expect(update.stdout).toContain('repaired: ')
  })

  it('reports drift, copies with --update, and then reports none', async () => {
    source.addImage('library/nginx', 'latest')
    await berth(['mirror', 'nginx', '--config', config, '-q'])
    source.addImage('library/nginx', 'latest', { layers: [bytes(50, 'new')] })
    const reported = await berth(['drift', 'nginx', '--config', config, '-o', 'json'])
    const updated = await berth(['drift', 'nginx', '--config', config, '--update'])
    const after = await berth(['drift', 'nginx', '--config', config])

    expect([reported.code, updated.code, after.code]).toEqual([1, 0, 0])
    expect(lines(reported.stdout)).toMatchObject([{ state: 'upstream-moved', row: 'hub' }])
    expect(after.stdout).toMatch(/^same/)
  })

  it('does not overwrite an image that someone else pushed to the mirror', async () => {
    const audit = join(directory, 'audit.log')
    source.addImage('library/nginx', 'latest')
    await berth(['mirror', 'nginx', '--config', config, '-q', '--audit-log', audit])
    const theirs = mirror.addImage('docker.io/library/nginx', 'latest', {
      layers: [bytes(7, 'theirs')],
    })
    const { code, stdout } = await berth([
      'drift',
      'nginx',
      '--config',
      config,
      '--update',
      '--audit-log',
      audit,
    ])

    expect(code).toBe(1)
    expect(stdout).toContain('mirror-ahead')
    expect(mirror.tags.get('docker.io/library/nginx')?.get('latest')).toBe(theirs)
  })

  it('rejects --restart without --update', async () => {
    expect(await berth(['drift', 'nginx', '--config', config, '--restart'])).toMatchObject({
      code: 2,
    })
  })
})
