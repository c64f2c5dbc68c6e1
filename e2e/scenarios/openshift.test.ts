import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { settledAuditEvents } from '../harness/audit-log.ts'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { type Controller, startController } from '../harness/controller.ts'
import { pushImage } from '../harness/images.ts'
import { createKubeconfig } from '../harness/kubeconfig.ts'
import {
  apply,
  getJson,
  kubectlOk,
  createServiceAccount,
  remove,
  removeNamespaces,
  waitForKinds,
} from '../harness/kubectl.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import {
  type Account,
  catalogSources,
  type FakeOpenShift,
  startFakeOpenShift,
} from '../harness/fake-openshift.ts'
import { isPullFailure, podManifest, type Pod } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { waitFor } from '../harness/wait.ts'
import { applySecretsRbac } from '../harness/secrets-rbac.ts'

/**
 * Catalogs of OLM and the agent of Open Cluster Management cannot pull, because their service accounts have only generated
 * secrets. The controller copies and links the global pull secret, next to OpenShift's own controllers.
 */
const cluster = currentCluster()
const host = 'registry.redhat.io'
const home = 'berth-openshift'
const marketplace = 'openshift-marketplace'
const agent = 'open-cluster-management-agent'
const namespaces = ['openshift-config', marketplace, agent, home]
const catalogNames = [
  'redhat-operators',
  'certified-operators',
  'community-operators',
  'redhat-marketplace',
]
const accounts = [...catalogNames.map((name) => `${marketplace}/${name}`), `${agent}/klusterlet`]
const first = { username: 'puller', password: 'canary-global-1' }
const second = { username: 'puller', password: 'canary-global-2' }

let registry: Registry
let openshift: FakeOpenShift
let controller: Controller | undefined

const config = `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullSecretCopies:
  stuckPods: recreate
  copies:
    - name: global-pull-secret
      from: [openshift-config/pull-secret]
      namespaces: [${marketplace}, 'open-cluster-management-*', not-there]
      serviceAccounts: ['*']
`

async function putGlobalSecret({ username, password }: typeof first): Promise<void> {
  const auth = Buffer.from(`${username}:${password}`).toString('base64')
  const hosts = ['cloud.openshift.com', 'quay.io', 'registry.connect.redhat.com', host]
  const auths = Object.fromEntries(hosts.map((each) => [each, { auth, email: 'a@example.com' }]))
  await apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: 'pull-secret',
      namespace: 'openshift-config',
      labels: { 'berth.dev/copy': 'allowed' },
    },
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': JSON.stringify({ auths }) },
  })
}

async function podsOf(namespace: string): Promise<Pod[]> {
  const { items } = JSON.parse(await kubectlOk(['get', 'pods', '-n', namespace, '-o', 'json'])) as {
    items: (Pod & { metadata: { deletionTimestamp?: string } })[]
  }
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
}

async function allPods(): Promise<Pod[]> {
  return [...(await podsOf(marketplace)), ...(await podsOf(agent))]
}

const isStuck = ({ status }: Pod) =>
  status.containerStatuses?.some(({ state }) => isPullFailure(state.waiting?.reason)) === true

async function waitForAllPods(): Promise<Pod[]> {
  return waitFor(
    'five pods to run',
    async () => {
      const pods = await allPods()
      const ready = pods.filter(({ status }) => status.containerStatuses?.[0]?.ready === true)
      return ready.length === 5 && pods.length === 5 ? pods : undefined
    },
    { timeoutMs: 300_000 },
  )
}

beforeAll(async () => {
  registry = await startRegistry(cluster, { name: 'redhat', htpasswd: first })
  setNodeHost(cluster, host, [registry.url])
  for (const repository of [
    ...catalogNames.map((name) => `redhat/${name}-index`),
    'multicluster-engine/registration-operator-rhel9',
  ])
    await pushImage({
      registry: registry.url,
      repository,
      tag: 'v4.20',
      binary: cluster.pauseBinary,
      marker: repository,
      auth: first,
    })
  await apply(catalogSources)
  await kubectlOk([
    'wait',
    '--for=condition=Established',
    'crd/catalogsources.operators.coreos.com',
  ])
  await waitForKinds(catalogSources.metadata.name)
  await apply(
    namespaces.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })),
  )
  await putGlobalSecret(first)
  await apply([
    ...accounts.map((each) => {
      const [namespace, name] = each.split('/')
      return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } }
    }),
    ...catalogNames.map((name) => ({
      apiVersion: 'operators.coreos.com/v1alpha1',
      kind: 'CatalogSource',
      metadata: { name, namespace: marketplace },
      spec: { sourceType: 'grpc' },
    })),
  ])
  openshift = await startFakeOpenShift(
    accounts,
    catalogNames.map((name) => ({
      name,
      namespace: marketplace,
      image: `${host}/redhat/${name}-index:v4.20`,
    })),
  )
  const labels = { app: 'klusterlet' }
  const image = `${host}/multicluster-engine/registration-operator-rhel9:v4.20`
  const { spec } = podManifest({ name: 'klusterlet', image, namespace: agent })
  await apply({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'klusterlet', namespace: agent },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { ...(spec as object), serviceAccountName: 'klusterlet' },
      },
    },
  })
})

afterAll(async () => {
  await controller?.stop()
  await openshift?.stop()
  await removeNamespaces(...namespaces)
  // OpenShift sets these names, so e2e/scenarios/diagnose has two of them as well.
  for (const name of namespaces) await remove('namespace', name)
  await kubectlOk(['delete', 'crd', catalogSources.metadata.name])
  await kubectlOk([
    'delete',
    'clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding',
    'berth-pull-secrets',
  ])
  removeNodeHost(cluster, host)
  await registry?.stop()
})

/** Returns the imagePullSecrets of every account. */
async function pullSecretLists(): Promise<Record<string, readonly string[]>> {
  const lists = await Promise.all(
    accounts.map(async (each) => {
      const [namespace = '', name = ''] = each.split('/')
      const { imagePullSecrets = [] } = await getJson<Account>('serviceaccount', name, namespace)
      return [each, imagePullSecrets.map((entry) => entry.name)] as const
    }),
  )
  return Object.fromEntries(lists)
}

test('secrets check lists the accounts without a credential for the registry', async () => {
  await waitFor('five stuck pods', async () => (await allPods()).filter(isStuck).length === 5)
  const args = ['secrets', 'check', '--source', 'openshift-config/pull-secret', '-o', 'json']
  const { code, stdout } = await runBerth(args)
  const found = JSON.parse(stdout) as { namespace: string; serviceAccount: string }[]

  expect(code).toBe(1)
  expect(found.map((each) => `${each.namespace}/${each.serviceAccount}`).toSorted()).toEqual(
    accounts.toSorted(),
  )
  for (const each of found)
    expect(each).toMatchObject({
      registry: host,
      source: 'openshift-config/pull-secret',
      stuck: 1,
      isLinked: false,
    })
})

test('the controller copies and links the secret, and the recreated pods run', async () => {
  const before = await pullSecretLists()
  await createServiceAccount('berth-controller', home)
  const file = join(cluster.runDir, 'openshift.yaml')
  writeFileSync(file, config)
  await applySecretsRbac(file, home)
  const kubeconfig = await createKubeconfig('berth-controller', home)
  controller = await startController({ name: 'openshift', namespace: home, config, kubeconfig })
  await waitForAllPods()

  const after = await pullSecretLists()
  for (const each of accounts)
    expect(after[each]).toEqual([...(before[each] ?? []), 'global-pull-secret'])
  const check = await runBerth(['secrets', 'check', '--config', file])
  expect(check).toMatchObject({ code: 0, stdout: '' })
})

test('the pods run again after the source was rotated', async () => {
  const { port } = registry
  await registry.stop()
  registry = await startRegistry(cluster, { name: 'redhat', htpasswd: second, port })
  setNodeHost(cluster, host, [registry.url])
  const [deleted] = await podsOf(marketplace)
  await kubectlOk(['delete', 'pod', '-n', marketplace, deleted?.metadata.name ?? ''])
  await waitFor('the old password to be refused', async () =>
    (await podsOf(marketplace)).some(isStuck),
  )
  await putGlobalSecret(second)
  const names = (await waitForAllPods()).map(({ metadata }) => metadata.name)

  expect(names).not.toContain(deleted?.metadata.name)
})

test('a second run writes nothing, and OpenShift restores nothing', async () => {
  const user = `system:serviceaccount:${home}:berth-controller`
  const writes = () =>
    settledAuditEvents(
      ({ verb, user: { username }, objectRef }) =>
        username === user &&
        ['create', 'update', 'patch', 'delete'].includes(verb) &&
        objectRef?.resource !== 'leases',
    )
  await waitFor('the controller to be idle', () =>
    controller?.log().at(-1)?.['msg'] === 'pull secrets up to date' ? true : undefined,
  )
  const before = await writes()
  const idleCount = () =>
    controller?.log().filter(({ msg }) => msg === 'pull secrets up to date').length ?? 0
  const idleBefore = idleCount()
  controller?.configure(`${config}# again\n`)
  await waitFor('the controller to be idle again', () => idleCount() > idleBefore)
  const file = join(cluster.runDir, 'openshift.yaml')
  const sync = await runBerth(['secrets', 'sync', '--config', file, '-o', 'json'])

  expect(await writes()).toEqual(before)
  // The missing namespace is reported and does not stop the rest.
  expect(JSON.parse(sync.stdout)).toMatchObject([{ namespace: 'not-there', action: 'missing' }])
  expect(openshift.restored()).toBe(0)
  expect(controller?.output()).not.toContain('canary-global')
})
