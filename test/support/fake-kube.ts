/** An in-memory KubeApi for unit tests: objects, watches with selectors, preconditions. */
import { randomUUID } from 'node:crypto'
import jsonPatch, { type Operation } from 'fast-json-patch'
import type { KubeApi, Precondition, Selection, WriteOptions } from '../../src/kube/api-client.ts'
import { KubeError } from '../../src/kube/error.ts'
import { type KubeObject, nameOf, type ResourceRef } from '../../src/kube/object.ts'

export interface Write {
  readonly verb: 'create' | 'replace' | 'patch' | 'remove'
  readonly about: string
  /** By `performance.now()`. */
  readonly at: number
}

export interface FakeKube {
  readonly api: KubeApi
  /** The writes through `api`, rejected ones too. */
  readonly writes: Write[]
  /** Creates or replaces an object, as another client would. */
  put(resource: string, object: KubeObject): KubeObject
  /** Deletes an object, as another client would. */
  drop(resource: string, name: string, namespace?: string): void
  get(resource: string, name: string, namespace?: string): KubeObject | null
  /** Rejects the next write to an object (`secrets a/b`) with this status; null for no answer. */
  refuse(about: string | RegExp, status: number | null): void
  /** Rejects all writes that match with this error, until the returned function is called. */
  refuseAlways(isRefused: (write: AttemptedWrite) => boolean, error: KubeError): () => void
  /** The reads of single objects through `api`, in order: `secrets a/b`. */
  readonly reads: string[]
  /** The watches that were started, in order. */
  readonly watches: {
    readonly ref: ResourceRef
    readonly query: Readonly<Record<string, string>>
  }[]
}

/** A write before it is stored. */
export interface AttemptedWrite extends Pick<Write, 'verb' | 'about'> {
  /** The object, the patch, or null for a deletion. */
  readonly body: unknown
}

type StoredObject = KubeObject & Record<string, unknown>

interface Change {
  readonly version: number
  readonly ref: ResourceRef
  readonly before: StoredObject | null
  readonly now: StoredObject | null
}

interface Watcher {
  readonly ref: ResourceRef
  readonly query: Readonly<Record<string, string>>
  readonly send: (change: Change) => void
}

export function startFakeKube(): FakeKube {
  const objects = new Map<string, StoredObject>()
  const changes: Change[] = []
  const watchers = new Set<Watcher>()
  const writes: Write[] = []
  const watches: FakeKube['watches'] = []
  const reads: string[] = []
  const refusals: { readonly about: string | RegExp; readonly status: number | null }[] = []
  const lasting = new Set<(write: AttemptedWrite) => void>()
  let version = 100

  function change(ref: ResourceRef, object: StoredObject | null): StoredObject | null {
    version += 1
    const before = objects.get(keyOf(ref)) ?? null
    const now = object === null ? null : stamp(object, version)
    if (now === null) objects.delete(keyOf(ref))
    else objects.set(keyOf(ref), now)
    const made = { version, ref, before, now }
    changes.push(made)
    for (const { send } of watchers) send(made)
    return now
  }

  function record(
    verb: Write['verb'],
    ref: ResourceRef,
    body: unknown,
    { dryRun = false }: WriteOptions = {},
  ): void {
    const about = nameOf(ref)
    if (!dryRun) writes.push({ verb, about, at: performance.now() })
    for (const refuse of lasting) refuse({ verb, about, body })
    const index = refusals.findIndex((each) =>
      typeof each.about === 'string' ? each.about === about : each.about.test(about),
    )
    const [refusal] = index === -1 ? [] : refusals.splice(index, 1)
    if (refusal === undefined) return
    const { status } = refusal
    throw new KubeError(status, '', `the write of ${about} is rejected with ${status}`)
  }

  function stored(ref: ResourceRef): StoredObject {
    const object = objects.get(keyOf(ref))
    if (object === undefined) throw new KubeError(404, 'NotFound', `${nameOf(ref)} not found`)
    return object
  }

  function evict(ref: ResourceRef, { deleteOptions }: EvictionBody): void {
    const pod = { ...ref, resource: 'pods' }
    checkPrecondition(stored(pod), deleteOptions?.preconditions ?? {})
    change(pod, null)
  }

  const api: KubeApi = {
    get: (ref) => {
      reads.push(nameOf(ref))
      return Promise.resolve((objects.get(keyOf(ref)) ?? null) as never)
    },
    list: async function* (ref, selection = {}) {
      await Promise.resolve()
      const prefix = keyOf(ref).replace(/\|+$/, '|')
      for (const [key, object] of objects)
        if (key.startsWith(prefix) && selects(selection, object)) yield object as never
      return { resourceVersion: String(version) }
    },
    create: async (ref, body, options) => {
      await Promise.resolve()
      const object = body as StoredObject
      const { generateName, namespace = ref.namespace } = object.metadata
      const name = object.metadata.name ?? `${generateName}${version}`
      const full = { ...ref, ...(namespace === undefined ? {} : { namespace }), name }
      record('create', full, body, options)
      if (ref.subresource === 'eviction') {
        evict(full, body)
        return object as never
      }
      if (objects.has(keyOf(full)))
        throw new KubeError(409, 'AlreadyExists', `${nameOf(full)} already exists`)
      const named = { ...object, metadata: { ...object.metadata, name } }
      return (options?.dryRun === true ? named : change(full, named)) as never
    },
    replace: async (ref, body) => {
      await Promise.resolve()
      record('replace', ref, body)
      const object = body as StoredObject
      checkPrecondition(stored(ref), object.metadata)
      return change(ref, object) as never
    },
    patch: async (ref, kind, patch) => {
      await Promise.resolve()
      record('patch', ref, patch)
      if (kind === 'apply' && !objects.has(keyOf(ref)))
        return change(ref, patch as StoredObject) as never
      const before = stored(ref)
      if (kind !== 'json') {
        checkPrecondition(before, (patch as Partial<KubeObject>).metadata ?? {})
        return change(ref, mergePatch(before, patch, kind === 'strategic') as StoredObject) as never
      }
      try {
        const patched = jsonPatch.applyPatch(
          structuredClone(before),
          patch as Operation[],
          true,
        ).newDocument
        return change(ref, patched) as never
      } catch {
        throw new KubeError(422, 'Invalid', 'the patch does not apply')
      }
    },
    delete: async (ref, precondition = {}) => {
      await Promise.resolve()
      record('remove', ref, null)
      if (!objects.has(keyOf(ref))) return false
      checkPrecondition(stored(ref), precondition)
      change(ref, null)
      return true
    },
    watch: (ref, query, { signal }) => {
      watches.push({ ref, query })
      return Promise.resolve(events(ref, query, signal))
    },
    getRaw: () => Promise.reject(new KubeError(404, 'NotFound', 'the fake has no other paths')),
    reconnect: () => undefined,
    close: () => Promise.resolve(),
  }

  /** The changes after `query.resourceVersion`, then those to come. */
  async function* events(
    ref: ResourceRef,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer> {
    const from = Number(query['resourceVersion'] ?? version)
    const pending = changes.filter((made) => made.version > from)
    let wake = Promise.withResolvers<void>()
    signal.addEventListener('abort', () => wake.resolve(), { once: true })
    const watcher: Watcher = {
      ref,
      query,
      send: (made) => {
        pending.push(made)
        wake.resolve()
      },
    }
    watchers.add(watcher)
    while (!signal.aborted) {
      for (const made of pending.splice(0)) {
        const event = eventOf(watcher, made)
        if (event !== null) yield Buffer.from(`${JSON.stringify(event)}\n`)
      }
      if (pending.length > 0) continue
      await wake.promise
      wake = Promise.withResolvers()
    }
    watchers.delete(watcher)
  }

  return {
    api,
    writes,
    watches,
    put: (resource, object) => {
      const ref = refOf(resource, object)
      const uid = object.metadata.uid ?? objects.get(keyOf(ref))?.metadata.uid
      const metadata = { ...object.metadata, ...(uid === undefined ? {} : { uid }) }
      return change(ref, { ...object, metadata }) as KubeObject
    },
    drop: (resource, name, namespace) =>
      void change(
        { apiVersion: 'v1', resource, name, ...(namespace === undefined ? {} : { namespace }) },
        null,
      ),
    get: (resource, name, namespace = '') =>
      objects.get(`${resource}|${namespace}|${name}`) ?? null,
    refuse: (about, status) => void refusals.push({ about, status }),
    refuseAlways: (isRefused, error) => {
      const refuse = (write: AttemptedWrite) => {
        if (isRefused(write)) throw error
      }
      lasting.add(refuse)
      return () => lasting.delete(refuse)
    },
    reads,
  }
}

interface EvictionBody {
  readonly deleteOptions?: { readonly preconditions?: { readonly uid?: string } }
}

function keyOf({ resource, namespace = '', name = '' }: ResourceRef): string {
  return `${resource}|${namespace}|${name}`
}

function refOf(resource: string, { metadata: { namespace, name } }: KubeObject): ResourceRef {
  return { apiVersion: 'v1', resource, ...(namespace === undefined ? {} : { namespace }), name }
}

function stamp(object: StoredObject, version: number): StoredObject {
  return {
    ...object,
    metadata: {
      creationTimestamp: new Date().toISOString().replace(/\.\d+Z/, 'Z'),
      ...object.metadata,
      uid: object.metadata.uid ?? randomUUID(),
      resourceVersion: String(version),
    },
  }
}

function checkPrecondition(
  { metadata }: StoredObject,
  { uid, resourceVersion }: Precondition,
): void {
  const isSame =
    (uid ?? metadata.uid) === metadata.uid &&
    (resourceVersion ?? metadata.resourceVersion) === metadata.resourceVersion
  if (!isSame) throw new KubeError(409, 'Conflict', 'the object has been modified')
}

/** The watch event for a change; null when the watch does not select the object. */
function eventOf({ ref, query }: Watcher, { version, ref: changed, before, now }: Change) {
  if (ref.resource !== changed.resource) return null
  if (ref.namespace !== undefined && ref.namespace !== changed.namespace) return null
  const wasSelected = before !== null && selects(query, before)
  if (now !== null && selects(query, now))
    return { type: wasSelected ? 'MODIFIED' : 'ADDED', object: now }
  if (!wasSelected) return null
  const metadata = { ...before.metadata, resourceVersion: String(version) }
  return { type: 'DELETED', object: { ...before, metadata } }
}

function selects(
  { labelSelector = '', fieldSelector = '' }: Selection,
  object: StoredObject,
): boolean {
  const labels = object.metadata.labels ?? {}
  const fields: Readonly<Record<string, unknown>> = {
    'metadata.name': object.metadata.name,
    'status.phase': (object['status'] as { phase?: string } | undefined)?.phase,
    type: object['type'],
  }
  const holds = (values: Readonly<Record<string, unknown>>, term: string): boolean => {
    const [, not = '', key = '', operator = '', value = ''] =
      /^(!?)([^=!]+)(!=|=)?(.*)$/.exec(term) ?? []
    if (not === '!') return values[key] === undefined
    if (operator === '') return values[key] !== undefined
    return (values[key] === value) === (operator === '=')
  }
  const all = (text: string, values: Readonly<Record<string, unknown>>) =>
    text.split(',').every((term) => term === '' || holds(values, term))
  return all(labelSelector, labels) && all(fieldSelector, fields)
}

/** RFC 7396. */
function mergePatch(target: unknown, patch: unknown, mergesLists = false): unknown {
  if (mergesLists && isNamedList(target) && isNamedList(patch)) return mergeLists(target, patch)
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result: Record<string, unknown> = {
    ...(typeof target === 'object' && target !== null ? target : {}),
  }
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = mergePatch(result[key], value, mergesLists)
  }
  return result
}

/** A strategic patch merges lists by name: containers, webhooks, imagePullSecrets. */
function mergeLists(target: readonly Named[], patch: readonly Named[]): unknown[] {
  const patches = new Map(patch.map((item) => [item.name, item]))
  const kept = target.map((item) => mergePatch(item, patches.get(item.name) ?? {}, true))
  const isNew = ({ name }: Named) => target.every((item) => item.name !== name)
  return [...kept, ...patch.filter(isNew)]
}

interface Named {
  readonly name: string
}

function isNamedList(value: unknown): value is Named[] {
  return (
    Array.isArray(value) &&
    value.every((item: unknown) => typeof item === 'object' && item !== null && 'name' in item)
  )
}
