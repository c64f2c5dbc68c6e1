/**
 * Rewrites the images in manifests as the webhook would rewrite them in pods. The decisions and the patches are the
 * webhook's; only the way in which a patch is applied differs.
 */
import { type PodContext, templateNamespace } from '../decision/fallback/pod-context.ts'
import { deniedBy, optOutWarnings, warningsFor } from '../decision/pod/site-warnings.ts'
import {
  type AdmissionPolicy,
  decideSites,
  type PodRequest,
  type SiteDecision,
} from '../decision/pod/decide-sites.ts'
import { buildPatch, type JsonPatch } from '../decision/pod/patch.ts'
import { imagesToPull, missingPullSecrets } from '../decision/pod/pull-secrets.ts'
import type { FallbackTable } from '../decision/fallback/table.ts'
import type { Decide } from '../decision/resolve/decision-cache.ts'
import { isLeft, type Resolution } from '../decision/resolve/resolution.ts'
import { jsonPointer } from '../json/json-pointer.ts'
import { type ElsewhereImage, imagesElsewhere } from './elsewhere.ts'
import { decideFinal, type KeptImages } from './kustomize/kept-images.ts'
import { applyPatches } from './apply-patches.ts'
import {
  type InvalidManifests,
  type ManifestObject,
  type Manifests,
  readManifests,
} from './manifests.ts'
import { type NamespaceModes, unlikeWebhook, whyLeft } from './namespace-modes.ts'
import {
  objectTitle,
  otherImageKinds,
  type PodLocation,
  podLocationsIn,
  unchangeableImages,
  type WorkloadKind,
} from './pod-locations.ts'
import { nodeAt } from './yaml-node.ts'

export interface RewriteDependencies {
  readonly decide: Decide
  readonly policy: AdmissionPolicy
  /** Finds the rows of images that are not rewritten. Without it, they are not searched. */
  readonly table?: FallbackTable
  /** Kinds with pods or images, in addition to the built-in ones. */
  readonly workloads: readonly WorkloadKind[]
  /** Describes what depends on a part of the pod that is not known. */
  readonly describeUndecided?: (pod: PodContext, resolution: Resolution) => readonly string[]
}

export interface RewriteOptions {
  /** The namespace of objects without one; null if it is not known. */
  readonly namespace: string | null
  /** The owners of pods whose kind does not tell them, as GROUP/KIND; null if they are not known. */
  readonly owners: readonly string[] | null
  /** True: pull policies and pull secrets are not changed. */
  readonly imagesOnly: boolean
  /** Images that stay in the file, because a kustomization replaces them. */
  readonly kept?: KeptImages | null
  /** What the webhook does with the pods of namespaces. */
  readonly namespaceModes?: NamespaceModes
  readonly signal: AbortSignal
}

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

export interface Rewritten {
  readonly text: string
  /** Every image that was decided, changed or not. */
  readonly images: readonly ImageChange[]
  /** Pull policies and pull secrets that were added. */
  readonly others: readonly ManifestNote[]
  readonly notes: readonly ManifestNote[]
  /** Images that the table would rewrite, but that are not in a field that Berth rewrites. */
  readonly elsewhere: readonly ElsewhereImage[]
  /** Images that a row denies. The text is then unchanged. */
  readonly denied: readonly ManifestNote[]
}

export type RewriteResult =
  ({ readonly ok: true } & Rewritten) | ({ readonly ok: false } & InvalidManifests)

/** A pod of an object with its decisions and patch. */
interface DecidedPod {
  readonly context: PodContext
  readonly object: ManifestObject
  readonly location: PodLocation
  readonly decisions: readonly SiteDecision[]
  readonly secrets: readonly string[]
  readonly patch: JsonPatch
  /** What to say about the namespace of the pod; null for most. */
  readonly namespaceNote: string | null
}

/** Rewrites manifests. Invalid YAML and denied images are results, not exceptions. */
export async function rewriteManifests(
  dependencies: RewriteDependencies,
  text: string,
  options: RewriteOptions,
): Promise<RewriteResult> {
  const read = readManifests(text, otherImageKinds(dependencies.workloads))
  if (!read.ok) return read
  const { manifests } = read
  const decide = decideFinal(dependencies.decide, options.kept ?? null)
  const pods = await Promise.all(
    manifests.objects.flatMap((object) =>
      podLocationsIn(object.value, dependencies.workloads).map((location) =>
        decidePod({ ...dependencies, decide }, { object, location }, options),
      ),
    ),
  )
  const denied = pods.flatMap((pod) => deniedNotes(manifests, pod))
  const images = pods.flatMap((pod) => imageChanges(manifests, pod))
  const notes = [
    ...manifests.objects.flatMap((object) => unchangeableNotes(manifests, object)),
    ...pods.flatMap((pod) => [
      ...namespaceNotes(manifests, pod),
      ...undecidedNotes(dependencies, manifests, pod),
      ...warningNotes(manifests, pod),
    ]),
  ]
  const elsewhere = imagesElsewhere(manifests, { ...dependencies, ...options })
  if (denied.length > 0) return { ok: true, text, images, others: [], notes, elsewhere, denied }
  const { text: written, unwritten } = applyPatches(manifests, pods)
  return {
    ok: true,
    text: written,
    images: pods.flatMap((pod) =>
      imageChanges(manifests, pod).map((image) =>
        unwritten.includes(pod) ? { ...image, to: image.from } : image,
      ),
    ),
    others: pods.flatMap((pod) => (unwritten.includes(pod) ? [] : otherNotes(manifests, pod))),
    notes: [...notes, ...unwritten.map((pod) => unwrittenNote(manifests, pod))],
    elsewhere,
    denied,
  }
}

function unwrittenNote(manifests: Manifests, { object }: DecidedPod): ManifestNote {
  return {
    ...placeOf(manifests, object),
    message:
      'not rewritten, because it shares an anchor or a merged map with something that must not change',
  }
}

async function decidePod(
  { decide, policy }: RewriteDependencies,
  { object, location }: Pick<DecidedPod, 'object' | 'location'>,
  options: RewriteOptions,
): Promise<DecidedPod> {
  const { imagesOnly, kept, signal, namespaceModes = new Map<string, never>() } = options
  const pod: PodContext = {
    ...location.context,
    namespace: kept?.namespace ?? location.namespace ?? options.namespace,
    owners: location.context.owners ?? options.owners,
  }
  const left = whyLeft(namespaceModes, templateNamespace(pod))
  if (left !== null)
    return {
      context: pod,
      object,
      location,
      decisions: [],
      secrets: [],
      patch: [],
      namespaceNote: left,
    }
  const request: PodRequest = {
    operation: 'CREATE',
    subResource: '',
    namespace: templateNamespace(pod),
    object: location.pod,
    oldObject: undefined,
  }
  const hasOtherFields = !imagesOnly && location.isPod
  const decisions = await decideSites(decide, {
    request,
    policy: hasOtherFields ? policy : { ...policy, pullPolicy: [], pullSecrets: [] },
    pod,
    signal: () => signal,
  })
  const secrets = hasOtherFields
    ? missingPullSecrets(policy.pullSecrets, {
        context: pod,
        pod: location.pod,
        images: imagesToPull(decisions.map(({ resolution }) => resolution)),
      })
    : []
  const patch = buildPatch(location.pod, {
    sites: decisions,
    annotation: null,
    pullSecrets: secrets,
  })
  const basePointer = jsonPointer([...object.path, ...location.path])
  return {
    context: pod,
    object,
    location,
    decisions,
    secrets,
    patch: patch.map((operation) => ({
      ...operation,
      path: basePointer + location.pointerFromPath(operation.path),
    })),
    namespaceNote:
      patch.length === 0 ? null : unlikeWebhook(namespaceModes, templateNamespace(pod)),
  }
}

function namespaceNotes(
  manifests: Manifests,
  { object, namespaceNote }: DecidedPod,
): ManifestNote[] {
  return namespaceNote === null ? [] : [{ ...placeOf(manifests, object), message: namespaceNote }]
}

function imageChanges(manifests: Manifests, pod: DecidedPod): ImageChange[] {
  return pod.decisions.map(({ site, image, resolution, why }) => ({
    ...positionOf(manifests, pod, site),
    object: objectTitle(pod.object.value),
    namespace: templateNamespace(pod.context),
    from: site.image,
    to: image,
    row: resolution?.row ?? null,
    why,
    pinned: resolution === null || resolution.chosen.digest !== null,
    left: resolution !== null && isLeft(resolution),
    undecidedRows: resolution?.undecidedRows ?? [],
  }))
}

function positionOf(
  manifests: Manifests,
  { object, location }: DecidedPod,
  { name, holder, imageKey }: SiteDecision['site'],
): { line: number | null; site: string } {
  const pathInPod = location.isPod ? [...holder, imageKey] : []
  const node = nodeAt(object.document, [...object.path, ...location.path, ...pathInPod])
  return {
    line: node?.range ? manifests.lineOf(node.range[0]) : null,
    site: location.siteName(name),
  }
}

function deniedNotes(manifests: Manifests, pod: DecidedPod): ManifestNote[] {
  return pod.decisions.flatMap((decision) => {
    const message = deniedBy([decision])
    return message === null ? [] : [siteNote(manifests, pod, decision, message)]
  })
}

/** A note for each row and rule that may apply, once for each image of a pod. */
function undecidedNotes(
  { describeUndecided }: RewriteDependencies,
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

function warningNotes(manifests: Manifests, pod: DecidedPod): ManifestNote[] {
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

function otherNotes(manifests: Manifests, pod: DecidedPod): ManifestNote[] {
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

function unchangeableNotes(manifests: Manifests, object: ManifestObject): ManifestNote[] {
  return unchangeableImages(object.value).map((message) => ({
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
