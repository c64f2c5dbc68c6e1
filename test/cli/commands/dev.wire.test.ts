import { mkdtempSync, writeFileSync } from 'node:fs'
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
})

afterAll(() => registry.close())

describe('berth dev', () => {
  it('admits the sample pod over HTTPS, and prints the changes and reasons', async () => {
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

  it('admits the pod of a Deployment', async () => {
    const review = join(directory, 'deployment.yaml')
    writeFileSync(
      review,
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec: { template: { spec: { containers: [{ name: web, image: nginx }] } } }\n',
    )
    const { code, stdout } = await berth(['dev', '--once', '--config', config, '--review', review])

    expect(code).toBe(0)
    expect(stdout).toMatch(/^ {2}\+.*image: anubis:32000\/library\/nginx:latest@sha256:/m)
  })

  it('prints that no candidate could be reached, and leaves the pod unchanged', async () => {
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

  it('starts a stand-in for the mirror without a config, and admits the review in --review', async () => {
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
    expect(stdout).toContain('+      image: anubis:32000/docker.io/library/nginx:latest@sha256:')
  })

  it('serves until the signal aborts', async () => {
    const stop = new AbortController()
    stop.abort()
    const { code, stdout } = await berth(['dev', '--config', config], '', stop.signal)

    expect(code).toBe(0)
    expect(stdout).toMatch(
      /^try next: {2}curl --cacert \S+ca\.crt -H 'content-type: application\/json' --data-binary @\S+review\.json 'https:\/\/localhost:\d+\/mutate\?timeout=5s'$/m,
    )
  })
})
