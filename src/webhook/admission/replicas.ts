/**
 * Reviews of replicas. A controller creates pods that differ in nothing that is looked at here, and their reviews differ
 * in a few bytes only: what was made of one of them stands for all of them, while the decisions that it rests on do.
 *
 * Two reviews are replicas when they are the same, byte for byte, but for the places where an API server writes something
 * of its own into each (`placesThatVary`). Whatever a tenant writes is compared, so nothing passes for something else.
 */
import { LRUCache } from 'lru-cache'
import { annotations, findSites } from '../../decision/pod/sites.ts'
import { member } from '../../json/json.ts'
import type { AdmissionRequest } from './admission-review.ts'

/** Bytes that may be others of the same kind; those between two places are compared. */
interface Place {
  readonly start: number
  readonly end: number
}

interface Original<Made> {
  readonly body: Buffer
  /** In the order of the body. */
  readonly places: readonly Place[]
  readonly uid: Place
  readonly made: Made
}

export interface Replicas<Made> {
  /** What was made of the review that this one is a replica of, and its own uid. */
  find(body: Buffer): { readonly made: Made; readonly uid: string } | null
  /** Has what was made of this review stand for its replicas, from its second replica on, if it can. */
  keep(body: Buffer, request: AdmissionRequest, made: Made): void
}

/** Pods as people write them, of some hundred controllers that are creating at the same time. */
const maxKeptBytes = 4 * 1024 * 1024

/** Pods that controllers create are a tenth of this. What a tenant may send, 3 MiB, costs nothing beyond being answered. */
const maxBodyBytes = 64 * 1024

/** An object's name has no more letters (apimachinery, DNS1123SubdomainMaxLength); it is checked after webhooks were asked. */
const maxNameLength = 253

/** One volume, and as many times as there are writers of a new pod, which is one; a tenant may write thousands. */
const maxTexts = 16

/** Most controllers create one pod at a time: copying that would cost more than it gives. Only their names are kept. */
const maxNames = 1_000

/** Makes the memory of one configuration and one way of answering. */
export function createReplicas<Made>(): Replicas<Made> {
  const originals = new LRUCache<string, Original<Made>>({
    maxSize: maxKeptBytes,
    sizeCalculation: ({ body }) => body.length,
  })
  const seen = new LRUCache<string, true>({ max: maxNames })
  return {
    find: (body) => {
      const key = keyOf(body)
      const original = key === null ? undefined : originals.get(key)
      if (original === undefined || !isReplica(body, original)) return null
      const { made, uid } = original
      return { made, uid: body.toString('latin1', uid.start, uid.end) }
    },
    keep: (body, request, made) => {
      const key = keyOf(body)
      if (key === null) return
      if (!seen.has(key)) return void seen.set(key, true)
      const places = placesThatVary(body, request)
      if (places === null) return
      const [uid, another] = placesOf(body, request.uid)
      if (uid === undefined || another !== undefined) return
      // A copy: the bytes of a request are part of a larger piece that was read from its connection.
      originals.set(key, { body: Buffer.from(body), places, uid, made })
      // Reviews that share a name and nothing else would be copied one after the other.
      seen.delete(key)
    },
  }
}

const generateName = '"generateName":"'

/** Replicas have the beginning of their names in common, and the length of their reviews. Null: not made by a controller. */
function keyOf(body: Buffer): string | null {
  if (body.length > maxBodyBytes) return null
  const found = body.indexOf(generateName)
  if (found < 0) return null
  const start = found + generateName.length
  const end = body.indexOf('"', start)
  return end - start > maxNameLength
    ? null
    : `${body.length} ${body.toString('latin1', start, end)}`
}

/** All but the places is the same, and in the places there are letters and digits, so that the rest means the same. */
function isReplica(body: Buffer, original: Original<unknown>): boolean {
  let from = 0
  for (const { start, end } of original.places) {
    if (body.compare(original.body, from, start, from, start) !== 0) return false
    for (let at = start; at < end; at++) if (!isPlain(body[at] ?? 0)) return false
    from = end
  }
  return body.compare(original.body, from, undefined, from, undefined) === 0
}

/** Letters, digits, `-` and `:`: what uids, dates and random ends of names are made of, and what JSON takes as it is. */
function isPlain(byte: number): boolean {
  return (
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x30 && byte <= 0x3a) ||
    byte === 0x2d ||
    (byte >= 0x41 && byte <= 0x5a)
  )
}

/**
 * Where the API server writes something else into each review: the uid; the time at which fields were set; and the end
 * of the name that it gives to the volume with the account's token (serviceaccount/admission.go) and to its mounts. Each
 * is a whole string of the JSON. Null when anything that is looked at holds one of these texts.
 */
function placesThatVary(body: Buffer, request: AdmissionRequest): readonly Place[] | null {
  const { uid, operation, subResource, object } = request
  if (operation !== 'CREATE' || subResource !== '' || !/^[0-9a-f-]{36}$/.test(uid)) return null
  const texts = new Set([uid, ...tokenVolumes(object), ...timesOfFields(object)])
  if (texts.size > maxTexts) return null
  const lookedAt = textOf(whatMatters(request))
  if (lookedAt === null || [...texts].some((text) => lookedAt.includes(text))) return null
  return [...texts].flatMap((text) => placesOf(body, text)).sort((a, b) => a.start - b.start)
}

/** All that a decision, a verdict and a line of the log are made from. */
function whatMatters({ namespace, object }: AdmissionRequest): unknown[] {
  const { metadata, spec } = { metadata: member(object, 'metadata'), spec: member(object, 'spec') }
  return [
    namespace,
    member(metadata, 'name'),
    member(metadata, 'generateName'),
    annotations(object),
    findSites(object),
    member(spec, 'imagePullSecrets'),
    member(spec, 'serviceAccountName'),
  ]
}

/** Null for what is nested deeper than it can be written; no API server sends such a thing. */
function textOf(value: unknown): string | null {
  try {
    return JSON.stringify(value)
  } catch {
    return null
  }
}

const tokenVolume = 'kube-api-access-'
const tokenVolumeName = new RegExp(`^${tokenVolume}[a-z0-9]{5}$`)
const time = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/

function tokenVolumes(pod: unknown): string[] {
  return texts(member(member(pod, 'spec'), 'volumes'), 'name', tokenVolumeName)
}

function timesOfFields(pod: unknown): string[] {
  return texts(member(member(pod, 'metadata'), 'managedFields'), 'time', time)
}

function texts(list: unknown, key: string, shape: RegExp): string[] {
  const values = Array.isArray(list) ? list.map((entry: unknown) => member(entry, key)) : []
  return values.filter((value): value is string => typeof value === 'string' && shape.test(value))
}

/** Where the text is a whole string; of a volume's name the end of it. */
function placesOf(body: Buffer, text: string): Place[] {
  const places: Place[] = []
  const quoted = `"${text}"`
  for (let at = body.indexOf(quoted); at >= 0; at = body.indexOf(quoted, at + quoted.length)) {
    const fixed = text.startsWith(tokenVolume) ? tokenVolume.length : 0
    places.push({ start: at + 1 + fixed, end: at + 1 + text.length })
  }
  return places
}
