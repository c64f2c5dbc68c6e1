/**
 * Which credentials of a pod's pull secrets the kubelet would try for an image, in which order, and which it passes over
 * without a word (k8s.io/kubernetes v1.36, pkg/kubelet/images/image_manager.go and kuberuntime/kuberuntime_image.go).
 * What this module says may be shown to anyone who may know the secrets' names: it holds no password.
 */
import { type KeyMismatch, keyMismatch, entriesFor } from './docker-config-keys.ts'
import type { Credential } from './keychain.ts'
import type { IgnoredSecret, Keyring, KeyringEntry, KeyringFault } from './keyring.ts'

/** A repository, as a parsed image reference has it. */
export interface ImageRepository {
  /** With the port, if there is one; `docker.io` for Docker Hub. */
  readonly domain: string
  readonly path: string
}

export interface CredentialCandidate {
  readonly secret: string
  /** As the secret has it, but for a user and password in it. */
  readonly key: string
  readonly username: string
  /** True when the user is empty: containerd then sends nothing, and the try is an anonymous one. */
  readonly isAnonymous: boolean
  /** True when the entry has an identitytoken, which the kubelet does not read. */
  readonly hasIdentityToken: boolean
  /** Index of an earlier candidate with the same user and password, which this one repeats; null when it is the first. */
  readonly repeats: number | null
  /** True when the entry shares its key with another of its secret: their order is random, and changes with each pull. */
  readonly isOrderRandom: boolean
}

export interface IgnoredKey {
  readonly secret: string
  readonly key: string
  readonly reason: KeyMismatch
}

export interface CredentialOrder {
  /**
   * `fails`: a secret cannot be read, so the kubelet asks no registry, for this image or another of the pod.
   * `credentials`: each candidate is tried until one works, then the node's own; the image is never asked for without any.
   * `no-credentials`: nothing in the pod's secrets is for this image. The node's own credentials are tried, if it has any
   * (a file, a credential provider); only without those is the image asked for anonymously.
   */
  readonly outcome: 'fails' | 'credentials' | 'no-credentials'
  /** False when a secret was unreadable: there may be more candidates, or a fault. */
  readonly isComplete: boolean
  /** In the order of the tries; none when it fails. */
  readonly candidates: readonly CredentialCandidate[]
  /** The first is the one that the kubelet tells of. */
  readonly faults: readonly KeyringFault[]
  /** The same for every image of the pod. */
  readonly ignoredSecrets: readonly IgnoredSecret[]
  /** Entries that are not for this image, in the keyring's order. */
  readonly ignoredKeys: readonly IgnoredKey[]
  /** The key under which an entry for this host would be found. */
  readonly wantedKey: string
}

/**
 * Foretells the tries for one image. Since kubelet 1.35 the same candidates are looked up to verify that a pod may use an
 * image that is on the node already (KubeletEnsureSecretPulledImages): that changes nothing in their order, but a fault
 * can then stop such an image too (pullmanager/image_pull_manager.go, MustAttemptImagePull).
 */
export function credentialOrder(keyring: Keyring, repository: ImageRepository): CredentialOrder {
  const { domain, path } = repository
  const isBroken = keyring.faults.length > 0
  const selected = entriesFor(keyring.entries, domain, path)
  const candidates = isBroken ? [] : selected.map(describe)
  return {
    outcome: isBroken ? 'fails' : candidates.length > 0 ? 'credentials' : 'no-credentials',
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
    ].filter(
      ({ secret, key }) => !selected.some((one) => one.secret === secret && one.key === key),
    ),
    wantedKey: domain === 'docker.io' ? 'https://index.docker.io/v1/' : domain,
  }
}

/** The credentials of the candidates, one for each and in their order, for whoever has leave to try them. */
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
  selected: readonly KeyringEntry[],
): CredentialCandidate {
  const { secret, key, username, password, hasIdentityToken } = entry
  const first = selected.findIndex(
    (other) => other.username === username && other.password === password,
  )
  return {
    secret,
    key,
    username,
    isAnonymous: username === '',
    hasIdentityToken,
    repeats: first < index ? first : null,
    isOrderRandom: selected.some(
      (other) =>
        other !== entry &&
        other.position === entry.position &&
        other.registry.text === entry.registry.text,
    ),
  }
}
