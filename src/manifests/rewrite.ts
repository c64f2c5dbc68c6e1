/**
 * What the webhook would make of the pods that manifests describe, written into the manifests. The decisions and the
 * patch are the webhook's own; only the way in which a patch reaches the object is another one.
 */
import { deniedBy, warningsFor } from '../decision/pod/site-warnings.ts'
import {
  type AdmissionPolicy,
  decideSites,
  type PodRequest,
  type SiteDecision,
} from '../decision/pod/decide-sites.ts'
import { buildPatch, type JsonPatch } from '../decision/pod/patch.ts'
import { missingPullSecrets } from '../decision/pod/pull-secrets.ts'
import type { Decide } from '../decision/resolve/decision-cache.ts'
import { jsonPointer } from '../json/json-pointer.ts'
import { editText } from './edit.ts'
import { nodeAt } from './locate.ts'
import { type Carrier, type CarrierKind, carriersIn, notesOn, titleOf } from './pod-locations.ts'
import { type ManifestObject, type Manifests, readManifests } from './source.ts'
import { untilFixedPoint } from './fixed-point.ts'

export interface RewriteDependencies {
  readonly decide: Decide
  readonly policy: AdmissionPolicy
  /** Kinds beside the built-in ones that carry pods or images. */
  readonly workloads: readonly CarrierKind[]
}

export interface RewriteOptions {
  /** For objects that name none. */
  readonly namespace: string
  /** Pull policies and pull secrets stay as they are. */
  readonly imagesOnly: boolean
  readonly signal: AbortSignal
}

/** One image that is decided, and where it stands. */
export interface ImageChange {
  readonly line: number | null
  /** For example `apps/Deployment web`. */
  readonly object: string
  readonly namespace: string
  /** For example `containers/web`. */
  readonly site: string
  readonly from: string
  readonly to: string
  readonly row: string | null
  readonly why: string
  readonly pinned: boolean
}

export interface Note {
  readonly line: number | null
  readonly message: string
}

export interface Rewritten {
  readonly text: string
  /** Every image that was decided, changed or not. */
  readonly images: readonly ImageChange[]
  /** Pull policies and pull secrets that were put in, in words. */
  readonly others: readonly Note[]
  readonly notes: readonly Note[]
  /** Images that a rule refuses; the text is then as it was. */
  readonly denied: readonly Note[]
}

export type RewriteResult =
  | ({ readonly ok: true } & Rewritten)
  | { readonly ok: false; readonly line: number | null; readonly message: string }

interface Decided {
  readonly namespace: string
  readonly object: ManifestObject
  readonly carrier: Carrier
  readonly decisions: readonly SiteDecision[]
  readonly secrets: readonly string[]
  readonly patch: JsonPatch
}

/** Rewrites manifests. Never rejects but by a bug; text that is no YAML, and an image that is refused, are values. */
export async function rewriteManifests(
  dependencies: RewriteDependencies,
  text: string,
  options: RewriteOptions,
): Promise<RewriteResult> {
  const read = readManifests(text)
  if (!read.ok) return read
  const { manifests } = read
  const decide = untilFixedPoint(dependencies.decide)
  const decided = await Promise.all(
    manifests.objects.flatMap((object) =>
      carriersIn(object.value, dependencies.workloads).map((carrier) =>
        decideOne({ ...dependencies, decide }, { object, carrier }, options),
      ),
    ),
  )
  const denied = decided.flatMap((each) => deniedIn(manifests, each))
  const images = decided.flatMap((each) => imagesOf(manifests, each))
  const notes = [
    ...manifests.objects.flatMap((object) => notesFor(manifests, object)),
    ...decided.flatMap((each) => warningsIn(manifests, each)),
  ]
  if (denied.length > 0) return { ok: true, text, images, others: [], notes, denied }
  const { text: written, left } = write(manifests, decided)
  return {
    ok: true,
    text: written,
    images: decided.flatMap((each) =>
      imagesOf(manifests, each).map((image) =>
        left.includes(each) ? { ...image, to: image.from } : image,
      ),
    ),
    others: decided.flatMap((each) => (left.includes(each) ? [] : othersIn(manifests, each))),
    notes: [...notes, ...left.map((each) => leftNote(manifests, each))],
    denied,
  }
}

/** The new text, and what could not be written into it. One object that cannot be changed does not keep the others from it. */
function write(
  manifests: Manifests,
  decided: readonly Decided[],
): { text: string; left: readonly Decided[] } {
  const changed = decided.filter(({ patch }) => patch.length > 0)
  const edit = (some: readonly Decided[]) =>
    editText(
      manifests,
      some.map(({ object: { document }, patch }) => ({ document, patch })),
    )
  if (changed.length === 0) return { text: manifests.text, left: [] }
  const text = edit(changed)
  if (text !== null) return { text, left: [] }
  // By halves: each look reads the whole text again, and mostly it is one object of hundreds that keeps the others.
  const fit = (some: readonly Decided[]): readonly Decided[] => {
    if (edit(some) !== null) return some
    const half = some.length >> 1
    return half === 0 ? [] : [...fit(some.slice(0, half)), ...fit(some.slice(half))]
  }
  const fitting = fit(changed)
  const together = edit(fitting)
  return together === null
    ? { text: manifests.text, left: changed }
    : { text: together, left: changed.filter((each) => !fitting.includes(each)) }
}

function leftNote(manifests: Manifests, { object }: Decided): Note {
  const message = `${titleOf(object.value)}: its images cannot be changed without changing something else, because an anchor or a merged map is shared with it; it is left as it is`
  return { line: lineOf(manifests, object), message }
}

async function decideOne(
  { decide, policy }: RewriteDependencies,
  { object, carrier }: Pick<Decided, 'object' | 'carrier'>,
  { namespace, imagesOnly, signal }: RewriteOptions,
): Promise<Decided> {
  const own = carrier.namespace ?? namespace
  const request: PodRequest = {
    operation: 'CREATE',
    subResource: '',
    namespace: own,
    object: carrier.pod,
    oldObject: undefined,
  }
  const sitesOnly = { ...policy, pullPolicy: [], pullSecrets: [] }
  const decisions = await decideSites(decide, {
    request,
    policy: imagesOnly || !carrier.isPod ? sitesOnly : policy,
    signal: () => signal,
  })
  const finals = decisions.flatMap(({ resolution }) =>
    resolution === null ? [] : [resolution.chosen],
  )
  const secrets =
    imagesOnly || !carrier.isPod ? [] : missingPullSecrets(policy.pullSecrets, carrier.pod, finals)
  const patch = buildPatch(carrier.pod, {
    sites: decisions,
    annotation: null,
    pullSecrets: secrets,
  })
  const base = [...object.path, ...carrier.path]
  return {
    namespace: own,
    object,
    carrier,
    decisions,
    secrets,
    patch: patch.map((each) => moved(each, base, carrier)),
  }
}

/** The operation with its path from the root of the document. */
function moved(
  operation: JsonPatch[number],
  base: readonly (string | number)[],
  carrier: Carrier,
): JsonPatch[number] {
  return { ...operation, path: jsonPointer(base) + carrier.place(operation.path) }
}

function imagesOf(manifests: Manifests, decided: Decided): ImageChange[] {
  const { object, decisions } = decided
  return decisions.map(({ site, image, resolution, why }) => ({
    ...placeOf(manifests, decided, site),
    object: titleOf(object.value),
    namespace: decided.namespace,
    from: site.image,
    to: image,
    row: resolution?.row ?? null,
    why,
    pinned: resolution === null || resolution.chosen.digest !== null,
  }))
}

function placeOf(
  manifests: Manifests,
  { object, carrier }: Decided,
  { name, holder, imageKey }: SiteDecision['site'],
): { line: number | null; site: string } {
  const inPod = carrier.isPod ? [...holder, imageKey] : []
  const node = nodeAt(object.document, [...object.path, ...carrier.path, ...inPod])
  return { line: node?.range ? manifests.lineOf(node.range[0]) : null, site: carrier.site(name) }
}

function deniedIn(manifests: Manifests, decided: Decided): Note[] {
  return decided.decisions.flatMap((decision) => {
    const message = deniedBy([decision])?.replace(/^berth: /, '')
    const { line } = placeOf(manifests, decided, decision.site)
    return message === undefined
      ? []
      : [{ line, message: `${titleOf(decided.object.value)}: ${message}` }]
  })
}

function warningsIn(manifests: Manifests, decided: Decided): Note[] {
  return decided.decisions.flatMap((decision) => {
    const { line } = placeOf(manifests, decided, decision.site)
    return warningsFor(decision).map((warning) => ({
      line,
      message: `${titleOf(decided.object.value)}: ${warning.replace(/^berth: /, '')}`,
    }))
  })
}

function othersIn(manifests: Manifests, decided: Decided): Note[] {
  const title = titleOf(decided.object.value)
  const policies = decided.decisions.flatMap(({ site, pullPolicy }) => {
    if (pullPolicy === site.pullPolicy || pullPolicy === undefined) return []
    const { line, site: name } = placeOf(manifests, decided, site)
    return [{ line, message: `${title}: ${name}: pull policy ${pullPolicy}` }]
  })
  const secrets = decided.secrets.map((secret) => ({
    line: lineOf(manifests, decided.object),
    message: `${title}: pull secret ${secret}`,
  }))
  return [...policies, ...secrets]
}

function notesFor(manifests: Manifests, object: ManifestObject): Note[] {
  return notesOn(object.value).map((message) => ({
    line: lineOf(manifests, object),
    message: `${titleOf(object.value)}: ${message}`,
  }))
}

function lineOf(manifests: Manifests, { document, path }: ManifestObject): number | null {
  const node = nodeAt(document, path)
  return node?.range ? manifests.lineOf(node.range[0]) : null
}
