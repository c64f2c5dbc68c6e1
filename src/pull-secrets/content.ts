/** From source secrets to what stands in their copies, or to the reason why nothing may be copied. */
import { createHash } from 'node:crypto'
import { parseKey, redactKey } from '../credentials/docker-config-keys.ts'
import {
  type DockerConfigEntry,
  type DockerConfigForm,
  type ParsedEntry,
  faultReasons,
  readDockerConfig,
} from '../credentials/docker-config.ts'
import type { SourceSecret } from './objects.ts'
import { consentLabel, consentValue } from './labels.ts'
import { type CopySettings, formatSource, type SourceName } from '../config/copy-settings.ts'

/** Sum of all values of a Secret (kubernetes, pkg/apis/core/types.go, MaxSecretSize). */
const maxBytes = 1_048_576

export interface GoodContent {
  readonly kind: 'good'
  readonly type: string
  readonly member: string
  /** Base64. Holds credentials: for the body of a write, and for nothing else. */
  readonly data: string
  readonly hash: string
  /** `namespace/name` of each source that is there. */
  readonly from: readonly string[]
  readonly uids: readonly string[]
  /** Its keys: which registries it is for. */
  readonly keys: readonly string[]
  readonly expiresAt: string | null
}

export type Content =
  | GoodContent
  /** No source is there, or none consents: copies go. */
  | { readonly kind: 'absent'; readonly reason: string }
  /** What was copied before stays. */
  | { readonly kind: 'invalid'; readonly reason: string }

const types: Readonly<Record<string, { member: string; form: DockerConfigForm }>> = {
  'kubernetes.io/dockerconfigjson': { member: '.dockerconfigjson', form: 'config' },
  'kubernetes.io/dockercfg': { member: '.dockercfg', form: 'legacy' },
}

const modernType = 'kubernetes.io/dockerconfigjson'
const modernMember = '.dockerconfigjson'

interface Readable {
  readonly source: SourceSecret
  readonly name: string
  readonly member: string
  readonly form: DockerConfigForm
  readonly data: string
  readonly text: string
  readonly entries: readonly DockerConfigEntry[]
}

/** Reads the sources of a copy; `find` gives null for one that is not there or does not consent. */
export function readContent(
  { from, type }: Pick<CopySettings, 'from' | 'type'>,
  find: (source: SourceName) => SourceSecret | null,
): Content {
  const found = from.flatMap((name) => {
    const source = find(name)
    return source === null ? [] : [{ source, name: formatSource(name) }]
  })
  if (found.length === 0) {
    const names = from.map(formatSource).join(', ')
    return {
      kind: 'absent',
      reason: `no source is there with the label ${consentLabel}=${consentValue}: ${names}`,
    }
  }
  const readings = found.map(({ source, name }) => readSource(source, name))
  const broken = readings.find((reading) => typeof reading === 'string')
  if (broken !== undefined) return invalid(broken)
  const readable = readings.filter((reading) => typeof reading !== 'string')
  const [only, second] = readable
  if (only === undefined) return invalid('nothing can be read')
  const text = second === undefined ? converted(only, type) : merge(readable)
  if (typeof text !== 'string') return text
  const isLegacy = second === undefined && only.form === 'legacy' && type === 'keep'
  const bytes = Buffer.byteLength(text)
  if (bytes > maxBytes)
    return invalid(
      `${bytes} bytes are more than the ${maxBytes} that a Secret may have; copy fewer sources into one`,
    )
  return {
    kind: 'good',
    type: isLegacy ? 'kubernetes.io/dockercfg' : modernType,
    member: isLegacy ? '.dockercfg' : modernMember,
    // The source's own bytes where nothing had to be changed.
    data: text === only.text ? only.data : Buffer.from(text).toString('base64'),
    hash: hashOf(text),
    from: readable.map(({ name }) => name),
    uids: readable.map(({ source }) => source.uid),
    keys: [...new Set(readable.flatMap(({ entries }) => entries.map(({ key }) => key)))],
    expiresAt: readable.flatMap(({ source }) => source.expiresAt ?? []).sort()[0] ?? null,
  }
}

/** Of what a docker config says, whatever the order of its members and the white space between; of the text when it is not JSON. */
export function hashOf(text: string): string {
  let canonical: string
  try {
    canonical = JSON.stringify(sorted(JSON.parse(text)))
  } catch {
    canonical = text
  }
  return createHash('sha256').update(canonical).digest('hex')
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([one], [other]) => compare(one, other))
  return entries.map(([key, each]) => [key, sorted(each)])
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}

function invalid(reason: string): Content {
  return { kind: 'invalid', reason }
}

/** The reason when it may not be copied: one entry that a kubelet cannot read stops every image of every pod that lists it. */
function readSource(source: SourceSecret, name: string): Readable | string {
  const type = Object.hasOwn(types, source.type) ? types[source.type] : undefined
  if (type === undefined)
    return `${name} is of type ${source.type}, which no kubelet reads; make it ${modernType}`
  const data = source.data[type.member]
  if (data === undefined || data === '') return `${name} has no ${type.member}`
  const text = Buffer.from(data, 'base64').toString('utf8')
  const reading = readDockerConfig(text, type.form)
  if (reading.fault !== null) return `${name} ${faultReasons[reading.fault]}`
  if (reading.entries.length === 0)
    return reading.hasHelpers
      ? `${name} has only the name of a credential helper, which no kubelet runs; give user and password`
      : `${name} has no entries`
  for (const entry of reading.entries) {
    const reason = uselessness(entry)
    if (reason !== null) return `${name}, key ${redactKey(entry.key)} ${reason}`
  }
  const entries = reading.entries.filter((entry) => entry.fault === null)
  return { source, name, ...type, data, text, entries }
}

function uselessness(entry: ParsedEntry): string | null {
  if (entry.fault !== null) return faultReasons[entry.fault]
  if (entry.password !== '' && entry.username !== '') return null
  if (entry.hasIdentityToken)
    return 'has only an identitytoken, which no kubelet reads; give user and password'
  return 'has no user or no password; a credential helper may have them, which no kubelet runs'
}

/** A legacy config stands in a newer one as it is. */
function converted({ form, text }: Readable, type: CopySettings['type']): string {
  return form === 'legacy' && type === 'dockerconfigjson' ? `{"auths":${text}}` : text
}

/** One config of several, the same whatever their order. Two passwords for one key are nobody's to choose between. */
function merge(readable: readonly Readable[]): string | Content {
  const merged = new Map<string, DockerConfigEntry & { readonly from: string }>()
  for (const { name, entries } of readable) {
    for (const entry of entries) {
      // Keys that the keyring takes for one are one.
      const normal = parseKey(entry.key)?.text ?? entry.key
      const other = merged.get(normal)
      if (other === undefined) merged.set(normal, { ...entry, from: name })
      else if (other.username !== entry.username || other.password !== entry.password)
        return invalid(
          `${other.from} and ${name} have different credentials for ${redactKey(entry.key)}; take it out of one of them`,
        )
      else if (entry.key < other.key) merged.set(normal, { ...entry, from: name })
    }
  }
  const auths = [...merged.values()].sort((one, other) => compare(one.key, other.key))
  return JSON.stringify({
    auths: Object.fromEntries(auths.map((entry) => [entry.key, writeEntry(entry)])),
  })
}

/** `auth` is what every reader knows; it ends the user at the first colon, so a user with one needs the other members. */
function writeEntry({ username, password }: DockerConfigEntry): object {
  if (username.includes(':')) return { username, password }
  return { auth: Buffer.from(`${username}:${password}`).toString('base64') }
}
