/** Reads the fields of secrets, service accounts and namespaces that Berth keeps; it drops everything else at once. */
import type { KubeObject } from '../kube/object.ts'
import { contentHash } from './content-hash.ts'
import {
  adoptLabel,
  adoptValue,
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
import { type SecretTool, toolOf } from './secret-tools.ts'

export type Labels = Readonly<Record<string, string>>

export interface SecretObject extends KubeObject {
  readonly type?: string
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>
  readonly immutable?: boolean
}

export interface ServiceAccountObject extends KubeObject {
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

/** A secret with the name of a copy: one that Berth wrote, or one that it did not. */
export type ExistingSecret =
  | {
      readonly kind: 'copy'
      readonly uid: string
      readonly resourceVersion: string
      readonly type: string
      /** The hash of the stored content; empty when it has no member or several. */
      readonly hash: string
      readonly members: readonly string[]
      readonly immutable: boolean
      readonly from: string
      readonly uids: string
      /** The hash in the annotation that Berth wrote. */
      readonly writtenHash: string
      readonly expiresAt: string
      /** When its content was last written, in milliseconds since 1970; 0 if unknown. */
      readonly writtenAt: number
    }
  | ForeignSecret

export interface ForeignSecret {
  readonly kind: 'foreign'
  readonly uid: string
  readonly resourceVersion: string
  /** Whether its label allows Berth to overwrite it. */
  readonly isOffered: boolean
  /** Whether its label allows Berth to copy it to other namespaces. */
  readonly isSource: boolean
  /** The tool that maintains it, by its annotations or labels. */
  readonly tool: SecretTool | null
  /** `Kind name` of its first owner; null if it has none. */
  readonly owner: string | null
  /** Null until it is read, which is only done where the copy belongs. */
  readonly content: ForeignContent | null
}

export interface ForeignContent {
  readonly type: string
  /** Empty when it has no member or several. */
  readonly hash: string
  readonly members: readonly string[]
  readonly immutable: boolean
}

export interface NamespaceMeta {
  readonly labels: Labels
  readonly isTerminating: boolean
  readonly resourceVersion: string
}

export interface AccountState {
  readonly uid: string
  readonly resourceVersion: string
  readonly labels: Labels
  /** Null when it has no `imagePullSecrets`. */
  readonly pullSecrets: readonly string[] | null
  /** The names that Berth added, by the annotation. */
  readonly linked: readonly string[]
  readonly hasAnnotations: boolean
}

/** Returns null for a secret that does not consent or is being deleted. */
export function readSourceSecret({
  metadata,
  type = '',
  data = {},
}: SecretObject): SourceSecret | null {
  if (metadata.labels?.[consentLabel] !== consentValue) return null
  if (metadata.deletionTimestamp !== undefined) return null
  const expiresAt = metadata.annotations?.[expiresAnnotation] ?? null
  return { uid: metadata.uid ?? '', type, data, expiresAt }
}

/** Returns a foreign secret when the labels of a copy are missing. */
export function readCopy(secret: SecretObject): ExistingSecret {
  const { metadata, type = '', data = {}, immutable = false } = secret
  const { labels = {}, annotations = {}, uid = '', resourceVersion = '' } = metadata
  if (labels[managedByLabel] !== managedBy || labels[copyLabel] === undefined)
    return readForeign(secret)
  const members = Object.keys(data)
  return {
    kind: 'copy',
    uid,
    resourceVersion,
    type,
    hash: singleMemberHash(members, data),
    members,
    immutable,
    writtenAt: Date.parse(annotations[writtenAnnotation] ?? metadata.creationTimestamp ?? '') || 0,
    ...readAnnotations(annotations),
  }
}

function singleMemberHash([member, second]: readonly string[], data: Labels): string {
  if (member === undefined || second !== undefined) return ''
  return contentHash(Buffer.from(data[member] ?? '', 'base64').toString('utf8'))
}

function readAnnotations(annotations: Labels) {
  return {
    from: annotations[sourceAnnotation] ?? '',
    uids: annotations[sourceUidAnnotation] ?? '',
    writtenHash: annotations[contentAnnotation] ?? '',
    expiresAt: annotations[expiresAnnotation] ?? '',
  }
}

/** Reads only metadata. */
export function readForeign({ metadata }: KubeObject): ForeignSecret {
  const { uid = '', resourceVersion = '', labels = {}, ownerReferences: [owner] = [] } = metadata
  return {
    kind: 'foreign',
    uid,
    resourceVersion,
    isOffered: labels[adoptLabel] === adoptValue,
    isSource: labels[consentLabel] === consentValue,
    tool: toolOf(metadata),
    owner: owner === undefined ? null : `${owner.kind} ${owner.name}`,
    content: null,
  }
}

/** Reads the content of a foreign secret too, and keeps only a hash of it. */
export function readForeignContent(secret: SecretObject): ForeignSecret {
  const { type = '', data = {}, immutable = false } = secret
  const members = Object.keys(data)
  const content = { type, hash: singleMemberHash(members, data), members, immutable }
  return { ...readForeign(secret), content }
}

export function readNamespace({ metadata }: KubeObject): NamespaceMeta {
  return {
    labels: metadata.labels ?? {},
    isTerminating: metadata.deletionTimestamp !== undefined,
    resourceVersion: metadata.resourceVersion ?? '',
  }
}

/** Returns null for an account that is being deleted. */
export function readAccount({
  metadata,
  imagePullSecrets,
}: ServiceAccountObject): AccountState | null {
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
