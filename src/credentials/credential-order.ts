/**
 * Predicts which credentials of a pod's pull secrets the kubelet tries for an image, in which order, and which it ignores
 * without an Event (k8s.io/kubernetes v1.36, pkg/kubelet/images/image_manager.go and kuberuntime/kuberuntime_image.go). The
 * prediction contains no password.
 */
import type { Reference } from '../decision/reference/reference.ts'
import { entriesFor, type KeyMismatch, keyMismatch } from './docker-config-keys.ts'
import type { Credential } from './keychain.ts'
import type { IgnoredSecret, Keyring, KeyringEntry, KeyringFault } from './keyring.ts'

type ImageRepository = Pick<Reference, 'domain' | 'path'>

export interface CredentialCandidate {
  readonly secret: string
  /** As in the secret, without the user and password of a URL. */
  readonly key: string
  readonly username: string
  /** True if the user is empty: containerd then sends an anonymous request. */
  readonly isAnonymous: boolean
  /** True if the entry has an identitytoken, which the kubelet ignores. */
  readonly hasIdentityToken: boolean
  /** The index of an earlier candidate with the same user and password; null without one. */
  readonly repeats: number | null
  /** True if another entry of the secret has the same key: the kubelet tries them in random order, another one at each pull. */
  readonly isOrderRandom: boolean
}

export interface IgnoredKey {
  readonly secret: string
  readonly key: string
  readonly reason: KeyMismatch
}

export interface CredentialOrder {
  /**
   * `fails`: a secret cannot be read, so the kubelet pulls no image of the pod.
   * `credentials`: the kubelet tries each candidate until one works, then the credentials of the node, and never anonymously.
   * `no-credentials`: no pull secret is for this image. The kubelet tries the credentials of the node (a file, a credential
   * provider), and only without those an anonymous request.
   */
  readonly outcome: 'fails' | 'credentials' | 'no-credentials'
  /** False if a secret was unreadable: there may be more candidates, or a fault. */
  readonly isComplete: boolean
  /** In the order in which the kubelet tries them; empty if it fails. */
  readonly candidates: readonly CredentialCandidate[]
  /** The kubelet reports only the first. */
  readonly faults: readonly KeyringFault[]
  /** The same for every image of the pod. */
  readonly ignoredSecrets: readonly IgnoredSecret[]
  /** Entries that do not match this image, in the order of the keyring. */
  readonly ignoredKeys: readonly IgnoredKey[]
  /** The key that an entry for this host needs. */
  readonly wantedKey: string
}

/**
 * Predicts the credentials for one image. Since Kubernetes 1.35 the kubelet also uses them to verify that a pod may use an image
 * that is already on the node (KubeletEnsureSecretPulledImages). That does not change their order, but a fault can then stop
 * such an image too (pullmanager/image_pull_manager.go, MustAttemptImagePull).
 */
export function credentialOrder(keyring: Keyring, repository: ImageRepository): CredentialOrder {
  const { domain, path } = repository
  const hasFault = keyring.faults.length > 0
  const entries = entriesFor(keyring.entries, domain, path)
  const candidates = hasFault ? [] : entries.map(describe)
  return {
    outcome: hasFault ? 'fails' : candidates.length > 0 ? 'credentials' : 'no-credentials',
    isComplete: keyring.ignored.every(({ reason }) => reason !== 'unreadable'),
    candidates,
    faults: keyring.faults,
    ignoredSecrets: keyring.ignored,
    ignoredKeys: [
      ...keyring.entries.flatMap(({ secret, key, registry }) => {
        const reason = keyMismatch(registry, domain, path)
        return reason === null ? [] : [{ secret, key, reason }]
      }),
      ...keyring.badKeys.map((bad) => ({ ...bad, reason: 'not-a-url' as const })),
    ].filter(({ secret, key }) => !entries.some((one) => one.secret === secret && one.key === key)),
    wantedKey: domain === 'docker.io' ? 'https://index.docker.io/v1/' : domain,
  }
}

/** Returns the credentials of the candidates, in their order. */
export function candidateCredentials(
  keyring: Keyring,
  { domain, path }: ImageRepository,
): readonly Credential[] {
  if (keyring.faults.length > 0) return []
  return entriesFor(keyring.entries, domain, path).map(({ secret, key, username, password }) => ({
    username,
    password,
    source: `secret ${secret}, key ${key}`,
  }))
}

function describe(
  entry: KeyringEntry,
  index: number,
  entries: readonly KeyringEntry[],
): CredentialCandidate {
  const { secret, key, username, password, hasIdentityToken } = entry
  const first = entries.findIndex(
    (other) => other.username === username && other.password === password,
  )
  return {
    secret,
    key,
    username,
    isAnonymous: username === '',
    hasIdentityToken,
    repeats: first < index ? first : null,
    isOrderRandom: entries.some(
      (other) =>
        other !== entry &&
        other.position === entry.position &&
        other.registry.text === entry.registry.text,
    ),
  }
}
