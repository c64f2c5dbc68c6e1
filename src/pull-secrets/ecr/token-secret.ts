/** Builds the pull secret with ECR tokens, and says when it is up to date. Does no input or output. */
import type { EcrToken } from '../../aws/role-chain.ts'
import { readUsableEntries } from '../../credentials/docker-config.ts'
import { contentHash } from '../content-hash.ts'
import {
  consentLabel,
  consentValue,
  contentAnnotation,
  expiresAnnotation,
  managedBy,
  managedByLabel,
} from '../labels.ts'
import type { SecretObject } from '../objects.ts'

/** When the tokens have to be refreshed, RFC 3339, so that a new process knows without asking AWS. */
const refreshAnnotation = 'berth.dev/refresh-at'
/** A hash of the settings that the tokens were fetched with, so that a change is noticed without asking AWS. */
const settingsAnnotation = 'berth.dev/ecr-settings-hash'

const dataKey = '.dockerconfigjson'
const secretType = 'kubernetes.io/dockerconfigjson'

/** A registry host and its token. */
export interface HostToken {
  readonly host: string
  /** Null when it could not be fetched: the secret keeps what it has for this host. */
  readonly token: EcrToken | null
}

export interface DesiredTokenSecret {
  readonly name: string
  readonly namespace: string
  readonly hosts: readonly HostToken[]
  readonly settingsHash: string
  /** Milliseconds since 1970. */
  readonly refreshAt: number
}

/** Returns why Berth may not write the secret; null if it may, or if the secret does not exist. */
export function foreignReason(secret: SecretObject | null): string | null {
  if (secret === null) return null
  const { namespace, name, labels = {} } = secret.metadata
  if (labels[managedByLabel] !== managedBy)
    return `secret ${namespace}/${name} exists and was not created by Berth; delete it, or choose another name under ecrTokens`
  if (secret.type !== secretType)
    return `secret ${namespace}/${name} has type ${secret.type}, and a type cannot be changed; delete it`
  return secret.immutable === true ? `secret ${namespace}/${name} is immutable; delete it` : null
}

/** Returns whether the secret is as Berth wrote it for these settings and needs no refresh. Needs no token for that. */
export function isUpToDate(
  secret: SecretObject | null,
  settingsHash: string,
  now: number,
): boolean {
  if (secret === null) return false
  const { annotations = {}, labels = {} } = secret.metadata
  return (
    annotations[settingsAnnotation] === settingsHash &&
    annotations[contentAnnotation] === contentHash(contentOf(secret)) &&
    labels[consentLabel] === consentValue &&
    // A clock that was ahead may have written a time that is too late: no ECR token is valid for a day.
    now < timeOf(annotations[refreshAnnotation]) &&
    timeOf(annotations[refreshAnnotation]) < now + 86_400_000
  )
}

/** Returns the secret to write, with the labels and annotations of others; null if only the refresh time would change. */
export function desiredSecret(
  existing: SecretObject | null,
  desired: DesiredTokenSecret,
): SecretObject | null {
  const { name, namespace, hosts, settingsHash, refreshAt } = desired
  const auths = mergedAuths(existing, hosts)
  const content = JSON.stringify({ auths })
  const { metadata } = existing ?? { metadata: { name, namespace } }
  const expiry = expiryOf(existing, hosts)
  const annotations = {
    [settingsAnnotation]: settingsHash,
    [contentAnnotation]: contentHash(content),
    ...(expiry === null ? {} : { [expiresAnnotation]: new Date(expiry).toISOString() }),
  }
  const labels = { [managedByLabel]: managedBy, [consentLabel]: consentValue }
  const isSame =
    existing !== null &&
    contentOf(existing) === content &&
    hasAll(metadata.annotations, annotations) &&
    hasAll(metadata.labels, labels)
  if (isSame) return null
  return {
    ...existing,
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      ...metadata,
      labels: { ...metadata.labels, ...labels },
      annotations: {
        ...metadata.annotations,
        ...annotations,
        [refreshAnnotation]: new Date(refreshAt).toISOString(),
      },
    },
    type: secretType,
    data: { [dataKey]: Buffer.from(content).toString('base64') },
  }
}

/** Returns a hash of the settings, which hold no secret. */
export function settingsHashOf(settings: unknown): string {
  return contentHash(JSON.stringify(settings))
}

/** Returns when the first token expires, in milliseconds since 1970; null if the secret does not say. */
export function expiresAt(secret: SecretObject | null): number | null {
  const time = timeOf(secret?.metadata.annotations?.[expiresAnnotation])
  return Number.isNaN(time) ? null : time
}

type Auths = Record<string, { readonly auth: string }>

/** Sorted by host, so that the same tokens give the same bytes, and copies can be compared by their bytes. */
function mergedAuths(existing: SecretObject | null, hosts: readonly HostToken[]): Auths {
  const read = existing === null ? null : readUsableEntries(contentOf(existing), 'config')
  const stored = new Map(
    read?.ok === true ? read.entries.map((entry) => [entry.key, authOf(entry)]) : [],
  )
  const entries = hosts.flatMap(({ host, token }) => {
    const auth = token === null ? stored.get(host) : authOf(token)
    return auth === undefined ? [] : [[host, { auth }] as const]
  })
  return Object.fromEntries(entries.sort(([one], [other]) => (one < other ? -1 : 1)))
}

function authOf({ username, password }: { readonly username: string; readonly password: string }) {
  return Buffer.from(`${username}:${password}`).toString('base64')
}

function expiryOf(existing: SecretObject | null, hosts: readonly HostToken[]): number | null {
  const times = hosts.map(({ token }) => token?.expiresAt ?? expiresAt(existing))
  const known = times.filter((time) => time !== null)
  return known.toSorted((one, other) => one - other)[0] ?? null
}

function contentOf({ data = {} }: SecretObject): string {
  return Buffer.from(data[dataKey] ?? '', 'base64').toString('utf8')
}

function hasAll(
  has: Readonly<Record<string, string>> | undefined,
  wanted: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(wanted).every(([key, value]) => has?.[key] === value)
}

function timeOf(text: string | undefined): number {
  return Date.parse(text ?? '')
}
