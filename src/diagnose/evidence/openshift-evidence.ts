/**
 * What OpenShift knows of nodes' credentials and mirrors: the global pull secret, of which only its hosts are told, the pools
 * that carry it to the nodes, and mirror sets. On other clusters there is none of it.
 */
import { type PullSecret, readKeyring } from '../../credentials/keyring.ts'
import type { Credential } from '../../credentials/keychain.ts'
import { candidateCredentials } from '../../credentials/pull-order.ts'
import type { Evidence } from '../verdict.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { KubeObject } from '../../kube/object.ts'
import { isObject, member } from '../../json/json.ts'
import { type Reference, repositoryName } from '../../decision/reference/reference.ts'

const globalSecret = { apiVersion: 'v1', resource: 'secrets', namespace: 'openshift-config', name: 'pull-secret' } // prettier-ignore

export interface OpenShiftFacts {
  readonly evidence: readonly Evidence[]
  /** What to do about a credential that nodes lack; null when the global pull secret could not be read. */
  readonly fix: string | null
  /** Of the global pull secret, for this image. */
  readonly credentials: readonly Credential[]
}

/** What bears on an image for which no secret of the pod is; null on another cluster. Throws KubeError when the API server fails. */
export async function openShiftFacts(
  api: KubeApi,
  reference: Reference,
): Promise<OpenShiftFacts | null> {
  if (!(await isOpenShift(api))) return null
  const [global, pools, mirrors] = await Promise.all([
    globalCredentials(api, reference),
    poolsBehind(api),
    mirrorsOf(api, reference),
  ])
  return {
    evidence: [global.says, ...pools, ...mirrors].map((says) => ({ from: 'openshift', says })),
    fix: fixFor(reference, { isThere: global.isThere, isBehind: pools.length > 0 }),
    credentials: global.credentials,
  }
}

function fixFor(
  { domain }: Reference,
  { isThere, isBehind }: { readonly isThere: boolean | null; readonly isBehind: boolean },
): string | null {
  if (isThere === null) return null
  const linked = `or copy a secret for ${domain} to the namespace and link it to the service account beside what it has; the generated dockercfg secrets are not to be edited`
  if (!isThere)
    return `add ${domain} to the global pull secret (openshift-config/pull-secret), ${linked}`
  return isBehind
    ? `see why the pools that are not updated have not got the global pull secret, which has ${domain} (oc get mcp); ${linked}`
    : `see whether the nodes have the global pull secret, which has ${domain} (/var/lib/kubelet/config.json), and whether its entry is still good; ${linked}`
}

async function isOpenShift(api: KubeApi): Promise<boolean> {
  try {
    await api.getRaw('/apis/config.openshift.io/v1')
    return true
  } catch (error) {
    if (hasStatus(error, 403, 404)) return false
    throw error
  }
}

interface GlobalCredentials {
  readonly isThere: boolean | null
  readonly says: string
  readonly credentials: readonly Credential[]
}

async function globalCredentials(api: KubeApi, reference: Reference): Promise<GlobalCredentials> {
  const secret = await api.get<KubeObject & PullSecret>(globalSecret).catch((error: unknown) => {
    if (hasStatus(error, 403)) return 'unreadable' as const
    throw error
  })
  if (secret === 'unreadable') {
    const says = 'the global pull secret may not be read by you'
    return { isThere: null, says, credentials: [] }
  }
  const keyring = readKeyring(['pull-secret'], () => secret ?? 'missing')
  const credentials = candidateCredentials(keyring, reference)
  const hosts = [...new Set(keyring.entries.map(({ key }) => key))].toSorted()
  const verb = credentials.length > 0 ? 'has an entry for' : 'has no entry for'
  return {
    isThere: credentials.length > 0,
    says: `the global pull secret ${verb} ${reference.domain}; it knows ${hosts.join(', ') || 'none'}`,
    credentials: credentials.map((each) => ({ ...each, source: `global ${each.source}` })),
  }
}

/** Pools whose nodes may not have the newest configuration, the global pull secret among it. */
async function poolsBehind(api: KubeApi): Promise<string[]> {
  const pools = await all(api, 'machineconfiguration.openshift.io/v1', 'machineconfigpools')
  return pools.flatMap((pool) => {
    const conditions = listOf(member(member(pool, 'status'), 'conditions'))
    const is = (type: string, status: string) =>
      conditions.some((each) => each['type'] === type && each['status'] === status)
    const words = [
      ...(is('Updated', 'False') ? ['not updated'] : []),
      ...(is('Degraded', 'True') ? ['degraded'] : []),
    ]
    return words.length === 0
      ? []
      : [`machine config pool ${pool.metadata.name} is ${words.join(' and ')}`]
  })
}

const mirrorSets = [
  { resource: 'imagedigestmirrorsets', key: 'imageDigestMirrors', word: 'by digest' },
  { resource: 'imagetagmirrorsets', key: 'imageTagMirrors', word: 'by tag' },
] as const

async function mirrorsOf(api: KubeApi, reference: Reference): Promise<string[]> {
  const name = repositoryName(reference)
  const found = await Promise.all(
    mirrorSets.map(async ({ resource, key, word }) => {
      const sets = await all(api, 'config.openshift.io/v1', resource)
      return sets.flatMap((set) =>
        listOf(member(member(set, 'spec'), key)).flatMap(({ source, mirrors }) =>
          typeof source === 'string' &&
          (name === source || name.startsWith(`${source}/`)) &&
          Array.isArray(mirrors)
            ? [`nodes ask ${mirrors.join(', ')} first, ${word} (${resource} ${set.metadata.name})`]
            : [],
        ),
      )
    }),
  )
  return found.flat()
}

/** Every object of a kind; none where there is no such kind or it may not be read. */
async function all(api: KubeApi, apiVersion: string, resource: string): Promise<KubeObject[]> {
  const found: KubeObject[] = []
  try {
    for await (const each of api.list<KubeObject>({ apiVersion, resource })) found.push(each)
  } catch (error) {
    if (!hasStatus(error, 403, 404)) throw error
  }
  return found
}

function listOf(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}
