import { writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { auditEvents } from '../harness/audit-log.ts'
import { type Webhook, startWebhook } from '../harness/webhook.ts'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { createKubeconfig } from '../harness/controller.ts'
import { pushImage } from '../harness/images.ts'
import { repository, writeOverlay } from '../harness/install.ts'
import { apply, getJson, kubectl, kubectlOk } from '../harness/kubectl.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { podManifest, waitForPullFailure, waitForPodRunning } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { permissionsIn } from '../harness/permissions.ts'
import { waitFor } from '../harness/wait.ts'

/**
 * Copies that are there before the pod, though no controller runs: the webhook makes them, with the rights of `berth
 * secrets rbac` and no others.
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
const made: string[] = []

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

/** What one `kubectl apply` says; the account comes along, so that nothing has to be waited for. */
async function applyTogether(
  namespace: string,
  labels: Record<string, string> = {},
): Promise<string> {
  made.push(namespace)
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

const createsIn = (namespace: string) =>
  auditEvents(
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
  made.push(home)
  await putSource({ 'berth.dev/copy': 'allowed' })
  await apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'berth-webhook', namespace: home },
  })
  const file = join(cluster.runDir, 'ensure.yaml')
  writeFileSync(file, config())
  const rbac = ['secrets', 'rbac', '--config', file, '-n', home]
  await apply((await runBerth(rbac, cluster.kubeconfig)).stdout)
  kubeconfig = await createKubeconfig('berth-webhook', home)
  webhook = await startWebhook({ name: 'ensure', config: config(), canary, kubeconfig })
  const change = [{ op: 'replace', path: '/webhooks/0/sideEffects', value: 'NoneOnDryRun' }]
  await kubectlOk([
    'patch',
    'mutatingwebhookconfiguration',
    'berth',
    '--type=json',
    '-p',
    JSON.stringify(change),
  ])
})

afterAll(async () => {
  await webhook?.stop()
  await kubectlOk(['delete', 'namespace', '--ignore-not-found', '--wait=false', ...made])
  await kubectlOk(['delete', guards, 'berth-pull-secrets', 'berth-ensure-pull-secrets'])
  removeNodeHost(cluster, host)
  await registry?.stop()
})

test('the webhook has these rights, and no others', async () => {
  expect(await permissionsIn('ens-any', kubeconfig)).toEqual(['namespaces: get', 'secrets: create'])
  expect(await permissionsIn(home, kubeconfig)).toEqual([
    'namespaces: get',
    'secrets [source]: get',
    'secrets: create',
  ])
})

test('its right to create is held to the name and the types of the copies', async () => {
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
  const refused = 'this account may create only the pull secrets of its config'
  // The API server takes a moment to see a policy.
  await waitFor('the policy', async () => (await create('other', pull)).stderr.includes(refused))

  expect((await create('ensured-pull', pull)).code).toBe(0)
  expect((await create('ensured-pull', 'Opaque')).stderr).toContain(refused)
  expect((await create('source', 'kubernetes.io/service-account-token')).stderr).toContain(refused)
})

describe('without a controller', () => {
  test('a pod that is applied together with its namespace pulls at the first try', async () => {
    const said = await applyTogether('ens-together')
    await waitForPodRunning('app', 'ens-together')
    const events = await kubectlOk(['get', 'events', '-n', 'ens-together', '-o', 'json'])
    const reasons = (JSON.parse(events) as { items: { reason: string }[] }).items.map(
      ({ reason }) => reason,
    )

    expect(said).not.toContain('berth')
    expect(reasons).toContain('Pulled')
    expect(reasons).not.toContain('Failed')
    expect(reasons).not.toContain('FailedToRetrieveImagePullSecret')
  })

  test('the copy is what the controller would have made, so that there is nothing to put right', async () => {
    const copy = await getJson<Secret>('secret', 'ensured-pull', 'ens-together')
    const source = await getJson<Secret>('secret', 'source', home)
    const file = join(cluster.runDir, 'ensure.yaml')
    const plan = await runBerth(
      ['secrets', 'plan', '--config', file, '-n', 'ens-together', '-o', 'json'],
      cluster.kubeconfig,
    )

    expect(copy.data).toEqual(source.data)
    expect(copy.metadata.annotations).toMatchObject({
      'berth.dev/copied-from': `${home}/source`,
      'berth.dev/source-uid': source.metadata.uid,
    })
    expect(plan.stdout).toContain('link')
    expect(plan.stdout).not.toMatch(/"(?:create|update|replace)"/)
  })

  test('many pods at once make one request to create it', async () => {
    const namespace = 'ens-many'
    made.push(namespace)
    await kubectlOk(['create', 'namespace', namespace])
    await apply({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'runner', namespace },
    })
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
    expect(createsIn(namespace)).toHaveLength(1)
  })

  test('a dry run makes nothing', async () => {
    const namespace = 'ens-dry'
    made.push(namespace)
    await kubectlOk(['create', 'namespace', namespace])
    await apply({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'runner', namespace },
    })
    const pod = podManifest({ name: 'app', image: canary, namespace })
    const input = JSON.stringify({
      ...pod,
      spec: { ...(pod['spec'] as object), serviceAccountName: 'runner' },
    })
    const args = ['create', '--dry-run=server', '-o', 'json', '-f', '-']
    const dry = await kubectlOk(args, { input })

    expect(dry).toContain('ensured-pull')
    expect(await hasCopy(namespace)).toBe(false)
    expect(createsIn(namespace)).toEqual([])
  })

  test.each([
    ['that the config does not choose', 'unens', {}],
    ['that opts out', 'ens-out', { 'berth.dev/pull-secrets': 'disabled' }],
    ['in shadow mode', 'ens-shadow', { 'berth.dev/mode': 'observe' }],
  ])('a namespace %s gets nothing', async (_, namespace, labels) => {
    await applyTogether(namespace, labels)

    expect(await hasCopy(namespace)).toBe(false)
    expect(createsIn(namespace)).toEqual([])
  })

  test('a source that does not consent is not copied: the pod is admitted with a warning', async () => {
    await putSource({ 'berth.dev/copy': 'no' })
    const said = await applyTogether('ens-consent')
    await putSource({ 'berth.dev/copy': 'allowed' })

    expect(said).toContain('Warning: berth: pull secret ensured-pull may be missing')
    expect(await hasCopy('ens-consent')).toBe(false)
    expect(await waitForPullFailure('app', 'ens-consent')).toMatch(/authoriz|authentic/)
  })

  test('without ensure nothing is made', async () => {
    await webhook.reload(config(false))
    await applyTogether('ens-without')

    expect(await hasCopy('ens-without')).toBe(false)
    expect(await waitForPullFailure('app', 'ens-without')).toMatch(/authoriz|authentic/)
  })
})

test('the component makes the registration say so, and gives the webhook a token', async () => {
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
    // The account's, for Berth's own certificate, and the pods' own.
    'automountServiceAccountToken: true',
    'automountServiceAccountToken: true',
  ])
})

test('the password is in no line of the log and in no metric', async () => {
  const text = JSON.stringify(webhook.log()) + (await webhook.metrics())
  const encoded = Buffer.from(`${account.username}:${account.password}`).toString('base64')

  expect(text).toContain('pull secret created')
  expect([account.password, encoded].filter((secret) => text.includes(secret))).toEqual([])
})
