/** Finds the pull secret to copy for a failing image, among those whose owners consent or the one that the caller named. */
import { readKeyring, type PullSecret } from '../../credentials/keyring.ts'
import { credentialOrder } from '../../credentials/credential-order.ts'
import type { Reference } from '../../decision/reference/reference.ts'
import { BerthError } from '../../errors.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { KubeObject } from '../../kube/object.ts'
import { consentLabel, consentValue, expiresAnnotation } from '../../pull-secrets/labels.ts'
import type { CopySource, SecretName } from './steps.ts'

export type StoredSecret = KubeObject & PullSecret

/**
 * Returns the secrets that may be copied: the named one, or all with the consent label. Null when the caller named none
 * and may not list secrets of other namespaces. Throws `usage` for a named secret that does not exist, and KubeError.
 */
export async function readCopySources(
  api: Pick<KubeApi, 'get' | 'list'>,
  named: SecretName | null,
): Promise<CopySource[] | null> {
  if (named !== null) {
    const found = await api.get<StoredSecret>({ apiVersion: 'v1', resource: 'secrets', ...named })
    if (found !== null) return [copySource(found)]
    throw new BerthError('usage', `secret ${named.namespace}/${named.name} does not exist`)
  }
  const sources: CopySource[] = []
  try {
    const secrets = { apiVersion: 'v1', resource: 'secrets' }
    const selection = { labelSelector: `${consentLabel}=${consentValue}` }
    for await (const found of api.list<StoredSecret>(secrets, selection))
      if (found.metadata.deletionTimestamp === undefined) sources.push(copySource(found))
  } catch (error) {
    if (hasStatus(error, 403)) return null
    throw error
  }
  return sources
}

function copySource(secret: StoredSecret): CopySource {
  const { namespace = '', name, annotations = {} } = secret.metadata
  return { namespace, name, secret, expiresAt: annotations[expiresAnnotation] ?? null }
}

export interface CopySourceRequest {
  readonly reference: Reference
  /** Names of secrets to prefer: those that the pod names and that do not exist. */
  readonly preferredNames: readonly string[]
}

/** Returns the source for the image, or the reason why there is none. Sources with the same content count as one. */
export function chooseCopySource(
  sources: readonly CopySource[] | null,
  { reference, preferredNames }: CopySourceRequest,
): CopySource | string {
  const { domain } = reference
  if (sources === null)
    return `you may not list secrets of other namespaces: name one for ${domain} with --secret NAMESPACE/NAME`
  const matching = sources.filter(({ secret }) => hasCredentialFor(secret, reference))
  const valid = matching.filter(({ expiresAt }) => !(Date.parse(expiresAt ?? '') <= Date.now()))
  const preferred = valid.filter(({ name }) => preferredNames.includes(name))
  const [first, ...others] = preferred.length > 0 ? preferred : valid
  if (first === undefined && matching.length > 0)
    return `the credentials of ${listText(matching)} have expired: renew them`
  if (first === undefined)
    return `no secret for ${domain} may be copied: label one ${consentLabel}=${consentValue}, or name one with --secret NAMESPACE/NAME`
  if (others.some(({ secret }) => !hasSameContent(secret, first.secret)))
    return `several different secrets are for ${domain} (${listText([first, ...others])}): name one with --secret NAMESPACE/NAME`
  return first
}

/** True if the kubelet would send a credential of the secret for this image. */
export function hasCredentialFor(secret: PullSecret, reference: Reference): boolean {
  const { candidates } = credentialOrder(
    readKeyring(['secret'], () => secret),
    reference,
  )
  return candidates.some(({ isAnonymous }) => !isAnonymous)
}

/** True if both have the same type and the same docker config, byte for byte. */
export function hasSameContent(one: PullSecret, other: PullSecret): boolean {
  return one.type === other.type && dockerConfig(one) === dockerConfig(other)
}

function dockerConfig({ data = {} }: PullSecret): string {
  return data['.dockerconfigjson'] ?? data['.dockercfg'] ?? ''
}

function listText(sources: readonly SecretName[]): string {
  return sources.map(({ namespace, name }) => `${namespace}/${name}`).join(', ')
}
