/**
 * Rewrites the images in manifests as the webhook would rewrite them in pods. The decisions and the patches are the
 * webhook's; only the way in which a patch is applied differs.
 */
import { type PodContext, templateNamespace } from '../decision/fallback/pod-context.ts'
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
import { jsonPointer } from '../json/json-pointer.ts'
import {
  type DecidedPod,
  deniedNotes,
  type DescribeUndecided,
  type ImageChange,
  imageChanges,
  type ManifestNote,
  namespaceNotes,
  otherNotes,
  unchangeableNotes,
  undecidedNotes,
  unwrittenNote,
  valueNote,
  warningNotes,
  writtenNotes,
} from './decided-pod.ts'
import { type ElsewhereImage, imagesElsewhere } from './elsewhere.ts'
import { applyValuePatches } from './helm/apply-value-patches.ts'
import { type ValueLocation, valueLocationsIn } from './helm/locate-values.ts'
import type { ValueOverrides } from './helm/value-overrides.ts'
import { writeImage, type WrittenImage } from './helm/write-image.ts'
import { decideFinal, type KeptImages } from './kustomize/kept-images.ts'
import {
  type InvalidManifests,
  type ManifestObject,
  type Manifests,
  readManifests,
} from './manifests.ts'
import { type NamespaceModes, unlikeWebhook, whyLeft } from './namespace-modes.ts'
import { otherImageKinds, podLocationsIn, type WorkloadKind } from './pod-locations.ts'
import { siteText } from './site-text.ts'

export interface RewriteDependencies {
  readonly decide: Decide
  readonly policy: AdmissionPolicy
  /** Finds the rows of images that are not rewritten. Without it, they are not searched. */
  readonly table?: FallbackTable
  /** Kinds with pods or images, in addition to the built-in ones. */
  readonly workloads: readonly WorkloadKind[]
  readonly describeUndecided?: DescribeUndecided
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
  /** Null or left out: images in Helm values are not rewritten. */
  readonly helmValues?: HelmValuesOptions | null
  readonly signal: AbortSignal
}

export interface HelmValuesOptions {
  /** Whether a map without `apiVersion` and `kind` is a values file. */
  readonly isValuesFile: boolean
  readonly overrides: ValueOverrides
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
  const { helmValues = null } = options
  const values = helmValues === null ? [] : valueLocations(manifests, helmValues)
  const elsewhere = imagesElsewhere(manifests, { ...dependencies, ...options })
  const pods = await Promise.all([
    ...manifests.objects.flatMap((object) =>
      podLocationsIn(object.value, dependencies.workloads).map((location) =>
        decidePod({ ...dependencies, decide }, { object, location }, options),
      ),
    ),
    // Entries of kustomizations do not apply to values.
    ...values
      .filter(({ location }) => location.values.problem === null)
      .map((value) => decidePod(dependencies, value, options)),
  ])
  const denied = pods.flatMap((pod) => deniedNotes(manifests, pod))
  const images = pods.flatMap((pod) => imageChanges(manifests, pod))
  const notes = [
    ...manifests.objects.flatMap((object) =>
      unchangeableNotes(manifests, object, helmValues !== null),
    ),
    ...refusedNotes(manifests, values, elsewhere),
    ...pods.flatMap((pod) => [
      ...namespaceNotes(manifests, pod),
      ...undecidedNotes(dependencies.describeUndecided, manifests, pod),
      ...warningNotes(manifests, pod),
      ...writtenNotes(manifests, pod),
    ]),
  ]
  if (denied.length > 0) return { ok: true, text, images, others: [], notes, elsewhere, denied }
  const { text: written, unwritten } = applyValuePatches(manifests, pods)
  const isWritten = (pod: DecidedPod) => !unwritten.includes(pod)
  return {
    ok: true,
    text: written,
    images: pods.flatMap((pod) =>
      imageChanges(manifests, pod).map((image) =>
        isWritten(pod) ? image : { ...image, to: image.from },
      ),
    ),
    others: pods.filter(isWritten).flatMap((pod) => otherNotes(manifests, pod)),
    notes: [...notes, ...unwritten.map((pod) => unwrittenNote(manifests, pod))],
    elsewhere: withoutWritten(elsewhere, pods.filter(isWritten)),
    denied,
  }
}

interface LocatedValue {
  readonly object: ManifestObject
  readonly location: ValueLocation
}

function valueLocations(manifests: Manifests, options: HelmValuesOptions): LocatedValue[] {
  return manifests.objects.flatMap((object) =>
    valueLocationsIn(object, options).map((location) => ({ object, location })),
  )
}

/** Returns how `imagesElsewhere` names an image in values. */
function elsewhereKey({ values: { text, place, path, image } }: ValueLocation): string {
  return `${siteText(text === null ? path : place.path)} ${image}`
}

/** Says why images of the table in values are not rewritten. */
function refusedNotes(
  manifests: Manifests,
  values: readonly LocatedValue[],
  elsewhere: readonly ElsewhereImage[],
): ManifestNote[] {
  const listed = new Set(elsewhere.map(({ site, image }) => `${site} ${image}`))
  return values.flatMap((value) => {
    const { problem } = value.location.values
    if (problem === null || !listed.has(elsewhereKey(value.location))) return []
    return [valueNote(manifests, value, problem)]
  })
}

/** Returns the images that are still not rewritten. */
function withoutWritten(
  elsewhere: readonly ElsewhereImage[],
  pods: readonly DecidedPod[],
): ElsewhereImage[] {
  const written = new Set(
    pods.flatMap(({ location, written: each }) =>
      'values' in location && each?.ok === true ? [elsewhereKey(location)] : [],
    ),
  )
  return elsewhere.filter(({ site, image }) => !written.has(`${site} ${image}`))
}

async function decidePod(
  { decide, policy }: RewriteDependencies,
  { object, location }: Pick<DecidedPod, 'object' | 'location'>,
  options: RewriteOptions,
): Promise<DecidedPod> {
  const { imagesOnly, kept, signal, namespaceModes = new Map<string, never>() } = options
  const pod: PodContext = {
    ...location.context,
    namespace:
      'values' in location && location.hasFixedNamespace
        ? location.namespace
        : (kept?.namespace ?? location.namespace ?? options.namespace),
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
      written: null,
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
  const written = 'values' in location ? writtenImage(location, decisions) : null
  const basePointer = jsonPointer([...object.path, ...location.path])
  return {
    context: pod,
    object,
    location,
    decisions,
    secrets,
    patch:
      'values' in location
        ? valuePatch(object, location, written)
        : patch.map((operation) => ({
            ...operation,
            path: basePointer + location.pointerFromPath(operation.path),
          })),
    written,
    namespaceNote:
      patch.length === 0 ? null : unlikeWebhook(namespaceModes, templateNamespace(pod)),
  }
}

function writtenImage(
  { values }: ValueLocation,
  [decision]: readonly SiteDecision[],
): WrittenImage | null {
  const resolution = decision?.resolution ?? null
  return resolution === null ? null : writeImage(values, resolution)
}

/** Returns the patch of an image in values. It starts at the root of the document, or of the values that are a text. */
function valuePatch(
  object: ManifestObject,
  { values: { text, members } }: ValueLocation,
  written: WrittenImage | null,
): JsonPatch {
  if (written?.ok !== true) return []
  return [...written.parts].flatMap(([part, value]) => {
    const path = members[part]?.path
    if (path === undefined) return []
    const from = text === null ? object.path : []
    return [{ op: 'replace' as const, path: jsonPointer([...from, ...path]), value }]
  })
}
