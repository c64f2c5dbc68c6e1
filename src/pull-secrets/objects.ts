/** What propagation keeps of Kubernetes objects. Everything else of them is dropped as soon as it is read. */
import { hashOf } from './content.ts'
import {
  consentLabel,
  consentValue,
  contentAnnotation,
  copyLabel,
  expiresAnnotation,
  linkedAnnotation,
  managedBy,
  managedByLabel,
  sourceAnnotation,
  sourceUidAnnotation,
  writtenAnnotation,
} from './labels.ts'

export type Labels = Readonly<Record<string, string>>

interface Meta {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  /** RFC 3339. */
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly labels?: Labels
  readonly annotations?: Labels
}

export interface RawObject {
  readonly metadata: Meta
}

export interface RawSecret extends RawObject {
  readonly type?: string
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>
  readonly immutable?: boolean
}

export interface RawAccount extends RawObject {
  readonly imagePullSecrets?: readonly { readonly name?: string }[] | null
}

/** A secret that consents to be copied. */
export interface SourceSecret {
  readonly uid: string
  readonly type: string
  /** Base64. */
  readonly data: Readonly<Record<string, string>>
  readonly expiresAt: string | null
}

/** A secret that stands where a copy belongs. */
export type ExistingSecret =
  | {
      readonly kind: 'copy'
      readonly uid: string
      readonly resourceVersion: string
      readonly type: string
      /** Of its content as it is; empty when it has other members than its type calls for. */
      readonly hash: string
      readonly members: readonly string[]
      readonly immutable: boolean
      readonly from: string
      readonly uids: string
      readonly writtenHash: string
      readonly expiresAt: string
      /** When its content was written last, as far as is known. Milliseconds since 1970. */
      readonly writtenAt: number
    }
  | { readonly kind: 'foreign'; readonly uid: string; readonly resourceVersion: string }

export interface NamespaceMeta {
  readonly labels: Labels
  readonly terminating: boolean
  readonly resourceVersion: string
}

export interface AccountState {
  readonly uid: string
  readonly resourceVersion: string
  readonly labels: Labels
  /** Null when it has no list at all. */
  readonly pullSecrets: readonly string[] | null
  /** Those of the list that are ours by its annotation. */
  readonly linked: readonly string[]
  readonly hasAnnotations: boolean
}

/** Null for a secret that does not consent. */
export function readSourceSecret({
  metadata,
  type = '',
  data = {},
}: RawSecret): SourceSecret | null {
  if (metadata.labels?.[consentLabel] !== consentValue) return null
  if (metadata.deletionTimestamp !== undefined) return null
  const expiresAt = metadata.annotations?.[expiresAnnotation] ?? null
  return { uid: metadata.uid ?? '', type, data, expiresAt }
}

export function readCopy(secret: RawSecret): ExistingSecret {
  const { metadata, type = '', data = {}, immutable = false } = secret
  const { labels = {}, annotations = {}, uid = '', resourceVersion = '' } = metadata
  if (labels[managedByLabel] !== managedBy || labels[copyLabel] === undefined)
    return { kind: 'foreign', uid, resourceVersion }
  const members = Object.keys(data)
  return {
    kind: 'copy',
    uid,
    resourceVersion,
    type,
    hash: hashOfOnly(members, data),
    members,
    immutable,
    writtenAt: Date.parse(annotations[writtenAnnotation] ?? metadata.creationTimestamp ?? '') || 0,
    ...readMarks(annotations),
  }
}

function hashOfOnly([member, second]: readonly string[], data: Labels): string {
  if (member === undefined || second !== undefined) return ''
  return hashOf(Buffer.from(data[member] ?? '', 'base64').toString('utf8'))
}

function readMarks(annotations: Labels) {
  return {
    from: annotations[sourceAnnotation] ?? '',
    uids: annotations[sourceUidAnnotation] ?? '',
    writtenHash: annotations[contentAnnotation] ?? '',
    expiresAt: annotations[expiresAnnotation] ?? '',
  }
}

/** Of metadata alone: whose data it is not ours to read. */
export function readForeign({
  metadata: { uid = '', resourceVersion = '' },
}: RawObject): ExistingSecret {
  return { kind: 'foreign', uid, resourceVersion }
}

export function readNamespace({ metadata }: RawObject): NamespaceMeta {
  return {
    labels: metadata.labels ?? {},
    terminating: metadata.deletionTimestamp !== undefined,
    resourceVersion: metadata.resourceVersion ?? '',
  }
}

export function readAccount({ metadata, imagePullSecrets }: RawAccount): AccountState | null {
  if (metadata.deletionTimestamp !== undefined) return null
  const { uid = '', resourceVersion = '', labels = {}, annotations } = metadata
  return {
    uid,
    resourceVersion,
    labels,
    pullSecrets: imagePullSecrets?.map(({ name = '' }) => name) ?? null,
    linked: (annotations?.[linkedAnnotation] ?? '').split(',').filter((name) => name !== ''),
    hasAnnotations: annotations !== undefined,
  }
}
