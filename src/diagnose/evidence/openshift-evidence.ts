/**
 * Reads what OpenShift configures for the pulls of its nodes: the global pull secret (only its hosts are reported), the
 * machine config pools that bring it to the nodes, and mirror sets.
 */
import { type PullSecret, readKeyring } from '../../credentials/keyring.ts'
import type { Credential } from '../../credentials/keychain.ts'
import { candidateCredentials } from '../../credentials/credential-order.ts'
import type { Evidence } from '../verdict.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { KubeObject } from '../../kube/object.ts'
import { member, objectsMember } from '../../json/json.ts'
import { type Reference, repositoryName } from '../../decision/reference/reference.ts'
import { unlessForbidden } from './cluster-reader.ts'

const globalSecret = { apiVersion: 'v1', resource: 'secrets', namespace: 'openshift-config', name: 'pull-secret' } // prettier-ignore

export interface OpenShiftFacts {
  readonly evidence: readonly Evidence[]
  /** The fix for a missing credential; null when the global pull secret could not be read. */
  readonly fix: string | null
  /** The credentials of the global pull secret for this image. */
  readonly credentials: readonly Credential[]
}

/** Returns the facts about an image that no secret of the pod is for; null when the cluster is not OpenShift. Throws KubeError when the API server fails. */
export async function openShiftFacts(
  api: KubeApi,
  reference: Reference,
): Promise<OpenShiftFacts | null> {
  if (!(await isOpenShift(api))) return null
  const [global, pools, mirrors] = await Promise.all([
    globalCredentials(api, reference),
    outdatedPools(api),
    mirrorSetsFor(api, reference),
  ])
  return {
    evidence: [global.says, ...pools, ...mirrors].map((says) => ({ from: 'openshift', says })),
    fix: fixFor(reference, { hasEntry: global.hasEntry, hasOutdatedPools: pools.length > 0 }),
    credentials: global.credentials,
  }
}

function fixFor(
  { domain }: Reference,
  {
    hasEntry,
    hasOutdatedPools,
  }: { readonly hasEntry: boolean | null; readonly hasOutdatedPools: boolean },
): string | null {
  if (hasEntry === null) return null
  const linkText = `or copy a pull secret for ${domain} to the namespace and add it to the list of the service account; do not edit the generated dockercfg secrets`
  if (!hasEntry)
    return `add ${domain} to the global pull secret (openshift-config/pull-secret), ${linkText}`
  return hasOutdatedPools
    ? `find out why machine config pools are not updated (oc get mcp): their nodes may not have the global pull secret, which has ${domain}; ${linkText}`
    : `check that the nodes have the global pull secret with ${domain} (/var/lib/kubelet/config.json), and that its entry is still valid; ${linkText}`
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
  /** True if it has an entry for this image; null when it could not be read. */
  readonly hasEntry: boolean | null
  readonly says: string
  readonly credentials: readonly Credential[]
}

async function globalCredentials(api: KubeApi, reference: Reference): Promise<GlobalCredentials> {
  const secret = await unlessForbidden(api.get<KubeObject & PullSecret>(globalSecret))
  if (secret === 'unreadable') {
    const says = 'you may not read the global pull secret'
    return { hasEntry: null, says, credentials: [] }
  }
  const keyring = readKeyring(['pull-secret'], () => secret ?? 'missing')
  const credentials = candidateCredentials(keyring, reference)
  const hosts = [...new Set(keyring.entries.map(({ key }) => key))].toSorted()
  const verb = credentials.length > 0 ? 'has an entry for' : 'has no entry for'
  return {
    hasEntry: credentials.length > 0,
    says: `the global pull secret ${verb} ${reference.domain}; its keys are ${hosts.join(', ') || 'none'}`,
    credentials: credentials.map((each) => ({ ...each, source: `global ${each.source}` })),
  }
}

/** Pools whose nodes may not have the latest configuration, which contains the global pull secret. */
async function outdatedPools(api: KubeApi): Promise<string[]> {
  const pools = await listOrNone(api, 'machineconfiguration.openshift.io/v1', 'machineconfigpools')
  return pools.flatMap((pool) => {
    const conditions = objectsMember(member(pool, 'status'), 'conditions')
    const has = (type: string, status: string) =>
      conditions.some((each) => each['type'] === type && each['status'] === status)
    const words = [
      ...(has('Updated', 'False') ? ['not updated'] : []),
      ...(has('Degraded', 'True') ? ['degraded'] : []),
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

async function mirrorSetsFor(api: KubeApi, reference: Reference): Promise<string[]> {
  const name = repositoryName(reference)
  const found = await Promise.all(
    mirrorSets.map(async ({ resource, key, word }) => {
      const sets = await listOrNone(api, 'config.openshift.io/v1', resource)
      return sets.flatMap((set) =>
        objectsMember(member(set, 'spec'), key).flatMap(({ source, mirrors }) =>
          typeof source === 'string' &&
          (name === source || name.startsWith(`${source}/`)) &&
          Array.isArray(mirrors)
            ? [
                `nodes pull from ${mirrors.join(', ')} first, ${word} (${resource} ${set.metadata.name})`,
              ]
            : [],
        ),
      )
    }),
  )
  return found.flat()
}

/** Every object of a kind; none when the kind does not exist or may not be read. */
async function listOrNone(
  api: KubeApi,
  apiVersion: string,
  resource: string,
): Promise<KubeObject[]> {
  const found: KubeObject[] = []
  try {
    for await (const each of api.list<KubeObject>({ apiVersion, resource })) found.push(each)
  } catch (error) {
    if (!hasStatus(error, 403, 404)) throw error
  }
  return found
}
