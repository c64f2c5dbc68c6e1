/** The bodies of writes: whole secrets, and patches that touch nothing but what is ours. */
import { jsonPointer } from '../json/json-pointer.ts'
import type { GoodContent } from './content.ts'
import type { AccountState } from './objects.ts'
import type { Precondition, SecretWrite } from './plan.ts'
import {
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

/** A copy, to be created. */
export function copyBody(
  { copy: name, content }: SecretWrite & { kind: 'create' | 'replace' },
  namespace: string,
  now: Date,
): object {
  const { annotations, labels } = marks(content, now)
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      namespace,
      labels,
      annotations: Object.fromEntries(
        Object.entries(annotations).filter(([, value]) => value !== null),
      ),
    },
    type: content.type,
    data: { [content.member]: content.data },
  }
}

/** A merge patch that is refused with 409 unless the copy is the one that was looked at. What others wrote on it stays. */
export function copyPatch(
  { content, was, surplus }: SecretWrite & { kind: 'update' },
  now: Date,
): object {
  const { uid, resourceVersion } = was
  return {
    metadata: { uid, resourceVersion, ...marks(content, now) },
    data: {
      [content.member]: content.data,
      ...Object.fromEntries(surplus.map((member) => [member, null])),
    },
  }
}

interface JsonPatchOperation {
  readonly op: 'test' | 'add' | 'remove'
  readonly path: string
  readonly value?: unknown
}

/**
 * A JSON patch for a service account's list, refused with 422 unless the account is as it was looked at. The list is
 * atomic to every other kind of patch (core/v1, listType=atomic): those replace it, and drop what others put there.
 */
export function accountPatch(
  was: AccountState,
  add: readonly string[],
  take: readonly string[],
): readonly JsonPatchOperation[] {
  const list = was.pullSecrets
  const taken = (list ?? []).flatMap((name, index) =>
    take.includes(name) ? [{ name, index }] : [],
  )
  const entries = add.map((name) => ({ name }))
  return [
    ...precondition(was),
    // From the end, so that the positions of those that follow stay as they are.
    ...taken.toReversed().flatMap(({ name, index }): JsonPatchOperation[] => [
      { op: 'test', path: `/imagePullSecrets/${index}/name`, value: name },
      { op: 'remove', path: `/imagePullSecrets/${index}` },
    ]),
    ...(list === null && entries.length > 0
      ? [{ op: 'add' as const, path: '/imagePullSecrets', value: entries }]
      : entries.map((value) => ({ op: 'add' as const, path: '/imagePullSecrets/-', value }))),
    ...annotate(was, [...was.linked.filter((name) => !take.includes(name)), ...add]),
  ]
}

function precondition({ uid, resourceVersion }: Precondition): JsonPatchOperation[] {
  return [
    { op: 'test', path: '/metadata/uid', value: uid },
    { op: 'test', path: '/metadata/resourceVersion', value: resourceVersion },
  ]
}

function annotate(
  { hasAnnotations, linked }: AccountState,
  names: readonly string[],
): JsonPatchOperation[] {
  const path = jsonPointer(['metadata', 'annotations', linkedAnnotation])
  const value = [...new Set(names)].join(',')
  if (value === '') return linked.length === 0 ? [] : [{ op: 'remove', path }]
  if (hasAnnotations) return [{ op: 'add', path, value }]
  return [{ op: 'add', path: '/metadata/annotations', value: { [linkedAnnotation]: value } }]
}

function marks(
  { from, uids, hash, expiresAt }: GoodContent,
  now: Date,
): {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string | null>>
} {
  return {
    labels: { [managedByLabel]: managedBy, [copyLabel]: 'true' },
    annotations: {
      [sourceAnnotation]: from.join(','),
      [sourceUidAnnotation]: uids.join(','),
      [contentAnnotation]: hash,
      [expiresAnnotation]: expiresAt,
      [writtenAnnotation]: now.toISOString(),
    },
  }
}
