import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'
import { type FakeRegistry, startFakeRegistry } from '../../support/registry.ts'

const anubis = fileURLToPath(
  new URL('../../../webhook-config/examples/anubis.yaml', import.meta.url),
)

describe('berth explain --no-probe -o json', () => {
  it('prints the members that docs/cli.md promises', async () => {
    const { code, stdout } = await berth(
      ['explain', '-', '--no-probe', '-o', 'json', '--config', anubis],
      'nginx\nanubis:32000/ushadow-x\n',
    )
    const unasked = {
      outcome: 'unasked',
      detail: null,
      milliseconds: null,
      digest: null,
      proxy: null,
    }

    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual([
      {
        image: 'nginx',
        reference: { domain: 'docker.io', path: 'library/nginx', tag: 'latest', digest: null },
        row: 'docker-hub',
        left: false,
        undecidedRows: [],
        candidates: [
          {
            image: 'anubis:32000/docker.io/library/nginx:latest',
            registry: 'anubis:32000',
            ...unasked,
          },
          { image: 'docker.io/library/nginx:latest', registry: 'docker.io', ...unasked },
        ],
        chosen: 'anubis:32000/docker.io/library/nginx:latest',
        changed: true,
        pinned: false,
        followsRevision: true,
        pullSecrets: [],
        warnings: [],
      },
      {
        image: 'anubis:32000/ushadow-x',
        reference: { domain: 'anubis:32000', path: 'ushadow-x', tag: 'latest', digest: null },
        row: 'local-builds',
        left: false,
        undecidedRows: [],
        candidates: [
          { image: 'anubis:32000/ushadow-x:latest', registry: 'anubis:32000', ...unasked },
          { image: 'ghcr.io/your-org/ushadow-x:latest', registry: 'ghcr.io', ...unasked },
        ],
        chosen: 'anubis:32000/ushadow-x:latest',
        changed: false,
        pinned: false,
        followsRevision: true,
        pullSecrets: [],
        warnings: [],
      },
    ])
  })

  it('names the proxy of each registry, without its password', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'berth-')), 'berth.yaml')
    writeFileSync(
      file,
      `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: m.example, mirror: true, proxy: 'http://me:CANARY@proxy.example:3128' }
  - { host: n.example, mirror: true, proxy: none }
fallback: [{ name: a, images: ['**'], try: ['m.example/{path}', 'n.example/{path}'] }]
`,
    )
    const args = ['explain', 'nginx', '--no-probe', '--config', file]
    const table = await berth(args)
    const json = await berth([...args, '-o', 'json'])

    expect(table.stdout).toContain('proxy http://proxy.example:3128')
    expect(JSON.parse(json.stdout)).toMatchObject([
      { candidates: [{ proxy: 'http://proxy.example:3128' }, { proxy: null }] },
    ])
    expect(table.stdout + table.stderr + json.stdout).not.toContain('CANARY')
  })

  it('prints an element with an error for a name that does not parse, and exits with 1', async () => {
    const { code, stdout } = await berth(
      ['explain', '-', '--no-probe', '-o', 'json', '--config', anubis],
      'nginx\n nginx\n\nquay.io/x/y',
    )
    const elements = JSON.parse(stdout) as {
      image: string
      error?: { code: string; message: string }
      row?: string | null
    }[]

    expect(code).toBe(1)
    expect(elements.map(({ image, error }) => [image, error?.code])).toEqual([
      ['nginx', undefined],
      [' nginx', 'invalid-reference'],
      ['', 'invalid-reference'],
      ['quay.io/x/y', undefined],
    ])
    expect(elements[1]?.error?.message).toMatch(/^invalid-format: there is white space/)
    expect(elements[3]?.row).toBeNull()
  })

  it('warns of a missing port, an empty host and an upper-case host', async () => {
    const { stdout } = await berth([
      'explain',
      'anubis/app',
      'foo_bar.com/x',
      'GHCR.IO/x',
      '--no-probe',
      '-o',
      'json',
      '--config',
      anubis,
    ])
    const warnings = (JSON.parse(stdout) as { warnings: string[] }[]).map((each) => each.warnings)

    expect(warnings).toEqual([
      [
        'anubis has no dot and no port, so it is a user on Docker Hub; did you mean anubis:32000/app?',
      ],
      ['the part before the first / is not a valid host, so no row matches'],
      ['container runtimes do not treat GHCR.IO as ghcr.io'],
    ])
  })
})

describe('the digest of a revision in berth explain', () => {
  it.each([
    ['nginx', [], true],
    ['nginx', ['--owner', 'apps/ReplicaSet'], true],
    ['nginx', ['--owner', 'none'], false],
    ['nginx:1.27', [], false],
  ])('applies to %s with %j: %s', async (image, options, followsRevision) => {
    const args = ['explain', image, '--no-probe', '--config', anubis, ...options]
    const { stdout } = await berth([...args, '-o', 'json'])

    expect(JSON.parse(stdout)).toMatchObject([{ followsRevision }])
  })
})

describe('berth explain for a pod', () => {
  const config = join(mkdtempSync(join(tmpdir(), 'berth-test-')), 'berth.yaml')
  writeFileSync(
    config,
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: anubis:32000, mirror: true }]
fallback:
  - name: databases
    when: { namespaces: ['db-*'], owners: [db.example/Cluster] }
    leave: true
  - { name: labelled, when: { pods: { matchLabels: { app: db } } }, images: ['quay.io/**'], try: ['anubis:32000/{path}'] }
  - { name: hub, images: ['docker.io/**'], try: ['anubis:32000/{path}'] }
pullPolicy: [{ images: ['anubis:32000/**'], when: { namespaces: [prod] }, set: Always }]
pullSecrets: [{ registries: ['anubis:32000'], secret: creds, when: { namespaces: ['db-*'] } }]
`,
  )
  const explain = async (...args: string[]) => {
    const { code, stdout } = await berth([
      'explain',
      'postgres:17',
      '--no-probe',
      '--output=json',
      `--config=${config}`,
      ...args,
    ])
    const [element] = JSON.parse(stdout) as Record<string, unknown>[]
    return { code, ...element }
  }

  it.each([
    ['-n', 'db-1', '--labels', 'app=db,tier=a', '--owner', 'db.example/Cluster'],
    ['-n', 'db-1', '--labels', '', '--owner', 'apps/ReplicaSet', '--owner', 'db.example/Cluster'],
  ])('decides by %s %s %s %s', async (...args) => {
    expect(await explain(...args)).toMatchObject({
      code: 0,
      row: 'databases',
      left: true,
      chosen: 'docker.io/library/postgres:17',
      changed: false,
      pullSecrets: [],
      undecidedRows: [],
      warnings: [],
    })
  })

  it('decides for a pod without owners', async () => {
    expect(await explain('-n', 'db-1', '--labels', '', '--owner', 'none')).toMatchObject({
      row: 'hub',
      left: false,
      pullSecrets: ['creds'],
      undecidedRows: [],
      warnings: [],
    })
  })

  it('lists the rows and rules that depend on what is not known, and the options that give it', async () => {
    expect(await explain()).toMatchObject({
      row: 'hub',
      undecidedRows: ['databases'],
      warnings: [
        'row databases may apply: it depends on the namespace and owners of the pod, which are not known; give --namespace and --owner',
        'pullPolicy[0] may apply: it depends on the namespace of the pod, which is not known; give --namespace',
        'pull secret creds may apply: it depends on the namespace of the pod, which is not known; give --namespace',
      ],
    })
    expect(await explain('-n', 'web')).toMatchObject({ undecidedRows: [], warnings: [] })
  })

  it('prints the row of an image that stays unchanged', async () => {
    const { stdout } = await berth([
      'explain',
      'postgres:17',
      '--no-probe',
      `--config=${config}`,
      '--namespace=db-1',
      '--owner=db.example/Cluster',
    ])

    expect(stdout).toBe('postgres:17  →  left unchanged\n  row databases\n')
  })

  it.each([
    ['--owner', 'ReplicaSet'],
    ['--owner', 'apps/v1/ReplicaSet'],
    ['--labels', 'app'],
  ])('rejects %s %s', async (...args) => {
    const { code, stderr } = await berth(['explain', 'nginx', '--config', config, ...args])

    expect(code).toBe(2)
    expect(stderr).toContain('Write ')
  })
})

describe('berth explain --no-probe', () => {
  it('prints YAML', async () => {
    const { stdout } = await berth([
      'explain',
      'nginx',
      '--no-probe',
      '-o',
      'yaml',
      '--config',
      anubis,
    ])

    expect(stdout).toContain('chosen: anubis:32000/docker.io/library/nginx:latest')
  })
})

describe('berth explain', () => {
  let mirror: FakeRegistry
  let upstream: FakeRegistry
  let config: string
  let digest: string

  beforeAll(async () => {
    mirror = await startFakeRegistry()
    upstream = await startFakeRegistry()
    digest = mirror.addManifest({ repository: 'library/nginx', tag: 'latest' })
    upstream.addManifest({
      repository: 'library/other',
      tag: 'latest',
      body: '{"schemaVersion":2,"config":{}}',
    })
    config = join(mkdtempSync(join(tmpdir(), 'berth-test-')), 'berth.yaml')
    writeFileSync(
      config,
      `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: mirror.example, endpoint: '${mirror.url}', mirror: true }
  - { host: docker.io, endpoint: '${upstream.url}' }
  - { host: dead.example, endpoint: 'http://127.0.0.1:1' }
fallback:
  - { name: dead, images: [quay.io/x], try: [dead.example/x] }
  - { name: hub, images: ['docker.io/**'], try: ['mirror.example/{path}', 'docker.io/{path}'] }
pin: { tags: [latest] }
pullSecrets: [{ registries: [mirror.example], secret: mirror-creds }]
`,
    )
  })

  afterAll(async () => {
    await mirror.close()
    await upstream.close()
  })

  it('shows under which condition the pods of a revision get the same digest', async () => {
    const explain = async (...args: string[]) =>
      (await berth(['explain', 'nginx', '--config', config, ...args])).stdout

    expect(await explain()).toContain(
      'all pods of a revision get the same digest if the webhook may list pods (component same-digest)',
    )
    expect(await explain('--owner', 'none')).not.toContain('revision')
  })

  it('shows the row for the pods of an owner in conflict', async () => {
    const args = ['explain', 'nginx', '--no-probe', '--in-conflict', '-o', 'json']
    const { stdout } = await berth([...args, '--config', config])

    expect(JSON.parse(stdout)).toMatchObject([
      { row: 'detected:image-conflict', left: true, changed: false },
    ])
  })

  it('prints the answer of each registry', async () => {
    const { code, stdout } = await berth([
      'explain',
      'nginx',
      'other',
      'quay.io/x',
      '-o',
      'json',
      '--config',
      config,
    ])
    const [onMirror, onHub, nowhere] = JSON.parse(stdout) as Record<string, unknown>[]

    // 3: no registry of the last image could be reached.
    expect(code).toBe(3)
    expect(onMirror).toMatchObject({
      chosen: `mirror.example/library/nginx:latest@${digest}`,
      pinned: true,
      pullSecrets: ['mirror-creds'],
      candidates: [
        { outcome: 'found', digest, milliseconds: expect.any(Number) },
        { outcome: 'unasked' },
      ],
    })
    expect(onHub).toMatchObject({
      changed: true,
      pinned: true,
      chosen: expect.stringMatching(/^docker\.io\/library\/other:latest@sha256:/),
      candidates: [{ outcome: 'absent' }, { outcome: 'found' }],
    })
    expect(nowhere).toMatchObject({
      changed: false,
      row: 'dead',
      candidates: [{ outcome: 'unreachable', detail: expect.stringContaining('ECONNREFUSED') }],
      warnings: [expect.stringContaining('dead.example unreachable')],
    })
  })
})
