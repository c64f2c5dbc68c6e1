import { writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { settledAuditEvents } from '../harness/audit-log.ts'
import { type Webhook, startWebhook } from '../harness/webhook.ts'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { pushImage } from '../harness/images.ts'
import { createKubeconfig } from '../harness/kubeconfig.ts'
import {
  apply,
  getJson,
  kubectl,
  kubectlOk,
  createServiceAccount,
  removeNamespaces,
} from '../harness/kubectl.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { podManifest, waitForPullFailure, waitForPodRunning } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { writeOverlay } from '../harness/overlay.ts'
import { repository } from '../harness/paths.ts'
import { permissionsIn } from '../harness/permissions.ts'
import { waitFor } from '../harness/wait.ts'
import { applySecretsRbac } from '../harness/secrets-rbac.ts'

/**
 * `ensure: true`: the webhook creates a pull-secret copy before it admits the pod, without a controller, and with only the
 * rights of `berth secrets rbac`.
 */
const cluster = currentCluster()
const account = { username: 'puller', password: 'canary-77e2:with-colon' }
const host = 'ensured.example'
const home = 'berth-ensure'
const component = join(repository, 'deploy/components/ensure-pull-secrets')
const user = `system:serviceaccount:${home}:berth-webhook`
const guards =
  'clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding'

type Secret = {
  metadata: { uid: string; labels?: object; annotations?: Record<string, string> }
  type: string
  data: Record<string, string>
}

let registry: Registry
let webhook: Webhook
let kubeconfig: string
const createdNamespaces: string[] = []

const copies = (ensure: boolean) => `
    - name: ensured-pull
      from: [${home}/source]
      namespaces: ['ens-*']
      ensure: ${ensure}`

const config = (ensure = true) => `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: ${host}, mirror: true, probe: false }
fallback:
  - { name: team, images: ['quay.io/team/**'], try: ['${host}/{path}'] }
pullSecrets: [{ registries: [${host}], secret: ensured-pull }]
pullSecretCopies:
  copies:${copies(ensure)}
`

const canary = 'quay.io/team/app:1'

async function putSource(labels: Record<string, string>): Promise<void> {
  const auth = Buffer.from(`${account.username}:${account.password}`).toString('base64')
  await apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'source', namespace: home, labels },
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': JSON.stringify({ auths: { [host]: { auth } } }) },
  })
}

/** Applies a namespace, a service account and a pod with one `kubectl apply`; returns its warnings. */
async function applyTogether(
  namespace: string,
  labels: Record<string, string> = {},
): Promise<string> {
  createdNamespaces.push(namespace)
  const pod = podManifest({ name: 'app', image: canary, namespace })
  const objects = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'runner', namespace } },
    { ...pod, spec: { ...(pod['spec'] as object), serviceAccountName: 'runner' } },
  ]
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })
  const { code, stderr } = await kubectl(['apply', '-f', '-'], { input })
  expect(code).toBe(0)
  return stderr
}

async function hasCopy(namespace: string): Promise<boolean> {
  const { code } = await kubectl(['get', 'secret', 'ensured-pull', '-n', namespace])
  return code === 0
}

/** Returns the webhook's create requests in a namespace. */
const createsIn = (namespace: string) =>
  settledAuditEvents(
    ({ verb, user: who, objectRef }) =>
      who.username === user && verb === 'create' && objectRef?.namespace === namespace,
  )

beforeAll(async () => {
  registry = await startRegistry(cluster, { name: 'ensure', htpasswd: account })
  setNodeHost(cluster, host, [registry.url])
  await pushImage({
    registry: registry.url,
    repository: 'team/app',
    tag: '1',
    binary: cluster.pauseBinary,
    marker: 'ensure',
    auth: account,
  })
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: home } })
  createdNamespaces.push(home)
  await putSource({ 'berth.dev/copy': 'allowed' })
  await createServiceAccount('berth-webhook', home)
  const file = join(cluster.runDir, 'ensure.yaml')
  writeFileSync(file, config())
  await applySecretsRbac(file, home)
  kubeconfig = await createKubeconfig('berth-webhook', home)
  webhook = await startWebhook({ name: 'ensure', config: config(), canary, kubeconfig })
  const change = [{ op: 'replace', path: '/webhooks/0/sideEffects', value: 'NoneOnDryRun' }]
  const patch = ['patch', 'mutatingwebhookconfiguration', 'berth', '--type=json', '-p']
  await kubectlOk([...patch, JSON.stringify(change)])
})

afterAll(async () => {
  await webhook?.stop()
  await removeNamespaces(...createdNamespaces)
  await kubectlOk(['delete', guards, 'berth-pull-secrets', 'berth-ensure-pull-secrets'])
  removeNodeHost(cluster, host)
  await registry?.stop()
})

test('the webhook has exactly the rights that the feature needs', async () => {
  expect(await permissionsIn('ens-any', kubeconfig)).toEqual(['namespaces: get', 'secrets: create'])
  expect(await permissionsIn(home, kubeconfig)).toEqual([
    'namespaces: get',
    'secrets [source]: get',
    'secrets: create',
  ])
})

test('the policy allows the webhook to create only Secrets with the name and the types of its copies', async () => {
  const create = async (name: string, type: string) => {
    const secret = { apiVersion: 'v1', kind: 'Secret', type, metadata: { name, namespace: home } }
    const data = { '.dockerconfigjson': Buffer.from('{"auths":{}}').toString('base64') }
    const annotations = { 'kubernetes.io/service-account.name': 'default' }
    const input = JSON.stringify({
      ...secret,
      metadata: { ...secret.metadata, annotations },
      data,
    })
    const args = ['create', '--kubeconfig', kubeconfig, '--dry-run=server', '-f', '-']
    return kubectl(args, { input })
  }
  const pull = 'kubernetes.io/dockerconfigjson'
  const rejection = 'this account may create only the pull secrets of its config'
  // The API server takes a moment to see a policy.
  await waitFor('the policy', async () => (await create('other', pull)).stderr.includes(rejection))

  expect((await create('ensured-pull', pull)).code).toBe(0)
  expect((await create('ensured-pull', 'Opaque')).stderr).toContain(rejection)
  expect((await create('source', 'kubernetes.io/service-account-token')).stderr).toContain(
    rejection,
  )
})

describe('without a controller', () => {
  test('a pod that is applied together with its namespace pulls at the first attempt', async () => {
    const warnings = await applyTogether('ens-together')
    await waitForPodRunning('app', 'ens-together')
    // The kubelet sends its Events one after the other, and not before the status.
    const reasons = await waitFor('the Event of the pull', async () => {
      const events = await kubectlOk(['get', 'events', '-n', 'ens-together', '-o', 'json'])
      const { items } = JSON.parse(events) as { items: { reason: string }[] }
      const found = items.map(({ reason }) => reason)
      return found.includes('Pulled') && found
    })

    expect(warnings).not.toContain('berth')
    expect(reasons).not.toContain('Failed')
    expect(reasons).not.toContain('FailedToRetrieveImagePullSecret')
  })

  test('the copy is the same as the one that the controller creates', async () => {
    const copy = await getJson<Secret>('secret', 'ensured-pull', 'ens-together')
    const source = await getJson<Secret>('secret', 'source', home)
    const file = join(cluster.runDir, 'ensure.yaml')
    const args = ['--config', file, '-n', 'ens-together', '-o', 'json']
    const plan = await runBerth(['secrets', 'plan', ...args])

    expect(copy.data).toEqual(source.data)
    expect(copy.metadata.annotations).toMatchObject({
      'berth.dev/copied-from': `${home}/source`,
      'berth.dev/source-uid': source.metadata.uid,
    })
    expect(plan.stdout).toContain('link')
    expect(plan.stdout).not.toMatch(/"(?:create|update|replace)"/)
  })

  test('eight pods at the same time cause one create request', async () => {
    const namespace = 'ens-many'
    createdNamespaces.push(namespace)
    await kubectlOk(['create', 'namespace', namespace])
    await createServiceAccount('runner', namespace)
    const pod = podManifest({ name: 'app', image: canary, namespace })
    const template = {
      metadata: { labels: { app: 'many' } },
      spec: { ...(pod['spec'] as object), serviceAccountName: 'runner' },
    }
    await apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'many', namespace },
      spec: {
        replicas: 8,
        selector: { matchLabels: { app: 'many' } },
        template: { ...template, spec: { ...template.spec, terminationGracePeriodSeconds: 1 } },
      },
    })
    await waitFor('the pods', async () => {
      const pods = await kubectlOk(['get', 'pods', '-n', namespace, '-o', 'name'])
      return pods.trim().split('\n').length === 8
    })

    expect(await hasCopy(namespace)).toBe(true)
    expect(await createsIn(namespace)).toHaveLength(1)
  })

  test('a dry run creates nothing', async () => {
    const namespace = 'ens-dry'
    createdNamespaces.push(namespace)
    await kubectlOk(['create', 'namespace', namespace])
    await createServiceAccount('runner', namespace)
    const pod = podManifest({ name: 'app', image: canary, namespace })
    const input = JSON.stringify({
      ...pod,
      spec: { ...(pod['spec'] as object), serviceAccountName: 'runner' },
    })
    const args = ['create', '--dry-run=server', '-o', 'json', '-f', '-']
    const dry = await kubectlOk(args, { input })

    expect(dry).toContain('ensured-pull')
    expect(await hasCopy(namespace)).toBe(false)
    expect(await createsIn(namespace)).toEqual([])
  })

  test.each([
    ['that the config does not select', 'unens', {}],
    ['that opts out', 'ens-out', { 'berth.dev/pull-secrets': 'disabled' }],
    ['in observe mode', 'ens-shadow', { 'berth.dev/mode': 'observe' }],
  ])('a namespace %s gets no copy', async (_, namespace, labels) => {
    await applyTogether(namespace, labels)

    expect(await hasCopy(namespace)).toBe(false)
    expect(await createsIn(namespace)).toEqual([])
  })

  test('a source without consent is not copied, and the pod is admitted with a warning', async () => {
    await putSource({ 'berth.dev/copy': 'no' })
    const warnings = await applyTogether('ens-consent')
    await putSource({ 'berth.dev/copy': 'allowed' })

    expect(warnings).toContain('Warning: berth: pull secret ensured-pull may be missing')
    expect(await hasCopy('ens-consent')).toBe(false)
    expect(await waitForPullFailure('app', 'ens-consent')).toMatch(/authoriz|authentic/)
  })

  test('a namespace gets no copy without ensure', async () => {
    await webhook.reload(config(false))
    await applyTogether('ens-without')

    expect(await hasCopy('ens-without')).toBe(false)
    expect(await waitForPullFailure('app', 'ens-without')).toMatch(/authoriz|authentic/)
  })
})

test('the component registers side effects and gives the webhook a token', async () => {
  const overlay = writeOverlay('ensure', {
    base: 'deploy/base',
    files: { 'berth.yaml': config() },
    extra: `components: ['${relative(join(cluster.runDir, 'overlay-ensure'), component)}']`,
  })
  const built = await kubectlOk(['kustomize', overlay])

  expect(built.match(/sideEffects: \w+/g)).toEqual([
    'sideEffects: NoneOnDryRun',
    'sideEffects: None',
  ])
  expect(built.match(/automountServiceAccountToken: \w+/g)).toEqual([
    // That of the service account, which Berth needs for its certificate, and that of the pods.
    'automountServiceAccountToken: true',
    'automountServiceAccountToken: true',
  ])
})

test('the password is neither in the log nor in the metrics', async () => {
  const text = JSON.stringify(webhook.log()) + (await webhook.metrics())
  const encoded = Buffer.from(`${account.username}:${account.password}`).toString('base64')

  expect(text).toContain('pull secret created')
  expect([account.password, encoded].filter((secret) => text.includes(secret))).toEqual([])
})
