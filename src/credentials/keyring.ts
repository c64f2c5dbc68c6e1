/**
 * Reads a pod's pull secrets into a keyring, as the kubelet does (k8s.io/kubernetes v1.36,
 * pkg/credentialprovider/secrets/secrets.go and pkg/kubelet/kubelet_pods.go, getPullSecretsForPod). The keyring contains
 * passwords; credential-order.ts returns what may be shown.
 */
import {
  type DockerConfigEntry,
  type DockerConfigFault,
  type DockerConfigForm,
  readDockerConfig,
} from './docker-config.ts'
import { type DockerConfigKey, parseKey, redactKey, sortLikeKubelet } from './docker-config-keys.ts'

/** The part of a Secret that pulling needs, as the API server returns it. */
export interface PullSecret {
  readonly type?: string
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>
}

/** `unreadable`: Berth was not allowed to read the secret, which may exist. */
export type PullSecretState = PullSecret | 'missing' | 'unreadable'

/** Why the kubelet ignores a whole secret. Only for `missing` does it emit an Event. */
export type IgnoredSecretReason =
  /** The list of the pod has an entry without a name. */
  | 'no-name'
  | 'missing'
  | 'unreadable'
  /** Neither kubernetes.io/dockerconfigjson nor kubernetes.io/dockercfg. */
  | 'wrong-type'
  /** The member that its type requires is missing or empty. */
  | 'no-data'
  | 'no-entries'
  /** No entries, but a credential helper, which the kubelet does not run. */
  | 'helpers-only'

export interface IgnoredSecret {
  readonly secret: string
  readonly reason: IgnoredSecretReason
  /** The type of the secret; null if it was not read. */
  readonly type: string | null
}

/** Why the kubelet pulls no image of the pod, from any registry. */
export interface KeyringFault {
  readonly secret: string
  /** The key of the entry; null if the whole secret cannot be read. */
  readonly key: string | null
  readonly fault: DockerConfigFault
}

export interface KeyringEntry extends DockerConfigEntry {
  /** As in the secret, without the user and password of a URL. */
  readonly key: string
  readonly secret: string
  /** The index of the secret in the pod's list. */
  readonly position: number
  readonly registry: DockerConfigKey
  readonly hasIdentityToken: boolean
}

export interface Keyring {
  /** In the order of the kubelet: by key, then by secret. */
  readonly entries: readonly KeyringEntry[]
  readonly ignored: readonly IgnoredSecret[]
  /** Keys that are not URLs. */
  readonly badKeys: readonly { readonly secret: string; readonly key: string }[]
  /** In the order in which the kubelet reads. It reports only the first. */
  readonly faults: readonly KeyringFault[]
}

/** The member and form that each type of secret must have. */
const forms: Readonly<Record<string, { member: string; form: DockerConfigForm }>> = {
  'kubernetes.io/dockerconfigjson': { member: '.dockerconfigjson', form: 'config' },
  'kubernetes.io/dockercfg': { member: '.dockercfg', form: 'legacy' },
}

/**
 * Reads the secrets that a pod names, in the order of its `imagePullSecrets`. A name that occurs twice counts twice. If a JSON
 * object has two members with exactly the same name, only the last one is read, where Go would also reject a bad first one.
 */
export function readKeyring(
  names: readonly string[],
  find: (name: string) => PullSecretState,
): Keyring {
  const parts = names.map((name, position) => readSecret(name, position, find))
  return {
    entries: sortLikeKubelet(parts.flatMap(({ entries = [] }) => entries)),
    ignored: parts.flatMap(({ ignored = [] }) => ignored),
    badKeys: parts.flatMap(({ badKeys = [] }) => badKeys),
    faults: parts.flatMap(({ faults = [] }) => faults),
  }
}

function readSecret(
  name: string,
  position: number,
  find: (name: string) => PullSecretState,
): Partial<Keyring> {
  const ignore = (reason: IgnoredSecretReason, type: string | null): Partial<Keyring> => ({
    ignored: [{ secret: name, reason, type }],
  })
  if (name === '') return ignore('no-name', null)
  const secret = find(name)
  if (typeof secret === 'string') return ignore(secret, null)
  const { type = '', data = {} } = secret
  const expected = Object.hasOwn(forms, type) ? forms[type] : undefined
  if (expected === undefined) return ignore('wrong-type', type)
  const bytes = Buffer.from(data[expected.member] ?? '', 'base64')
  if (bytes.length === 0) return ignore('no-data', type)
  const part = readConfig(bytes.toString('utf8'), expected.form, { secret: name, position })
  return 'reason' in part ? ignore(part.reason, type) : part
}

/** Lists the faults of entries first: Go stops at the first of them, but continues after a fault of the whole. */
function readConfig(
  text: string,
  form: DockerConfigForm,
  origin: Pick<KeyringEntry, 'secret' | 'position'>,
): Partial<Keyring> | { readonly reason: IgnoredSecretReason } {
  const { secret } = origin
  const config = readDockerConfig(text, form)
  const entries: KeyringEntry[] = []
  const badKeys: { secret: string; key: string }[] = []
  const faults: KeyringFault[] = []
  for (const entry of config.entries) {
    const key = redactKey(entry.key)
    const registry = parseKey(entry.key)
    if (entry.fault !== null) faults.push({ secret, key, fault: entry.fault })
    else if (registry === null) badKeys.push({ secret, key })
    else {
      const { username, password, identityToken } = entry
      const hasIdentityToken = identityToken !== null
      entries.push({ ...origin, key, registry, username, password, hasIdentityToken })
    }
  }
  if (config.fault !== null) faults.push({ secret, key: null, fault: config.fault })
  if (config.entries.length === 0 && faults.length === 0) {
    return { reason: config.hasHelpers ? 'helpers-only' : 'no-entries' }
  }
  return { entries, badKeys, faults }
}
