/**
 * What OpenShift does to service accounts, in small: each has a generated pull secret of the legacy type that knows the
 * internal registry alone, in both of its lists and in an annotation, and a controller that puts it back whenever
 * somebody touches it (openshift-controller-manager, pkg/serviceaccounts). And what OLM does for catalogs: a pod each,
 * made again when it is gone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Cluster, connect } from '../../src/kube/connect.ts'
import { hasStatus } from '../../src/kube/error.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { currentCluster } from './cluster.ts'

export type FakeOpenShift = {
  /** How often an account had to be put right again after it had been once. */
  repairs(): number
  stop(): Promise<void>
}

export type Account = KubeObject & {
  secrets?: { name: string }[]
  imagePullSecrets?: { name: string }[]
}

export type Catalog = { name: string; namespace: string; image: string }

const reference = 'openshift.io/internal-registry-pull-secret-ref'

/** Where the integrated registry is: a Service's address and its name. */
const internalHosts = [
  '172.30.166.97:5000',
  'image-registry.openshift-image-registry.svc.cluster.local:5000',
]

/** Looks after these accounts (`namespace/name`) and catalogs until it is stopped. */
export async function startFakeOpenShift(
  accounts: readonly string[],
  catalogs: readonly Catalog[],
): Promise<FakeOpenShift> {
  const cluster = await connect({ kubeconfig: currentCluster().kubeconfig, env: {} })
  const stop = new AbortController()
  const settled = new Set<string>()
  let repairs = 0

  async function round(): Promise<void> {
    for (const account of accounts) {
      const wrote = await keepAccount(cluster, account)
      if (wrote && settled.has(account)) repairs += 1
      if (!wrote) settled.add(account)
    }
    for (const catalog of catalogs) await keepCatalog(cluster, catalog)
  }
  async function run(): Promise<void> {
    while (!stop.signal.aborted) {
      // Another writer was faster: the next round sees what it wrote.
      await round().catch((error: unknown) => {
        if (!hasStatus(error, 404, 409)) throw error
      })
      await sleep(200, undefined, { signal: stop.signal }).catch(() => undefined)
    }
  }
  await round()
  const running = run()
  return {
    repairs: () => repairs,
    stop: async () => {
      stop.abort()
      await running
      await cluster.close()
    },
  }
}

/** True if something had to be written. Other entries of the lists stay, as with the real one. */
async function keepAccount({ api }: Cluster, account: string): Promise<boolean> {
  const [namespace = '', name = ''] = account.split('/')
  const where = { apiVersion: 'v1', resource: 'serviceaccounts', namespace, name }
  const object = await api.get<Account>(where)
  if (object === null) return false
  const known = object.metadata.annotations?.[reference]
  const secret = known ?? `${name}-dockercfg-${suffix()}`
  const wrote = await keepSecret({ api }, { namespace, account: name, secret })
  const lacks = (list: { name: string }[] = []) => !list.some((entry) => entry.name === secret)
  if (known !== undefined && !lacks(object.secrets) && !lacks(object.imagePullSecrets)) return wrote
  await api.replace(where, {
    ...object,
    metadata: {
      ...object.metadata,
      annotations: { ...object.metadata.annotations, [reference]: secret },
    },
    ...Object.fromEntries(
      (['secrets', 'imagePullSecrets'] as const).map((list) => [
        list,
        lacks(object[list]) ? [...(object[list] ?? []), { name: secret }] : object[list],
      ]),
    ),
  })
  return true
}

async function keepSecret(
  { api }: Pick<Cluster, 'api'>,
  { namespace, account, secret }: { namespace: string; account: string; secret: string },
): Promise<boolean> {
  const where = { apiVersion: 'v1', resource: 'secrets', namespace }
  const auth = Buffer.from(`<token>:internal-${account}`).toString('base64')
  const content = JSON.stringify(Object.fromEntries(internalHosts.map((host) => [host, { auth }])))
  const data = { '.dockercfg': Buffer.from(content).toString('base64') }
  const there = await api.get<KubeObject & { data?: Record<string, string> }>({
    ...where,
    name: secret,
  })
  if (there?.data?.['.dockercfg'] === data['.dockercfg']) return false
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
  if (there === null) await api.create(where, object)
  else await api.patch({ ...where, name: secret }, 'merge', { data })
  return true
}

/** A pod of a catalog, owned by its CatalogSource, as OLM makes it. */
async function keepCatalog({ api }: Cluster, { name, namespace, image }: Catalog): Promise<void> {
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

/** Five letters or digits, as names that the API server generates end. */
function suffix(): string {
  return Math.random().toString(36).slice(2, 7).padEnd(5, 'x')
}

/** The CustomResourceDefinition of OLM's catalogs, without their schema. */
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
