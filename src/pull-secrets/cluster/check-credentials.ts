/** Reads what a check for missing credentials needs from the cluster, for `berth secrets check`. */
import type { SourceName } from '../../config/copy-settings.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { findSites } from '../../decision/pod/sites.ts'
import { namespacedName, type ResourceRef } from '../../kube/object.ts'
import { readContent } from '../content.ts'
import {
  findMissingCredentials,
  type KnownSource,
  type MissingCredential,
  type PodNeed,
} from '../missing-credentials.ts'
import type { ServiceAccountObject, SecretObject } from '../objects.ts'
import { type PodObject, readStuckPod } from '../stuck-pods.ts'

export interface CredentialCheck {
  readonly missing: readonly MissingCredential[]
  /** One message for each source that does not exist or cannot be read. */
  readonly unusableSources: readonly string[]
}

const pullSecretTypes = ['kubernetes.io/dockerconfigjson', 'kubernetes.io/dockercfg']

/**
 * Finds the registries that pods need, that a source has credentials for, and that their service accounts lack. Sources need
 * no consent, because nothing is copied. Reads the pull secrets of the namespace, or of all. Throws KubeError.
 */
export async function checkCredentials(
  api: KubeApi,
  sources: readonly SourceName[],
  namespace: string | null,
): Promise<CredentialCheck> {
  const known: KnownSource[] = []
  const unusableSources: string[] = []
  for (const name of sources) {
    const source = await readSource(api, name)
    if ('problem' in source) unusableSources.push(source.problem)
    else known.push(source)
  }
  const collection = (resource: string): ResourceRef => ({
    apiVersion: 'v1',
    resource,
    ...(namespace === null ? {} : { namespace }),
  })
  const pods: PodNeed[] = []
  for await (const pod of api.list<PodObject>(collection('pods'))) pods.push(needOf(pod))
  const accounts = new Map<string, readonly string[]>()
  for await (const account of api.list<ServiceAccountObject>(collection('serviceaccounts')))
    accounts.set(
      namespacedName(account),
      (account.imagePullSecrets ?? []).map(({ name = '' }) => name),
    )
  const secrets = new Map<string, SecretObject>()
  for (const type of pullSecretTypes) {
    const selection = { fieldSelector: `type=${type}` }
    for await (const secret of api.list<SecretObject>(collection('secrets'), selection))
      secrets.set(namespacedName(secret), secret)
  }
  const missing = findMissingCredentials({ pods, accounts, secrets, sources: known })
  return { missing, unusableSources }
}

async function readSource(
  api: KubeApi,
  source: SourceName,
): Promise<KnownSource | { readonly problem: string }> {
  const name = namespacedName({ metadata: source })
  const ref = { apiVersion: 'v1', resource: 'secrets', ...source }
  const secret = await api.get<SecretObject>(ref)
  if (secret === null) return { problem: `source secret ${name} does not exist` }
  const { type = '', data = {} } = secret
  const content = readContent({ from: [source], type: 'keep' }, () => ({
    uid: '',
    type,
    data,
    expiresAt: null,
  }))
  return content.kind === 'valid' ? { name, keys: content.keys } : { problem: content.reason }
}

function needOf(pod: PodObject): PodNeed {
  const { metadata, spec = {} } = pod
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    account: spec.serviceAccountName ?? 'default',
    images: findSites(pod).map(({ image }) => image),
    pullSecrets: (spec.imagePullSecrets ?? []).map(({ name = '' }) => name),
    waitsFor: readStuckPod(pod)?.images ?? [],
  }
}
