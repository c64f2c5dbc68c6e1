/** What `berth rewrite` says about the decisions for a pod: the images, the notes and the denials. */
import type { PodContext } from '../decision/fallback/pod-context.ts'
import type { SiteDecision } from '../decision/pod/decide-sites.ts'
import type { JsonPatch } from '../decision/pod/patch.ts'
import { deniedBy, optOutWarnings, warningsFor } from '../decision/pod/site-warnings.ts'
import { templateNamespace } from '../decision/fallback/pod-context.ts'
import { isLeft, type Resolution } from '../decision/resolve/resolution.ts'
import type { ValueLocation } from './helm/locate-values.ts'
import type { WrittenImage } from './helm/write-image.ts'
import type { ManifestObject, Manifests } from './manifests.ts'
import { objectTitle, type PodLocation, unchangeableImages } from './pod-locations.ts'
import { lineAt } from './elsewhere.ts'
import { nodeAt } from './yaml-node.ts'

/** The decision for one image, with its position. `berth rewrite -o json` prints these members. */
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
  /** Whether the image, its pull policy and its pull secrets stay unchanged on purpose. */
  readonly left: boolean
  /** Earlier rows that may apply: they depend on a part of the pod that is not known. */
  readonly undecidedRows: readonly string[]
}

/** A message about an object of a manifest. */
export interface ManifestNote {
  readonly line: number | null
  /** For example `apps/Deployment web`. */
  readonly object: string
  readonly message: string
}

/** A pod of an object with its decisions and patch. An image in Helm values is a pod with one container. */
export interface DecidedPod {
  readonly context: PodContext
  readonly object: ManifestObject
  readonly location: PodLocation | ValueLocation
  readonly decisions: readonly SiteDecision[]
  readonly secrets: readonly string[]
  readonly patch: JsonPatch
  /** What to say about the namespace of the pod; null for most. */
  readonly namespaceNote: string | null
  /** How Helm values express the decision; null for pods, and without a decision. */
  readonly written: WrittenImage | null
}

export function namespaceNotes(
  manifests: Manifests,
  { object, namespaceNote }: DecidedPod,
): ManifestNote[] {
  return namespaceNote === null ? [] : [{ ...placeOf(manifests, object), message: namespaceNote }]
}

/** Returns the decided images. Images in Helm values that cannot be written are not among them. */
export function imageChanges(manifests: Manifests, pod: DecidedPod): ImageChange[] {
  const { written } = pod
  if (written?.ok === false) return []
  return pod.decisions.map(({ site, image, resolution, why }) => ({
    ...positionOf(manifests, pod, site),
    object: objectTitle(pod.object.value),
    namespace: templateNamespace(pod.context),
    from: site.image,
    to: written?.image ?? image,
    row: resolution?.row ?? null,
    why,
    pinned:
      resolution === null ||
      (resolution.chosen.digest !== null && (written?.note ?? null) === null),
    left: resolution !== null && isLeft(resolution),
    undecidedRows: resolution?.undecidedRows ?? [],
  }))
}

function positionOf(
  manifests: Manifests,
  { object, location }: DecidedPod,
  { name, holder, imageKey }: SiteDecision['site'],
): { line: number | null; site: string } {
  if ('values' in location)
    return { line: valueLine(manifests, object, location), site: location.siteName(name) }
  const pathInPod = location.isPod ? [...holder, imageKey] : []
  const path = [...location.path, ...pathInPod]
  return { line: lineAt(manifests, object, path), site: location.siteName(name) }
}

function valueLine(
  manifests: Manifests,
  object: ManifestObject,
  { values: { text, path, place } }: ValueLocation,
): number | null {
  const [inner] = text?.objects ?? []
  if (text === null || inner === undefined) return lineAt(manifests, object, path)
  return lineAt(manifests, object, place.path, (lineAt(text, inner, path) ?? 1) - 1)
}

export function deniedNotes(manifests: Manifests, pod: DecidedPod): ManifestNote[] {
  return pod.decisions.flatMap((decision) => {
    const message = deniedBy([decision])
    return message === null ? [] : [siteNote(manifests, pod, decision, message)]
  })
}

/** Describes what depends on a part of the pod that is not known. */
export type DescribeUndecided = (pod: PodContext, resolution: Resolution) => readonly string[]

/** A note for each row and rule that may apply, once for each image of a pod. */
export function undecidedNotes(
  describeUndecided: DescribeUndecided | undefined,
  manifests: Manifests,
  pod: DecidedPod,
): ManifestNote[] {
  const noted = new Set<string>()
  return pod.decisions.flatMap((decision) => {
    const { requested, resolution } = decision
    if (resolution === null || noted.has(requested)) return []
    noted.add(requested)
    const texts = describeUndecided?.(pod.context, resolution) ?? []
    return texts.map((text) => siteNote(manifests, pod, decision, `${requested}: ${text}`))
  })
}

export function warningNotes(manifests: Manifests, pod: DecidedPod): ManifestNote[] {
  const ofSites = pod.decisions.flatMap((decision) =>
    warningsFor(decision).map((warning) => siteNote(manifests, pod, decision, warning)),
  )
  const ofPod = optOutWarnings(pod.context, pod.decisions).map((warning) => ({
    ...placeOf(manifests, pod.object),
    message: withoutPrefix(warning),
  }))
  return [...ofPod, ...ofSites]
}

function siteNote(
  manifests: Manifests,
  pod: DecidedPod,
  { site }: SiteDecision,
  message: string,
): ManifestNote {
  const { line } = positionOf(manifests, pod, site)
  return { line, object: objectTitle(pod.object.value), message: withoutPrefix(message) }
}

/** Returns a message of the webhook without its prefix. */
function withoutPrefix(message: string): string {
  return message.replace(/^berth: /, '')
}

export function otherNotes(manifests: Manifests, pod: DecidedPod): ManifestNote[] {
  const object = objectTitle(pod.object.value)
  const policies = pod.decisions.flatMap(({ site, pullPolicy }) => {
    if (pullPolicy === site.pullPolicy || pullPolicy === undefined) return []
    const { line, site: name } = positionOf(manifests, pod, site)
    return [{ line, object, message: `${name}: pull policy ${pullPolicy}` }]
  })
  const secrets = pod.secrets.map((secret) => ({
    ...placeOf(manifests, pod.object),
    message: `pull secret ${secret}`,
  }))
  return [...policies, ...secrets]
}

export function unchangeableNotes(
  manifests: Manifests,
  object: ManifestObject,
  helmValues: boolean,
): ManifestNote[] {
  return unchangeableImages(object.value, helmValues).map((message) => ({
    ...placeOf(manifests, object),
    message,
  }))
}

function placeOf(
  manifests: Manifests,
  { document, path, value }: ManifestObject,
): Pick<ManifestNote, 'line' | 'object'> {
  const node = nodeAt(document, path)
  const line = node?.range ? manifests.lineOf(node.range[0]) : null
  return { line, object: objectTitle(value) }
}

export function unwrittenNote(
  manifests: Manifests,
  { object, location }: DecidedPod,
): ManifestNote {
  if ('values' in location && location.values.text !== null)
    return valueNote(
      manifests,
      { object, location },
      'the text of the values cannot be edited in its form; write it as a block (|), without shared anchors',
    )
  return {
    ...placeOf(manifests, object),
    message:
      'not rewritten, because it shares an anchor or a merged map with something that must not change',
  }
}

/** A note about an image in Helm values that is not rewritten. Equal notes of a kind are printed as one line. */
export function valueNote(
  manifests: Manifests,
  { object, location }: { readonly object: ManifestObject; readonly location: ValueLocation },
  problem: string,
): ManifestNote {
  const line = valueLine(manifests, object, location)
  return {
    line,
    object: objectTitle(object.value),
    message: `an image in the values is not rewritten: ${problem}`,
  }
}

/** Notes about what the members of an image in Helm values do not express. */
export function writtenNotes(
  manifests: Manifests,
  { object, location, written }: DecidedPod,
): ManifestNote[] {
  if (written === null || !('values' in location)) return []
  if (!written.ok) return [valueNote(manifests, { object, location }, written.problem)]
  if (written.note === null) return []
  const note = valueNote(manifests, { object, location }, '')
  return [{ ...note, message: `an image in the values gets no digest: ${written.note}` }]
}
