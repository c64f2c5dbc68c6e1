/** Builds the content of a copy from its source secrets, or says why it cannot be copied. */
import { parseKey, redactKey } from '../credentials/docker-config-keys.ts'
import {
  type DockerConfigEntry,
  type DockerConfigForm,
  type ParsedEntry,
  faultReasons,
  readDockerConfig,
} from '../credentials/docker-config.ts'
import { contentHash } from './content-hash.ts'
import type { SourceSecret } from './objects.ts'
import { consentLabel, consentValue } from './labels.ts'
import { type CopySettings, formatSource, type SourceName } from '../config/copy-settings.ts'

/** The largest sum of all values of a Secret (kubernetes, pkg/apis/core/types.go, MaxSecretSize). */
const maxBytes = 1_048_576

/**
 * The largest sum of one copy in all its namespaces: 32 KiB for each of 2,000. Each rotation writes all of them, and etcd keeps
 * the old versions for five minutes; its default limit is 2 GiB (etcd, --quota-backend-bytes).
 */
const maxTotalBytes = 67_108_864

export interface ValidContent {
  readonly kind: 'valid'
  readonly type: string
  /** The key in `data`: `.dockerconfigjson` or `.dockercfg`. */
  readonly member: string
  /** Base64. Holds credentials, so it goes only into the body of a write. */
  readonly data: string
  readonly hash: string
  /** `namespace/name` of each source that exists. */
  readonly from: readonly string[]
  readonly uids: readonly string[]
  /** The registries, as keys of the docker config. */
  readonly keys: readonly string[]
  readonly expiresAt: string | null
}

export type CopyContent =
  | ValidContent
  /** No source exists and consents: copies are deleted. */
  | { readonly kind: 'absent'; readonly reason: string }
  /** The source cannot be copied: existing copies stay. */
  | { readonly kind: 'invalid'; readonly reason: string }

const types: Readonly<Record<string, { member: string; form: DockerConfigForm }>> = {
  'kubernetes.io/dockerconfigjson': { member: '.dockerconfigjson', form: 'config' },
  'kubernetes.io/dockercfg': { member: '.dockercfg', form: 'legacy' },
}

const modernType = 'kubernetes.io/dockerconfigjson'
const modernMember = '.dockerconfigjson'

interface ReadableSource {
  readonly source: SourceSecret
  readonly name: string
  readonly member: string
  readonly form: DockerConfigForm
  readonly data: string
  readonly text: string
  readonly entries: readonly DockerConfigEntry[]
}

/** Reads the sources of a copy. `find` returns null for a source that does not exist or does not consent. */
export function readContent(
  { from, type }: Pick<CopySettings, 'from' | 'type'>,
  find: (source: SourceName) => SourceSecret | null,
): CopyContent {
  const found = from.flatMap((name) => {
    const source = find(name)
    return source === null ? [] : [{ source, name: formatSource(name) }]
  })
  if (found.length === 0) {
    const names = from.map(formatSource).join(', ')
    return {
      kind: 'absent',
      reason: `no source with the label ${consentLabel}=${consentValue} exists: ${names}`,
    }
  }
  const readings = found.map(({ source, name }) => readSource(source, name))
  const problem = readings.find((reading) => typeof reading === 'string')
  if (problem !== undefined) return invalid(problem)
  const readable = readings.filter((reading) => typeof reading !== 'string')
  const [only, second] = readable
  if (only === undefined) return invalid('no source can be read')
  const text = second === undefined ? convert(only, type) : merge(readable)
  if (typeof text !== 'string') return text
  const isLegacy = second === undefined && only.form === 'legacy' && type === 'keep'
  const bytes = Buffer.byteLength(text)
  if (bytes > maxBytes)
    return invalid(
      `the copy would have ${bytes} bytes, more than the ${maxBytes} that a Secret can hold; use fewer sources`,
    )
  return {
    kind: 'valid',
    type: isLegacy ? 'kubernetes.io/dockercfg' : modernType,
    member: isLegacy ? '.dockercfg' : modernMember,
    // Keeps the bytes of a source that is copied unchanged.
    data: text === only.text ? only.data : Buffer.from(text).toString('base64'),
    hash: contentHash(text),
    from: readable.map(({ name }) => name),
    uids: readable.map(({ source }) => source.uid),
    keys: [...new Set(readable.flatMap(({ entries }) => entries.map(({ key }) => key)))],
    expiresAt: readable.flatMap(({ source }) => source.expiresAt ?? []).sort()[0] ?? null,
  }
}

/** Returns the content, or why it is too large for so many namespaces. */
export function limitTotalSize(content: CopyContent, namespaces: number): CopyContent {
  if (content.kind !== 'valid') return content
  const bytes = Math.floor((content.data.length * 3) / 4)
  if (bytes * namespaces <= maxTotalBytes) return content
  return invalid(
    `the copy has ${bytes} bytes, and is too large for ${namespaces} namespaces: all copies together may have ${maxTotalBytes} bytes; use a smaller source or fewer namespaces`,
  )
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}

function invalid(reason: string): CopyContent {
  return { kind: 'invalid', reason }
}

/**
 * Returns the reason if the source cannot be copied. One entry that the kubelet cannot read makes every pull of every pod
 * with the secret fail.
 */
function readSource(source: SourceSecret, name: string): ReadableSource | string {
  const type = Object.hasOwn(types, source.type) ? types[source.type] : undefined
  if (type === undefined)
    return `${name} has type ${source.type}, which the kubelet does not read as a pull secret; use ${modernType}`
  const data = source.data[type.member]
  if (data === undefined || data === '') return `${name} has no ${type.member}`
  const text = Buffer.from(data, 'base64').toString('utf8')
  const reading = readDockerConfig(text, type.form)
  if (reading.fault !== null) return `${name} ${faultReasons[reading.fault]}`
  if (reading.entries.length === 0)
    return reading.hasHelpers
      ? `${name} names only a credential helper, which the kubelet does not run; write username and password`
      : `${name} has no entries`
  for (const entry of reading.entries) {
    const reason = entryProblem(entry)
    if (reason !== null) return `${name}, key ${redactKey(entry.key)} ${reason}`
  }
  const entries = reading.entries.filter((entry) => entry.fault === null)
  return { source, name, ...type, data, text, entries }
}

function entryProblem(entry: ParsedEntry): string | null {
  if (entry.fault !== null) return faultReasons[entry.fault]
  if (entry.password !== '' && entry.username !== '') return null
  if (entry.identityToken !== null)
    return 'has only an identitytoken, which the kubelet does not read; write username and password'
  return 'has no username or no password; the kubelet does not run a credential helper that may have them'
}

/** A legacy config becomes the `auths` of a newer one. */
function convert({ form, text }: ReadableSource, type: CopySettings['type']): string {
  return form === 'legacy' && type === 'dockerconfigjson' ? `{"auths":${text}}` : text
}

/** Merges several configs into one that does not depend on their order. Two credentials for one key are a conflict. */
function merge(readable: readonly ReadableSource[]): string | CopyContent {
  const merged = new Map<string, DockerConfigEntry & { readonly from: string }>()
  for (const { name, entries } of readable) {
    for (const entry of entries) {
      // The kubelet's keyring treats keys with the same normal form as one.
      const normal = parseKey(entry.key)?.text ?? entry.key
      const other = merged.get(normal)
      if (other === undefined) merged.set(normal, { ...entry, from: name })
      else if (other.username !== entry.username || other.password !== entry.password)
        return invalid(
          `${other.from} and ${name} have different credentials for ${redactKey(entry.key)}; remove it from one of them`,
        )
      else if (entry.key < other.key) merged.set(normal, { ...entry, from: name })
    }
  }
  const auths = [...merged.values()].sort((one, other) => compare(one.key, other.key))
  return JSON.stringify({
    auths: Object.fromEntries(auths.map((entry) => [entry.key, writeEntry(entry)])),
  })
}

/** Every client reads `auth`, but splits it at the first colon, so a username with a colon needs the other members. */
function writeEntry({ username, password }: DockerConfigEntry): object {
  if (username.includes(':')) return { username, password }
  return { auth: Buffer.from(`${username}:${password}`).toString('base64') }
}
