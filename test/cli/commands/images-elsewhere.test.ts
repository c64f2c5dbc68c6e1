import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'

const site = (name: string, image: string) =>
  `apiVersion: example.com/v1
kind: Site
metadata: { name: ${name} }
spec:
  replicas: 2
  agents:
  - image: ${image}
  template: { spec: { containers: [{ image: '${image}' }] } }
`
const operator = `apiVersion: apps/v1
kind: Deployment
metadata: { name: operator }
spec:
  template:
    spec:
      containers:
      - image: anubis:32000/docker.io/acme/operator:1
        args:
        - --reloader=docker.io/acme/reloader:1
`
const release = (name: string) => `apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: { name: ${name} }
spec:
  values:
    image: { repository: docker.io/acme/web, tag: "2" }
    sidecar: { repository: docker.io/acme/sidecar, tag: "" }
`

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
  put(
    'berth.yaml',
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['anubis:32000/{host}/{path}', 'docker.io/{path}'] }]
`,
  )
})

function put(name: string, text: string): string {
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

const rewrite = (file: string, ...args: string[]) =>
  berth(['rewrite', '--no-probe', '--config', join(directory, 'berth.yaml'), '-f', file, ...args])

describe('berth rewrite with images in other places', () => {
  it('reports each kind of place once, with its line and the entry of workloads', async () => {
    const text = [site('a', 'nginx:1'), site('b', 'nginx:2'), operator].join('---\n')
    const file = put('all.yaml', text)
    const { code, stdout, stderr } = await rewrite(file)

    expect({ code, stdout }).toEqual({ code: 0, stdout: text })
    expect(stderr.split('\n')).toEqual([
      'berth: 5 images are not rewritten: 4 in fields of custom resources, 1 in arguments',
      `  ${file}:7: example.com/Site a: spec.agents[0].image: nginx:1, and 1 more of this kind; to rewrite it, add to workloads: - { kind: example.com/Site, images: ['spec.agents[].image'] }`,
      `  ${file}:8: example.com/Site a: spec.template.spec.containers[0].image: nginx:1, and 1 more of this kind; to rewrite it, add to workloads: - { kind: example.com/Site, pod: 'spec.template' }`,
      `  ${file}:28: apps/Deployment operator: spec.template.spec.containers[0].args[0]: docker.io/acme/reloader:1`,
      '',
    ])
  })

  it('lists all with -o json, and rewrites what the entry names', async () => {
    const file = put('site.yaml', site('a', 'nginx:1'))
    const found = JSON.parse((await rewrite(file, '-o', 'json')).stdout) as object[]

    expect(found).toHaveLength(2)
    expect(found[0]).toMatchObject({
      file,
      line: 7,
      object: 'example.com/Site a',
      from: 'nginx:1',
      to: 'nginx:1',
      row: 'hub',
      changed: false,
      place: 'custom-resource',
      workload: "- { kind: example.com/Site, images: ['spec.agents[].image'] }",
    })
  })

  it('exits with 1 for --check --strict only', async () => {
    const file = put('operator.yaml', operator)

    expect((await rewrite(file, '--check')).code).toBe(0)
    expect((await rewrite(file, '--check', '--strict')).code).toBe(1)
    expect(await rewrite(file, '--strict')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--strict only works with --check') as unknown,
    })
  })
})

describe('berth diff, as every command that plans from manifests', () => {
  it('includes images of Helm values, and names what it leaves out', async () => {
    put('left.yaml', `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nfallback: []\n`)
    const file = put('releases.yaml', [release('a'), release('b')].join('---\n'))
    const [old, current] = [join(directory, 'left.yaml'), join(directory, 'berth.yaml')]
    const { stdout, stderr } = await berth(['diff', old, current, '-f', file])

    expect(stdout).toContain('docker.io/acme/web:2')
    expect(stderr).toContain('images outside of pod templates are included: 2 in Helm values')
    expect(stderr).toContain(
      'images that have no tag, or that are in text, are not included: 2 in Helm values',
    )
    expect(stderr).toContain('helm.toolkit.fluxcd.io/HelmRelease (2): the charts can use more')
  })
})
