import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { berth } from '../support/io.ts'
import {
  replyStatus,
  type ScriptedApiServer,
  startScriptedApiServer,
} from '../support/scripted-api-server.ts'

let server: ScriptedApiServer
let directory: string
let given: string[]

beforeEach(async () => {
  server = await startScriptedApiServer({ isHttps: true })
  directory = mkdtempSync(join(tmpdir(), 'berth-policies-'))
  const [config, kubeconfig] = [join(directory, 'berth.yaml'), join(directory, 'kubeconfig')]
  writeFileSync(kubeconfig, server.kubeconfig(), { mode: 0o600 })
  writeFileSync(
    config,
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: m.example, mirror: true }]
fallback: [{ name: ghcr, images: ['ghcr.io/**'], try: ['m.example/{path}', 'ghcr.io/{path}'] }]
`,
  )
  given = ['--config', config, '--policies', 'cluster', '--kubeconfig', kubeconfig]
})

afterEach(async () => {
  await server.close()
  rmSync(directory, { recursive: true })
})

/** The group of ClusterImagePolicies; the cluster has no other group with policies. */
function serveGroup(): void {
  const versions = ['v1beta1', 'v1alpha1'].map((version) => ({
    groupVersion: `policy.sigstore.dev/${version}`,
    version,
  }))
  server.script({ path: '/apis/policy.sigstore.dev' }, (response) => {
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ kind: 'APIGroup', versions, preferredVersion: versions[0] }))
  })
}

const policy = {
  metadata: {
    name: 'signed',
    resourceVersion: '7',
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{}', team: 'a' },
  },
  spec: { images: [{ glob: 'ghcr.io/org/**' }] },
  status: { conditions: [] },
}

it('reads the policies of the groups that the cluster serves', async () => {
  server.kube.put('clusterimagepolicies', policy)
  serveGroup()
  const { code, stdout, stderr } = await berth(['check', ...given])

  expect({ code, stderr }).toMatchObject({ code: 1 })
  expect(stdout).toContain(
    'cluster:1: ClusterImagePolicy signed, spec.images: the image is not verified under its new name: for example ghcr.io/org/x:x → m.example/org/x:x (row ghcr)',
  )
})

it('renders them without what the API server adds', async () => {
  server.kube.put('clusterimagepolicies', policy)
  serveGroup()
  const { code, stdout } = await berth(['policies', 'render', ...given])

  expect(code).toBe(0)
  expect(stdout).not.toMatch(/status|resourceVersion|last-applied/)
  expect(stdout).toContain(`  annotations:
    team: a`)
  expect(stdout).toContain(`    - glob: ghcr.io/org/**
    - glob: "m.example/org/**"`)
})

it('exits with 2 and writes nothing if the cluster has no policies', async () => {
  const { code, stdout, stderr } = await berth(['policies', 'render', ...given])

  expect([code, stdout]).toEqual([2, ''])
  expect(stderr).toContain('no policies found in cluster')
})

it('exits with 3 if the policies cannot be listed', async () => {
  serveGroup()
  server.script({ path: '/clusterimagepolicies' }, replyStatus(403, 'Forbidden'))
  const { code, stderr } = await berth(['check', ...given])

  expect([code, stderr]).toEqual([3, expect.stringContaining('cluster-forbidden')])
})
