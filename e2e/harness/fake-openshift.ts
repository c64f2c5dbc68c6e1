/**
 * Two controllers of OpenShift. The first one gives each service account a generated pull secret of the legacy type for the
 * internal registry, in both lists and in an annotation, and restores it after a change (openshift-controller-manager,
 * pkg/serviceaccounts). The second one, OLM, keeps a pod for each catalog.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Cluster, connect } from '../../src/kube/connect.ts'
import { hasStatus } from '../../src/kube/error.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { currentCluster } from './cluster.ts'

export type FakeOpenShift = {
  /** Returns how often an account had to be restored after it was complete. */
  restored(): number
  stop(): Promise<void>
}

export type Account = KubeObject & {
  secrets?: { name: string }[]
  imagePullSecrets?: { name: string }[]
}

export type Catalog = { name: string; namespace: string; image: string }

const secretAnnotation = 'openshift.io/internal-registry-pull-secret-ref'

/** The integrated registry: the address of its Service, and its name. */
const internalHosts = [
  '172.30.166.97:5000',
  'image-registry.openshift-image-registry.svc.cluster.local:5000',
]

/** Reconciles these service accounts (`namespace/name`) and catalogs until `stop` is called. */
export async function startFakeOpenShift(
  accounts: readonly string[],
  catalogs: readonly Catalog[],
): Promise<FakeOpenShift> {
  const cluster = await connect({ kubeconfig: currentCluster().kubeconfig, env: {} })
  const stop = new AbortController()
  const complete = new Set<string>()
  let restored = 0

  async function reconcile(): Promise<void> {
    for (const account of accounts) {
      const wrote = await reconcileAccount(cluster, account)
      if (wrote && complete.has(account)) restored += 1
      if (!wrote) complete.add(account)
    }
    for (const catalog of catalogs) await reconcileCatalog(cluster, catalog)
  }
  async function run(): Promise<void> {
    while (!stop.signal.aborted) {
      // On a conflict the next round reads what the other writer wrote.
      await reconcile().catch((error: unknown) => {
        if (!hasStatus(error, 404, 409)) throw error
      })
      await sleep(200, undefined, { signal: stop.signal }).catch(() => undefined)
    }
  }
  await reconcile()
  const running = run()
  return {
    restored: () => restored,
    stop: async () => {
      stop.abort()
      await running
      await cluster.close()
    },
  }
}

/** Returns whether it had to write. Keeps other entries of the lists, as the real controller does. */
async function reconcileAccount({ api }: Cluster, account: string): Promise<boolean> {
  const [namespace = '', name = ''] = account.split('/')
  const where = { apiVersion: 'v1', resource: 'serviceaccounts', namespace, name }
  const object = await api.get<Account>(where)
  if (object === null) return false
  const known = object.metadata.annotations?.[secretAnnotation]
  const secret = known ?? `${name}-dockercfg-${suffix()}`
  const wrote = await reconcileSecret({ api }, { namespace, account: name, secret })
  const isMissing = (list: { name: string }[] = []) => !list.some((entry) => entry.name === secret)
  if (known !== undefined && !isMissing(object.secrets) && !isMissing(object.imagePullSecrets))
    return wrote
  await api.replace(where, {
    ...object,
    metadata: {
      ...object.metadata,
      annotations: { ...object.metadata.annotations, [secretAnnotation]: secret },
    },
    ...Object.fromEntries(
      (['secrets', 'imagePullSecrets'] as const).map((list) => [
        list,
        isMissing(object[list]) ? [...(object[list] ?? []), { name: secret }] : object[list],
      ]),
    ),
  })
  return true
}

async function reconcileSecret(
  { api }: Pick<Cluster, 'api'>,
  { namespace, account, secret }: { namespace: string; account: string; secret: string },
): Promise<boolean> {
  const where = { apiVersion: 'v1', resource: 'secrets', namespace }
  const auth = Buffer.from(`<token>:internal-${account}`).toString('base64')
  const content = JSON.stringify(Object.fromEntries(internalHosts.map((host) => [host, { auth }])))
  const data = { '.dockercfg': Buffer.from(content).toString('base64') }
  const existing = await api.get<KubeObject & { data?: Record<string, string> }>({
    ...where,
    name: secret,
  })
  if (existing?.data?.['.dockercfg'] === data['.dockercfg']) return false
  const object = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: secret,
      namespace,
      annotations: { 'openshift.io/internal-registry-auth-token.service-account': account },
    },
    type: 'kubernetes.io/dockercfg',
    data,
  }
  if (existing === null) await api.create(where, object)
  else await api.patch({ ...where, name: secret }, 'merge', { data })
  return true
}

/** Creates the pod of a catalog, owned by its CatalogSource, unless there is one. */
async function reconcileCatalog(
  { api }: Cluster,
  { name, namespace, image }: Catalog,
): Promise<void> {
  const pods = { apiVersion: 'v1', resource: 'pods', namespace }
  const selection = { labelSelector: `olm.catalogSource=${name}` }
  for await (const _ of api.list(pods, selection)) return
  const apiVersion = 'operators.coreos.com/v1alpha1'
  const where = { apiVersion, resource: 'catalogsources', namespace, name }
  const source = await api.get(where)
  if (source === null) return
  const owner = {
    apiVersion,
    kind: 'CatalogSource',
    name,
    uid: source.metadata.uid,
    controller: true,
  }
  await api.create(pods, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `${name}-`,
      namespace,
      labels: { 'olm.catalogSource': name },
      ownerReferences: [{ ...owner, blockOwnerDeletion: false }],
    },
    spec: {
      serviceAccountName: name,
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'registry-server', image, imagePullPolicy: 'Always' }],
    },
  })
}

/** Returns five letters or digits, like the end of a generated name. */
function suffix(): string {
  return Math.random().toString(36).slice(2, 7).padEnd(5, 'x')
}

/** The CustomResourceDefinition of OLM's catalogs, without a schema. */
export const catalogSources = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'catalogsources.operators.coreos.com' },
  spec: {
    group: 'operators.coreos.com',
    scope: 'Namespaced',
    names: {
      kind: 'CatalogSource',
      listKind: 'CatalogSourceList',
      plural: 'catalogsources',
      singular: 'catalogsource',
    },
    versions: [
      {
        name: 'v1alpha1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        },
      },
    ],
  },
}
