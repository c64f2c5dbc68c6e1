/** Builds the JSON patch that adds and removes names in a service account's imagePullSecrets. */
import { jsonPointer } from '../json/json-pointer.ts'
import { linkedAnnotation } from './labels.ts'
import type { AccountState } from './objects.ts'

interface JsonPatchOperation {
  readonly op: 'test' | 'add' | 'remove'
  readonly path: string
  readonly value?: unknown
}

export interface LinkChange {
  readonly add: readonly string[]
  readonly remove: readonly string[]
  /** Whether the annotation records the names, so that Berth may remove them later. */
  readonly isManaged: boolean
}

/**
 * Returns a JSON patch that the API server rejects with 422 unless the account is the one that was read. The list is atomic
 * for the other kinds of patch (core/v1, listType=atomic): they would replace it and drop the entries of others.
 */
export function serviceAccountPatch(
  was: AccountState,
  { add, remove, isManaged }: LinkChange,
): readonly JsonPatchOperation[] {
  const { uid, resourceVersion, pullSecrets, linked } = was
  const removed = (pullSecrets ?? []).flatMap((name, index) =>
    remove.includes(name) ? [{ name, index }] : [],
  )
  const entries = add.map((name) => ({ name }))
  return [
    { op: 'test', path: '/metadata/uid', value: uid },
    { op: 'test', path: '/metadata/resourceVersion', value: resourceVersion },
    // From the end, so that the indexes of the entries in front do not change.
    ...removed.toReversed().flatMap(({ name, index }): JsonPatchOperation[] => [
      { op: 'test', path: `/imagePullSecrets/${index}/name`, value: name },
      { op: 'remove', path: `/imagePullSecrets/${index}` },
    ]),
    ...(pullSecrets === null && entries.length > 0
      ? [{ op: 'add' as const, path: '/imagePullSecrets', value: entries }]
      : entries.map((value) => ({ op: 'add' as const, path: '/imagePullSecrets/-', value }))),
    ...(isManaged
      ? annotate(was, [...linked.filter((name) => !remove.includes(name)), ...add])
      : []),
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
