/**
 * Runs Berth with real policy engines: a policy for upstream names misses the mirrored images, `berth check --policies`
 * reports this, and the policy that `berth policies render` writes covers them.
 */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { pushImage } from '../harness/images.ts'
import { create, getJson, kubectl, kubectlOk, removeNamespaces } from '../harness/kubectl.ts'
import { type Pod, podManifest } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { waitFor } from '../harness/wait.ts'
import { startWebhook, type Webhook } from '../harness/webhook.ts'
import { createSigningKey, signImage } from './cosign-signature.ts'
import {
  startKyvernoForClusterPolicies,
  startKyvernoForImageValidatingPolicies,
} from './kyverno.ts'
import type { PolicyEngine } from './policy-engine.ts'
import { startPolicyController } from './policy-controller.ts'

const key = createSigningKey()
let upstream: Registry
let mirror: Registry
let webhook: Webhook
let configFile: string

beforeAll(async () => {
  const cluster = currentCluster()
  // The engines speak plain HTTP with registries at local addresses only.
  upstream = await startRegistry(cluster, { name: 'policies-upstream' })
  mirror = await startRegistry(cluster, { name: 'policies-mirror' })
  for (const name of ['signed', 'unsigned']) {
    const repository = `org/${name}`
    const of = { registry: upstream.url, repository }
    const digest = await pushImage({ ...of, tag: '1', binary: cluster.pauseBinary, marker: name })
    if (name === 'signed') await signImage(of, digest, key)
  }
  const config = `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: '${mirror.host}', endpoint: '${mirror.url}', mirror: true }
  - { host: '${upstream.host}', endpoint: '${upstream.url}' }
fallback:
  - { name: upstream, images: ['${upstream.host}/**'], try: ['${mirror.host}/{path}', '${upstream.host}/{path}'] }
`
  configFile = join(mkdtempSync(join(tmpdir(), 'berth-policies-')), 'berth.yaml')
  writeFileSync(configFile, config)
  const policy = join(configFile, '../policy.yaml')
  writeFileSync(
    policy,
    `apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: all }
spec: { rules: [{ name: all, verifyImages: [{ imageReferences: ['*'] }] }] }
`,
  )
  const images = ['signed', 'unsigned'].map((name) => `${upstream.host}/org/${name}:1`)
  const copied = await runBerth(['mirror', ...images, '--config', configFile, '--policies', policy])
  expect(copied).toMatchObject({ code: 0 })
  webhook = await startWebhook({
    name: 'policies',
    config,
    canary: `${upstream.host}/org/signed:1`,
  })
})

afterAll(async () => {
  await webhook?.stop()
  await upstream?.stop()
  await mirror?.stop()
})

describe.each([
  ['policy-controller', startPolicyController],
  ['kyverno-cluster-policy', startKyvernoForClusterPolicies],
  ['kyverno-image-validating-policy', startKyvernoForImageValidatingPolicies],
])('%s', (name, start) => {
  const upstreamNames = `${name}-upstream`
  const mirroredNames = `${name}-mirrored`
  let engine: PolicyEngine

  beforeAll(async () => {
    engine = await start()
    const labels = Object.entries(engine.namespaceLabels).map(
      ([label, value]) => `${label}=${value}`,
    )
    for (const namespace of [upstreamNames, mirroredNames]) {
      await kubectlOk(['create', 'namespace', namespace])
      if (labels.length > 0) await kubectlOk(['label', 'namespace', namespace, ...labels])
    }
    await kubectlOk(['label', 'namespace', upstreamNames, 'berth.dev/rewrite=disabled'])
  }, 3_600_000)

  afterAll(async () => {
    await removeNamespaces(upstreamNames, mirroredNames)
    await engine?.stop()
  })

  const podOf = (image: string, namespace: string) =>
    podManifest({ name: image, image: `${upstream.host}/org/${image}:1`, namespace })

  const dryRun = (image: string, namespace: string) =>
    kubectl(['create', '--dry-run=server', '-o', 'json', '-f', '-'], {
      input: JSON.stringify(podOf(image, namespace)),
    })

  const isRefused = async (image: string, namespace: string) =>
    (await dryRun(image, namespace)).code !== 0

  test('admits unsigned images under their mirrored names until the policy is rendered', async () => {
    await engine.applyPolicy(engine.policy([`${upstream.host}/org`], key.publicKeyPem))
    await waitFor('the refusal of the upstream name', () => isRefused('unsigned', upstreamNames))
    const signed = await dryRun('signed', upstreamNames)
    expect(signed).toMatchObject({ code: 0 })

    // The gap: the unsigned image runs.
    const missed = await dryRun('unsigned', mirroredNames)
    expect(missed).toMatchObject({ code: 0 })
    expect((JSON.parse(missed.stdout) as Pod).spec.containers[0]?.image).toContain(mirror.host)

    const given = ['--config', configFile, '--policies', 'cluster']
    const check = await runBerth(['check', ...given])
    expect(check).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('the image is not verified under its new name') as string,
    })
    const rendered = await runBerth(['policies', 'render', ...given])
    expect(rendered).toMatchObject({ code: 0 })
    await engine.applyPolicy(rendered.stdout)
    await waitFor('the refusal of the mirrored name', () => isRefused('unsigned', mirroredNames))
    expect(await isRefused('unsigned', upstreamNames)).toBe(true)
    expect(await runBerth(['check', ...given])).toMatchObject({ code: 0 })

    const created = await create(podOf('signed', mirroredNames))
    expect(created).toMatchObject({ code: 0 })
    const pod = await waitFor('the signed pod to run', async () => {
      const current = await getJson<Pod>('pod', 'signed', mirroredNames)
      return current.status.phase === 'Running' && current
    })
    // The engine added the digest of the image that Berth chose.
    expect(pod.spec.containers[0]?.image).toMatch(
      new RegExp(`^${mirror.host.replaceAll('.', '\\.')}/org/signed:1@sha256:[0-9a-f]{64}$`),
    )
  })
})
