/**
 * What the kubelet makes of a pod's pull secrets (k8s.io/kubernetes v1.36, pkg/credentialprovider/secrets/secrets.go and
 * pkg/kubelet/kubelet_pods.go, getPullSecretsForPod). Holds passwords: pull-order.ts has what may be shown.
 */
import { sortLikeKubelet, type DockerConfigKey, parseKey, redactKey } from './docker-config-keys.ts'
import {
  type DockerConfigFault,
  type DockerConfigEntry,
  type DockerConfigForm,
  readDockerConfig,
} from './docker-config.ts'

/** A secret as the API gives it. */
export interface PullSecret {
  readonly type?: string
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>
}

/** `unreadable`: it may be there, but whoever asks was not allowed to read it. */
export type PullSecretState = PullSecret | 'missing' | 'unreadable'

/** Why a whole secret adds nothing. Of all of these only `missing` makes an event. */
export type IgnoredSecretReason =
  /** The pod's list has an entry without a name. */
  | 'no-name'
  | 'missing'
  | 'unreadable'
  /** Neither kubernetes.io/dockerconfigjson nor kubernetes.io/dockercfg. */
  | 'wrong-type'
  /** The member that its type calls for is not there, or empty. */
  | 'no-data'
  | 'no-entries'
  /** No entries, but the name of a program that would know them, which the kubelet does not run. */
  | 'helpers-only'

export interface IgnoredSecret {
  readonly secret: string
  readonly reason: IgnoredSecretReason
  /** Null when it was not read. */
  readonly type: string | null
}

/** What makes every image of the pod fail, whatever its registry. */
export interface KeyringFault {
  readonly secret: string
  /** Of the entry; null when the secret as a whole cannot be read. */
  readonly key: string | null
  readonly fault: DockerConfigFault
}

export interface KeyringEntry extends DockerConfigEntry {
  /** As the secret has it, but for a user and password in it. */
  readonly key: string
  readonly secret: string
  /** In the pod's list of pull secrets, from 0. */
  readonly position: number
  readonly registry: DockerConfigKey
  readonly hasIdentityToken: boolean
}

export interface Keyring {
  /** In the kubelet's order: by key, then by secret. */
  readonly entries: readonly KeyringEntry[]
  readonly ignored: readonly IgnoredSecret[]
  /** Keys that are no URL, each with its secret. */
  readonly badKeys: readonly { readonly secret: string; readonly key: string }[]
  /** The kubelet tells of the first alone, in the order in which it reads. */
  readonly faults: readonly KeyringFault[]
}

/** The member and its form that each type of secret must have. */
const forms: Readonly<Record<string, { member: string; form: DockerConfigForm }>> = {
  'kubernetes.io/dockerconfigjson': { member: '.dockerconfigjson', form: 'config' },
  'kubernetes.io/dockercfg': { member: '.dockercfg', form: 'legacy' },
}

type Part = Partial<Keyring>

/**
 * Reads the secrets that a pod names, in the order of its `imagePullSecrets`. A name that stands there twice counts twice.
 * Of members with exactly the same name in one JSON object only the last is seen, where Go would also refuse a bad first.
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

function readSecret(name: string, position: number, find: (name: string) => PullSecretState): Part {
  const ignore = (reason: IgnoredSecretReason, type: string | null): Part => ({
    ignored: [{ secret: name, reason, type }],
  })
  if (name === '') return ignore('no-name', null)
  const secret = find(name)
  if (typeof secret === 'string') return ignore(secret, null)
  const { type = '', data = {} } = secret
  const wanted = Object.hasOwn(forms, type) ? forms[type] : undefined
  if (wanted === undefined) return ignore('wrong-type', type)
  const bytes = Buffer.from(data[wanted.member] ?? '', 'base64')
  if (bytes.length === 0) return ignore('no-data', type)
  const part = readConfig(bytes.toString('utf8'), wanted.form, { secret: name, position })
  return 'reason' in part ? ignore(part.reason, type) : part
}

/** Faults of entries come first, for Go stops at the first of them but reads on after one of the whole. */
function readConfig(
  text: string,
  form: DockerConfigForm,
  origin: Pick<KeyringEntry, 'secret' | 'position'>,
): Part | { readonly reason: IgnoredSecretReason } {
  const { secret } = origin
  const { entries: read, fault, hasHelpers } = readDockerConfig(text, form)
  const entries: KeyringEntry[] = []
  const badKeys: { secret: string; key: string }[] = []
  const faults: KeyringFault[] = []
  for (const entry of read) {
    const key = redactKey(entry.key)
    const registry = parseKey(entry.key)
    if (entry.fault !== null) faults.push({ secret, key, fault: entry.fault })
    else if (registry === null) badKeys.push({ secret, key })
    else {
      const { username, password, hasIdentityToken } = entry
      entries.push({ ...origin, key, registry, username, password, hasIdentityToken })
    }
  }
  if (fault !== null) faults.push({ secret, key: null, fault })
  if (read.length === 0 && faults.length === 0) {
    return { reason: hasHelpers ? 'helpers-only' : 'no-entries' }
  }
  return { entries, badKeys, faults }
}
