import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Webhook, dryRunPod, startWebhook, waitUntilUnchanged } from '../harness/webhook.ts'
import { settledAuditEvents } from '../harness/audit-log.ts'
import { currentCluster } from '../harness/cluster.ts'
import { pushImage } from '../harness/images.ts'
import {
  apply,
  createNamespace,
  createPullSecret,
  kubectl,
  kubectlOk,
  removeNamespaces,
} from '../harness/kubectl.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { getPod, podManifest, waitForPullFailure, waitForPodRunning } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { waitFor } from '../harness/wait.ts'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A mirror with a password: pods run with the pull secret that Berth adds. */
const cluster = currentCluster()
const account = { username: 'puller', password: 'canary-5f3c:with-colon' }
const namespace = 'private'
const requested = 'quay.io/team/app:1'

let mirror: Registry
let webhook: Webhook

beforeAll(async () => {
  mirror = await startRegistry(cluster, { name: 'private', htpasswd: account })
  setNodeHost(cluster, 'mirror.example', [mirror.url])
  await pushImage({
    registry: mirror.url,
    repository: 'team/app',
    tag: '1',
    binary: cluster.pauseBinary,
    marker: 'private',
    auth: account,
  })
  const dockerConfig = join(cluster.runDir, 'private-docker-config.json')
  const auth = Buffer.from(`${account.username}:${account.password}`).toString('base64')
  writeFileSync(dockerConfig, JSON.stringify({ auths: { 'mirror.example': { auth } } }), {
    mode: 0o600,
  })
  const config = `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - host: mirror.example
    endpoint: '${mirror.url}'
    mirror: true
    allowPlainHttpAuth: true
    credentials: { dockerConfig: ${dockerConfig} }
fallback:
  - { name: team, images: ['quay.io/team/**'], try: ['mirror.example/{path}'] }
pullSecrets: [{ registries: [mirror.example], secret: mirror-creds }]
`
  webhook = await startWebhook({ name: 'private', config, canary: requested })
  await createNamespace(namespace)
})

afterAll(async () => {
  await webhook?.stop()
  await removeNamespaces(namespace)
  removeNodeHost(cluster, 'mirror.example')
  await mirror?.stop()
})

test('a pod in a namespace without the secret is admitted with a warning that names the secret', async () => {
  const { code, stderr } = await kubectl(['apply', '-f', '-'], {
    input: JSON.stringify(podManifest({ name: 'missing', image: requested, namespace })),
  })

  expect(code).toBe(0)
  expect(stderr).toContain(
    'Warning: berth: pull secret mirror-creds not found in namespace private',
  )
  expect(await waitForPullFailure('missing', namespace)).toMatch(/authoriz|authentic/)
})

test('a pod runs with the added secret, which comes after that of the service account', async () => {
  await createPullSecret('mirror-creds', { namespace, server: 'mirror.example', account })
  const other = { username: 'a', password: 'b' }
  await createPullSecret('own', { namespace, server: 'other.example', account: other })
  await kubectlOk([
    'patch',
    'serviceaccount',
    'default',
    '-n',
    namespace,
    '-p',
    '{"imagePullSecrets":[{"name":"own"}]}',
  ])
  await waitFor(
    'the service account in new pods',
    async () => (await dryRunPod(requested, namespace)).spec.imagePullSecrets?.length === 2,
  )
  await apply(podManifest({ name: 'runs', image: requested, namespace }))
  const pod = await waitForPodRunning('runs', namespace)

  expect(pod.spec.containers[0]?.image).toBe('mirror.example/team/app:1')
  expect(pod.spec.imagePullSecrets).toEqual([{ name: 'own' }, { name: 'mirror-creds' }])
})

test('the secret in the namespace alone is not enough without Berth', async () => {
  await kubectlOk(['label', 'namespace', namespace, 'berth.dev/rewrite=disabled'])
  await waitUntilUnchanged(requested, namespace)
  await apply(podManifest({ name: 'without', image: 'mirror.example/team/app:1', namespace }))

  expect(await waitForPullFailure('without', namespace)).toMatch(/authoriz|authentic/)
  expect((await getPod('without', namespace)).spec.imagePullSecrets).toEqual([{ name: 'own' }])
  await kubectlOk(['label', 'namespace', namespace, 'berth.dev/rewrite-'])
})

test('a pod whose service account enforces mountable secrets is admitted without the secret', async () => {
  await apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: {
      name: 'confined',
      namespace,
      annotations: { 'kubernetes.io/enforce-mountable-secrets': 'true' },
    },
    imagePullSecrets: [{ name: 'own' }],
  })
  const pod = podManifest({ name: 'confined', image: requested, namespace })
  const spec = { ...(pod['spec'] as object), serviceAccountName: 'confined' }
  const { code, stderr } = await waitFor('the warning', async () => {
    const result = await kubectl(['create', '--dry-run=server', '-f', '-'], {
      input: JSON.stringify({ ...pod, spec }),
    })
    return result.stderr.includes('confined') ? result : undefined
  })

  expect(code).toBe(0)
  expect(stderr).toContain(
    'Warning: berth: pull secret mirror-creds not added: service account confined may not use it',
  )
})

test('the password is neither in the log nor in the metrics nor in the audit log', async () => {
  const pods = await settledAuditEvents(({ objectRef }) => objectRef?.resource === 'pods')
  const text = JSON.stringify([webhook.log(), pods]) + (await webhook.metrics())
  const secrets = [
    account.password,
    Buffer.from(`${account.username}:${account.password}`).toString('base64'),
  ]

  expect(text).toContain('team/app')
  expect(secrets.filter((secret) => text.includes(secret))).toEqual([])
})
