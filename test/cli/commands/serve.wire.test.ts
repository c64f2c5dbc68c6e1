import { mkdtempSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'
import { type FakeRegistry, startFakeRegistry } from '../../support/registry.ts'

const directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
let registry: FakeRegistry
let config: string

beforeAll(async () => {
  registry = await startFakeRegistry()
  registry.addManifest({ repository: 'library/nginx', tag: 'latest' })
  config = join(directory, 'berth.yaml')
  writeFileSync(
    config,
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: anubis:32000, endpoint: '${registry.url}', mirror: true }
  - { host: ghcr.io, endpoint: 'http://127.0.0.1:1' }
fallback:
  - { name: docker-hub, images: ['docker.io/**'], try: ['anubis:32000/{path}'] }
  - { name: ghcr, images: ['ghcr.io/**'], try: ['anubis:32000/{path}', 'ghcr.io/{path}'] }
pin: { tags: [latest] }
`,
  )
  await berth(['certs', '--out', join(directory, 'certs'), '--names', 'localhost,127.0.0.1'])
})

afterAll(() => registry.close())

describe('dev', () => {
  it('admits the sample through its own door, and shows what changed and why', async () => {
    const { code, stdout } = await berth(['dev', '--once', '--config', config])

    expect(code).toBe(0)
    expect(stdout).toMatch(/^ {2}- +image: nginx\n/m)
    expect(stdout).toMatch(
      /^ {2}\+ +image: anubis:32000\/library\/nginx:latest@sha256:[0-9a-f]{64}$/m,
    )
    expect(stdout).toContain('row docker-hub: found on anubis:32000')
    expect(stdout).toMatch(
      /row ghcr: anubis:32000 absent \(404.*\); the original on ghcr\.io; not pinned: ECONNREFUSED/,
    )
    expect(stdout).toContain('no row matches; image unchanged')
    expect(stdout).toContain('Warning: berth: ghcr.io/rclone/rclone:latest: anubis:32000 absent')
  })

  it('says of each candidate that it could not be reached, and leaves the pod as it is', async () => {
    const dead = join(directory, 'dead.yaml')
    writeFileSync(
      dead,
      `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nregistries: [{ host: m.example, endpoint: 'http://127.0.0.1:1' }, { host: n.example, endpoint: 'http://127.0.0.1:1' }]\nfallback: [{ name: dead, images: ['**'], try: ['m.example/{path}', 'n.example/{path}'] }]\n`,
    )
    const { code, stdout } = await berth(['dev', '--once', '--config', dead])

    expect(code).toBe(0)
    expect(stdout).toMatch(
      /m\.example unreachable \(ECONNREFUSED[^)]*\), n\.example unreachable \(ECONNREFUSED[^)]*\); not found; image unchanged/,
    )
    expect(stdout).not.toMatch(/^ {2}\+ +image:/m)
  })

  it('plays the mirror itself without a config, and takes another review', async () => {
    const review = join(directory, 'review.json')
    writeFileSync(
      review,
      JSON.stringify({
        apiVersion: 'admission.k8s.io/v1',
        kind: 'AdmissionReview',
        request: {
          uid: 'u',
          operation: 'CREATE',
          namespace: 'n',
          resource: { group: '', version: 'v1', resource: 'pods' },
          object: { metadata: {}, spec: { containers: [{ name: 'a', image: 'nginx' }] } },
        },
      }),
    )
    const { stdout } = await berth(['dev', '--once', '--review', review])

    expect(stdout).toContain('answers for anubis:32000')
    expect(stdout).toContain('+      image: anubis:32000/library/nginx:latest@sha256:')
  })

  it('serves until it is told to stop', async () => {
    const stop = new AbortController()
    stop.abort()
    const { code, stdout } = await berth(['dev', '--config', config], '', stop.signal)

    expect(code).toBe(0)
    expect(stdout).toMatch(
      /^try next: {2}curl --cacert \S+ca\.crt -H 'content-type: application\/json' --data-binary @\S+review\.json 'https:\/\/localhost:\d+\/mutate\?timeout=5s'$/m,
    )
  })
})

describe('serve', () => {
  const certificate = [
    '--tls-cert',
    join(directory, 'certs/tls.crt'),
    '--tls-key',
    join(directory, 'certs/tls.key'),
  ]

  it('starts, says where, and stops when it is told to', async () => {
    const stop = new AbortController()
    stop.abort()
    const { code, stderr } = await berth(
      [
        'serve',
        '--config',
        config,
        '--host',
        '127.0.0.1',
        '--port',
        '0',
        '--metrics-port',
        '0',
        ...certificate,
      ],
      '',
      stop.signal,
    )
    const messages = stderr
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { msg: string }).msg)

    expect(code).toBe(0)
    expect(messages.slice(-2)).toEqual(['listening', 'stopped'])
  })

  it('names a port that is taken', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as AddressInfo
    const { code, stderr } = await berth([
      'serve',
      '--config',
      config,
      '--host',
      '127.0.0.1',
      '--port',
      String(port),
      '--metrics-port',
      '0',
      ...certificate,
    ])
    other.close()

    expect(code).toBe(2)
    expect(stderr).toContain(`berth: listen-failed: cannot listen on 127.0.0.1:${port}: EADDRINUSE`)
  })

  it.each([
    [
      'that is missing',
      ['--tls-cert', '/nowhere/tls.crt', '--tls-key', '/nowhere/tls.key'],
      'cannot be read: ENOENT',
    ],
    [
      'with another key',
      [
        '--tls-cert',
        join(directory, 'certs/tls.crt'),
        '--tls-key',
        join(directory, 'certs/ca.key'),
      ],
      'does not match the key',
    ],
  ])('names a certificate %s', async (_, options, message) => {
    const { code, stderr } = await berth(['serve', '--config', config, ...options])

    expect(code).toBe(2)
    expect(stderr).toContain('berth: certificate-invalid')
    expect(stderr).toContain(message)
  })
})
