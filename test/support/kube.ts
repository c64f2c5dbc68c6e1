/** An API server in memory: objects, watches with selectors, preconditions. The end-to-end tests have a real one. */
import { randomUUID } from 'node:crypto'
import { applyPatch, type Operation } from 'fast-json-patch'
import type { KubeApi } from '../../src/kube/api-client.ts'
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
  /** Those through `api`, refused ones too. */
  readonly writes: Write[]
  /** Somebody else's: creates or replaces an object. */
  put(resource: string, object: KubeObject): KubeObject
  drop(resource: string, name: string, namespace?: string): void
  get(resource: string, name: string, namespace?: string): KubeObject | null
  /** The next write to this (`secrets a/b`) is answered with the status. */
  refuse(about: string, status: number): void
  readonly watches: {
    readonly where: ResourceRef
    readonly query: Readonly<Record<string, string>>
  }[]
}

type Loose = KubeObject & Record<string, unknown>

interface Watcher {
  readonly where: ResourceRef
  readonly query: Readonly<Record<string, string>>
  readonly send: (type: string, object: KubeObject) => void
}

export function startFakeKube(): FakeKube {
  const objects = new Map<string, Loose>()
  const watchers = new Set<Watcher>()
  const writes: Write[] = []
  const watches: FakeKube['watches'] = []
  const refusals = new Map<string, number>()
  let version = 100

  const keyOf = ({ resource, namespace = '', name = '' }: ResourceRef) =>
    `${resource}|${namespace}|${name}`
  const whereOf = (
    resource: string,
    { metadata: { namespace, name } }: KubeObject,
  ): ResourceRef => ({
    apiVersion: 'v1',
    resource,
    ...(namespace === undefined ? {} : { namespace }),
    name,
  })

  function change(where: ResourceRef, now: Loose | null): KubeObject | null {
    const before = objects.get(keyOf(where)) ?? null
    version += 1
    const stamped =
      now === null
        ? null
        : {
            ...now,
            metadata: {
              creationTimestamp: new Date().toISOString().replace(/\.\d+Z/, 'Z'),
              ...now.metadata,
              uid: now.metadata.uid ?? randomUUID(),
              resourceVersion: String(version),
            },
          }
    if (stamped === null) objects.delete(keyOf(where))
    else objects.set(keyOf(where), stamped)
    for (const { where: watched, query, send } of watchers) {
      if (watched.resource !== where.resource) continue
      if (watched.namespace !== undefined && watched.namespace !== where.namespace) continue
      const was = before !== null && selects(query, before)
      const is = stamped !== null && selects(query, stamped)
      if (is && stamped !== null) send(was ? 'MODIFIED' : 'ADDED', stamped)
      else if (was && before !== null)
        send('DELETED', {
          ...before,
          metadata: { ...before.metadata, resourceVersion: String(version) },
        })
    }
    return stamped
  }

  function record(verb: Write['verb'], where: ResourceRef): void {
    const about = nameOf(where)
    writes.push({ verb, about, at: performance.now() })
    const status = refusals.get(about)
    refusals.delete(about)
    if (status !== undefined) throw new KubeError(status, '', `${about} is refused with ${status}`)
  }

  function there(where: ResourceRef): Loose {
    const object = objects.get(keyOf(where))
    if (object === undefined) throw new KubeError(404, 'NotFound', `no ${nameOf(where)}`)
    return object
  }

  const api: KubeApi = {
    get: (where) => Promise.resolve((objects.get(keyOf(where)) ?? null) as never),
    list: async function* (where, selection = {}) {
      await Promise.resolve()
      const { labelSelector = '', fieldSelector = '' } = selection
      for (const [key, object] of objects) {
        if (!key.startsWith(`${where.resource}|${where.namespace ?? ''}`)) continue
        if (selects({ labelSelector, fieldSelector }, object)) yield object as never
      }
      return { resourceVersion: String(version) }
    },
    create: async (where, object) => {
      await Promise.resolve()
      const made = object as Loose
      const { name } = made.metadata
      const namespace = made.metadata.namespace ?? where.namespace
      const full: ResourceRef = {
        ...where,
        ...(namespace === undefined ? {} : { namespace }),
        name,
      }
      record('create', full)
      if (where.subresource === 'eviction') {
        change({ ...full, resource: 'pods' }, null)
        return {} as never
      }
      if (objects.has(keyOf(full))) throw new KubeError(409, 'AlreadyExists', `${name} is there`)
      return change(full, made) as never
    },
    replace: async (where, object) => {
      await Promise.resolve()
      record('replace', where)
      return change(where, object as Loose) as never
    },
    patch: async (where, kind, patch) => {
      await Promise.resolve()
      record('patch', where)
      const before = there(where)
      if (kind === 'merge') {
        const { uid, resourceVersion } = (patch as KubeObject).metadata
        if (uid !== before.metadata.uid || resourceVersion !== before.metadata.resourceVersion)
          throw new KubeError(409, 'Conflict', 'another one')
        return change(where, mergePatch(before, patch) as Loose) as never
      }
      try {
        const patched = applyPatch(structuredClone(before), patch as Operation[], true).newDocument
        return change(where, patched) as never
      } catch {
        throw new KubeError(422, 'Invalid', 'the patch does not apply')
      }
    },
    remove: async (where, precondition = {}) => {
      await Promise.resolve()
      record('remove', where)
      const { uid } = there(where).metadata
      if (precondition.uid !== undefined && precondition.uid !== uid)
        throw new KubeError(409, 'Conflict', 'another one')
      change(where, null)
      return true
    },
    stream: (where, query, { signal }) => {
      watches.push({ where, query })
      return Promise.resolve(events(where, query, signal))
    },
    read: () => Promise.reject(new Error('not here')),
    reconnect: () => undefined,
    close: () => Promise.resolve(),
  }

  async function* events(
    where: ResourceRef,
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): AsyncGenerator<Buffer> {
    const pending: string[] = []
    let wake = Promise.withResolvers<void>()
    const end = () => wake.resolve()
    signal.addEventListener('abort', end, { once: true })
    const watcher: Watcher = {
      where,
      query,
      send: (type, object) => {
        pending.push(`${JSON.stringify({ type, object })}\n`)
        wake.resolve()
      },
    }
    watchers.add(watcher)
    while (!signal.aborted) {
      await wake.promise
      wake = Promise.withResolvers()
      for (const line of pending.splice(0)) yield Buffer.from(line)
    }
    watchers.delete(watcher)
  }

  return {
    api,
    writes,
    watches,
    put: (resource, object) => {
      const where = whereOf(resource, object)
      const before = objects.get(keyOf(where))
      const uid = object.metadata.uid ?? before?.metadata.uid
      const metadata = { ...object.metadata, ...(uid === undefined ? {} : { uid }) }
      return change(where, { ...object, metadata }) as KubeObject
    },
    drop: (resource, name, namespace) =>
      void change(
        { apiVersion: 'v1', resource, name, ...(namespace === undefined ? {} : { namespace }) },
        null,
      ),
    get: (resource, name, namespace = '') =>
      objects.get(`${resource}|${namespace}|${name}`) ?? null,
    refuse: (about, status) => refusals.set(about, status),
  }
}

function selects(
  { labelSelector = '', fieldSelector = '' }: Readonly<Record<string, string>>,
  object: Loose,
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
function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const result: Record<string, unknown> = {
    ...(typeof target === 'object' && target !== null ? target : {}),
  }
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = mergePatch(result[key], value)
  }
  return result
}
