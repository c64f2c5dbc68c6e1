import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  keepOwnCertificate,
  type OwnCertificate,
} from '../../src/webhook/certificate/own-certificate.ts'
import { type Cluster, connect } from '../../src/kube/connect.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import type { KeyPair } from '../../src/webhook/certificate/certificate-files.ts'
import { isTrusted } from '../../src/webhook/certificate/rotation.ts'
import { createLogs } from '../../src/telemetry/log.ts'
import { PassThrough } from 'node:stream'
import { currentCluster } from '../harness/cluster.ts'
import { waitFor } from '../harness/wait.ts'

/** Replicas that share a certificate Secret and a webhook configuration on a real API server. */
const namespace = 'own-certificate'
const webhook = 'own-certificate'
const secrets = { apiVersion: 'v1', resource: 'secrets', namespace }
const configuration = {
  apiVersion: 'admissionregistration.k8s.io/v1',
  resource: 'mutatingwebhookconfigurations',
}
let cluster: Cluster

beforeAll(async () => {
  cluster = await connect({ kubeconfig: currentCluster().kubeconfig, env: {} })
  await cluster.api.create(
    { apiVersion: 'v1', resource: 'namespaces' },
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
  )
  await cluster.api.create(configuration, {
    apiVersion: configuration.apiVersion,
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: webhook },
    webhooks: ['one.berth.dev', 'two.berth.dev'].map((name) => ({
      name,
      clientConfig: { service: { name: 'berth-webhook', namespace, path: '/mutate' } },
      admissionReviewVersions: ['v1'],
      sideEffects: 'None',
      failurePolicy: 'Ignore',
      rules: [],
    })),
  })
})

afterAll(async () => {
  await cluster.api.delete({ ...configuration, name: webhook })
  await cluster.api.delete({ apiVersion: 'v1', resource: 'namespaces', name: namespace })
  await cluster.close()
})

interface Replica {
  readonly keeper: OwnCertificate
  readonly pairs: KeyPair[]
  stop(): void
}

function startReplica(secret: string, settleMs = 0): Replica {
  const stop = new AbortController()
  const pairs: KeyPair[] = []
  const keeper = keepOwnCertificate(cluster.api, {
    namespace,
    secret,
    webhook,
    names: [`berth-webhook.${namespace}.svc`],
    settleMs,
    onPair: (pair) => pairs.push(pair),
    log: createLogs('error', new PassThrough()).log,
    signal: stop.signal,
  })
  return { keeper, pairs, stop: () => stop.abort() }
}

async function bundles(): Promise<string[]> {
  const live = await cluster.api.get<
    KubeObject & { webhooks: { clientConfig: { caBundle?: string } }[] }
  >({ ...configuration, name: webhook })
  return (live?.webhooks ?? []).map(({ clientConfig }) =>
    Buffer.from(clientConfig.caBundle ?? '', 'base64').toString(),
  )
}

const ready = (replicas: readonly Replica[]) =>
  waitFor('all replicas to be ready', () =>
    replicas.every(({ keeper }) => keeper.notReady() === null),
  )

test('five replicas that start at the same time agree on one CA, ten times', async () => {
  for (let round = 0; round < 10; round += 1) {
    const replicas = Array.from({ length: 5 }, () => startReplica(`race-${round}`))
    await ready(replicas)
    const served = new Set(replicas.map(({ pairs }) => pairs.at(-1)?.cert))
    expect(served.size).toBe(1)
    const [leaf = ''] = served
    for (const bundle of await bundles())
      expect(isTrusted(leaf ?? '', bundle, new Date())).toBe(true)
    for (const replica of replicas) replica.stop()
  }
})

describe('a running webhook', () => {
  let replicas: Replica[]
  beforeAll(async () => {
    replicas = [startReplica('shared'), startReplica('shared'), startReplica('shared')]
    await ready(replicas)
  })
  afterAll(() => {
    for (const replica of replicas) replica.stop()
  })
  const served = () => replicas.map(({ pairs }) => pairs.at(-1)?.cert ?? '')

  test('issues a new certificate for all replicas when its Secret is deleted', async () => {
    const [before] = served()
    await cluster.api.delete({ ...secrets, name: 'shared' })
    await waitFor(
      'a new certificate on every replica',
      () => new Set(served()).size === 1 && served()[0] !== before,
    )
    // The replicas were ready before, so this does not wait for the bundles of the new CA.
    await ready(replicas)
    await waitFor('caBundles with the new CA', async () =>
      (await bundles()).every((bundle) => isTrusted(served()[0] ?? '', bundle, new Date())),
    )

    expect(new Set(served()).size).toBe(1)
  })

  test('restores an overwritten caBundle of one webhook', async () => {
    await cluster.api.patch({ ...configuration, name: webhook }, 'strategic', {
      webhooks: [{ name: 'two.berth.dev', clientConfig: { caBundle: '' } }],
    })
    await waitFor('the restored caBundle', async () =>
      (await bundles()).every((bundle) => bundle !== ''),
    )
    for (const bundle of await bundles())
      expect(isTrusted(served()[0] ?? '', bundle, new Date())).toBe(true)
  })

  test('is trusted at every moment while the CA changes', async () => {
    const before = served()[0] ?? ''
    const untrusted: string[] = []
    const check = async () => {
      const now = served()
      const known = await bundles()
      for (const leaf of now)
        if (!known.every((bundle) => isTrusted(leaf, bundle, new Date()))) untrusted.push(leaf)
    }
    const checks = setInterval(() => void check(), 20)
    await cluster.api.patch({ ...secrets, name: 'shared' }, 'merge', {
      metadata: { annotations: { 'berth.dev/rotate': 'now' } },
    })
    await waitFor('a certificate of another CA on every replica', () =>
      served().every((leaf) => issuer(leaf) !== issuer(before)),
    )
    clearInterval(checks)
    expect(untrusted).toEqual([])
    const [bundle = ''] = await bundles()
    expect(isTrusted(before, bundle, new Date())).toBe(true)
    const secret = await cluster.api.get({ ...secrets, name: 'shared' })
    expect(secret?.metadata.annotations ?? {}).toEqual({})
  })
})

test('a certificate that another tool created is never overwritten', async () => {
  const data = { 'tls.crt': Buffer.from('theirs').toString('base64'), 'tls.key': '' }
  await cluster.api.create(secrets, {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    metadata: { name: 'theirs', namespace },
    data,
  })
  const replica = startReplica('theirs')
  await waitFor('the reason', () => replica.keeper.notReady() !== 'no certificate yet')
  replica.stop()
  expect(replica.keeper.notReady()).toContain('that Berth did not create')
  expect(await cluster.api.get({ ...secrets, name: 'theirs' })).toMatchObject({ data })
})

function issuer(leaf: string): string {
  return new X509Certificate(leaf).issuer
}
