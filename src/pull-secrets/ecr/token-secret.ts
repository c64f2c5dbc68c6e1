/** A pull secret with tokens of ECR: what is in it, and what is written on it. Pure. */
import type { EcrToken } from '../../aws/role-chain.ts'
import { parseDockerConfig } from '../../credentials/docker-config.ts'
import type { KubeObject } from '../../kube/object.ts'
import { hashOf } from '../content.ts'
import {
  consentLabel,
  consentValue,
  contentAnnotation,
  expiresAnnotation,
  managedBy,
  managedByLabel,
} from '../labels.ts'

/** When its tokens are due, RFC 3339: a new process need not ask AWS to know. */
const refreshAnnotation = 'berth.dev/refresh-at'
/** What the tokens were fetched by: a change of it is noticed without asking AWS, as is one of the content. */
const settingsAnnotation = 'berth.dev/ecr-settings-hash'

const dataKey = '.dockerconfigjson'
const secretType = 'kubernetes.io/dockerconfigjson'

export interface TokenSecretObject extends KubeObject {
  readonly type?: string
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>
  readonly immutable?: boolean
}

/** One host of a secret with what is known of its token. */
export interface HostToken {
  readonly host: string
  /** Null: none came, and what the secret has for this host stays. */
  readonly token: EcrToken | null
}

export interface Desired {
  readonly name: string
  readonly namespace: string
  readonly hosts: readonly HostToken[]
  readonly settingsHash: string
  /** Milliseconds since 1970. */
  readonly refreshAt: number
}

/** Why a secret of this name is not ours to write; null when it is, or when there is none. */
export function foreignReason(secret: TokenSecretObject | null): string | null {
  if (secret === null) return null
  const { namespace, name, labels = {} } = secret.metadata
  if (labels[managedByLabel] !== managedBy)
    return `secret ${namespace}/${name} is there already, and not Berth's; remove it, or give another name under ecrTokens`
  if (secret.type !== secretType)
    return `secret ${namespace}/${name} is of type ${secret.type}, which cannot be changed; remove it`
  return secret.immutable === true ? `secret ${namespace}/${name} is immutable; remove it` : null
}

/** True while a secret is as it was written, for these settings, and its tokens are not due. No token has to be known. */
export function isIntact(
  secret: TokenSecretObject | null,
  settingsHash: string,
  now: number,
): boolean {
  if (secret === null) return false
  const { annotations = {}, labels = {} } = secret.metadata
  return (
    annotations[settingsAnnotation] === settingsHash &&
    annotations[contentAnnotation] === hashOf(contentOf(secret)) &&
    labels[consentLabel] === consentValue &&
    // Written by a clock that is ahead, it would be left alone for too long: nothing of ECR's lives for a day.
    now < timeOf(annotations[refreshAnnotation]) &&
    timeOf(annotations[refreshAnnotation]) < now + 86_400_000
  )
}

/** The secret as it ought to be: foreign labels and annotations stay. Null when nothing differs but the time of a refresh. */
export function desiredSecret(
  existing: TokenSecretObject | null,
  desired: Desired,
): TokenSecretObject | null {
  const { name, namespace, hosts, settingsHash, refreshAt } = desired
  const auths = mergedAuths(existing, hosts)
  const content = JSON.stringify({ auths })
  const { metadata } = existing ?? { metadata: { name, namespace } }
  const ends = expiryOf(existing, hosts)
  const marks = {
    [settingsAnnotation]: settingsHash,
    [contentAnnotation]: hashOf(content),
    ...(ends === null ? {} : { [expiresAnnotation]: new Date(ends).toISOString() }),
  }
  const labels = { [managedByLabel]: managedBy, [consentLabel]: consentValue }
  const same =
    existing !== null &&
    contentOf(existing) === content &&
    covers(metadata.annotations, marks) &&
    covers(metadata.labels, labels)
  if (same) return null
  return {
    ...existing,
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      ...metadata,
      labels: { ...metadata.labels, ...labels },
      annotations: {
        ...metadata.annotations,
        ...marks,
        [refreshAnnotation]: new Date(refreshAt).toISOString(),
      },
    },
    type: secretType,
    data: { [dataKey]: Buffer.from(content).toString('base64') },
  }
}

/** Tells settings apart; nothing in them is secret. */
export function settingsHashOf(settings: unknown): string {
  return hashOf(JSON.stringify(settings))
}

/** When the first token of a secret ends, in milliseconds since 1970; null when it does not say. */
export function expiresAt(secret: TokenSecretObject | null): number | null {
  const time = timeOf(secret?.metadata.annotations?.[expiresAnnotation])
  return Number.isNaN(time) ? null : time
}

type Auths = Record<string, { readonly auth: string }>

/** Hosts in order, so that the same tokens give the same bytes: whoever compares copies by their bytes finds them equal. */
function mergedAuths(existing: TokenSecretObject | null, hosts: readonly HostToken[]): Auths {
  const read = existing === null ? null : parseDockerConfig(contentOf(existing), 'config')
  const kept = new Map(
    read?.ok === true ? read.entries.map((entry) => [entry.key, authOf(entry)]) : [],
  )
  const entries = hosts.flatMap(({ host, token }) => {
    const auth = token === null ? kept.get(host) : authOf(token)
    return auth === undefined ? [] : [[host, { auth }] as const]
  })
  return Object.fromEntries(entries.sort(([one], [other]) => (one < other ? -1 : 1)))
}

function authOf({ username, password }: { readonly username: string; readonly password: string }) {
  return Buffer.from(`${username}:${password}`).toString('base64')
}

function expiryOf(existing: TokenSecretObject | null, hosts: readonly HostToken[]): number | null {
  const times = hosts.map(({ token }) => token?.expiresAt ?? expiresAt(existing))
  const known = times.filter((time) => time !== null)
  return known.length === 0 ? null : Math.min(...known)
}

function contentOf({ data = {} }: TokenSecretObject): string {
  return Buffer.from(data[dataKey] ?? '', 'base64').toString('utf8')
}

function covers(
  has: Readonly<Record<string, string>> | undefined,
  wanted: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(wanted).every(([key, value]) => has?.[key] === value)
}

function timeOf(text: string | undefined): number {
  return Date.parse(text ?? '')
}
