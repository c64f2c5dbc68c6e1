/** For each image that runs in a cluster: where it comes from, whether a mirror has it, and what Berth would make of it. */
import pLimit from 'p-limit'
import type { Config } from '../config/config.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { formatReference, type Reference } from '../decision/reference/reference.ts'
import { askByDigest } from '../decision/resolve/ask-by-digest.ts'
import { describeResolution } from '../decision/resolve/describe-resolution.ts'
import type { ResolveDependencies } from '../decision/resolve/probe-candidate.ts'
import { isDenied, isLeft, type Resolution } from '../decision/resolve/resolution.ts'
import { resolve, resolveNeverPulled } from '../decision/resolve/resolve.ts'
import { cutText } from '../text/cut-text.ts'
import type { AdmissionMode } from './admission-mode.ts'
import type { PodImage, RunningImage } from './inventory.ts'

/** One image of one namespace. The names are the contract of `berth report -o json`. */
export interface ReportLine extends RunningImage {
  /** Whether all of its pods run it from a mirror. */
  readonly onMirror: boolean
  /** Whether a mirror has the image of a new pod, or nothing pulls it, so that it works offline. Null if a mirror did not answer. */
  readonly mirrored: boolean | null
  /** The image of a new pod; null if Berth does not change the pod, or denies it. */
  readonly becomes: string | null
  /** Whether Berth leaves it unchanged, by a row or because of its pull policy Never. */
  readonly left: boolean
  readonly row: string | null
  readonly why: string
}

export interface Report {
  readonly images: readonly ReportLine[]
  readonly summary: {
    readonly images: number
    readonly onMirror: number
    readonly mirrored: number
    readonly needInternet: number
    readonly unknown: number
    readonly wouldChange: number
  }
}

export interface ReportDependencies {
  readonly config: Config
  readonly resolve: ResolveDependencies
  /** Milliseconds for one image. */
  readonly imageTimeoutMs: number
  /** Images decided at once. */
  readonly parallelImages: number
}

/** Characters of a reason, which may repeat an image of any length. */
const maxWhyLength = 1_024

/** Decides each image as the webhook does for a new pod, and counts. Failures of registries are part of the result. */
export async function buildReport(
  dependencies: ReportDependencies,
  running: readonly PodImage[],
): Promise<Report> {
  const limit = pLimit(dependencies.parallelImages)
  const lines = await Promise.all(
    running.map((each) => limit(() => reportLine(dependencies, each))),
  )
  return summarize(lines)
}

/** Decides one image as `buildReport` does. */
export async function reportLine(
  dependencies: Omit<ReportDependencies, 'parallelImages'>,
  running: PodImage,
): Promise<ReportLine> {
  const line = await decideLine(dependencies, running)
  return { ...line, why: cutText(line.why, maxWhyLength) }
}

async function decideLine(
  dependencies: Omit<ReportDependencies, 'parallelImages'>,
  { pod, admission, isNeverPulled, ...running }: PodImage,
): Promise<ReportLine> {
  const { config, resolve: resolveDependencies, imageTimeoutMs } = dependencies
  const base = {
    ...running,
    onMirror: running.runs.every((image) => runsFromMirror(config, image)),
  }
  const parsed = parseReference(running.image)
  if (!parsed.ok)
    return { ...base, mirrored: false, becomes: null, left: false, row: null, why: parsed.message }
  const { reference } = parsed
  const signal = AbortSignal.timeout(imageTimeoutMs)
  const resolution = isNeverPulled
    ? resolveNeverPulled(reference)
    : await resolve(resolveDependencies, config, { reference, pod, signal })
  const { changed, chosen, row } = resolution
  // A pod counts as seen if that is not known.
  const isSeen = admission.mode === 'enforce' || admission.mode === 'unknown'
  const isEnforced = isSeen && config.mode === 'enforce'
  const isChanged = isEnforced && changed
  const pulled = isEnforced && isDenied(resolution) ? null : isChanged ? chosen : reference
  const image = isChanged ? formatReference(chosen) : running.image
  const probed = isEnforced ? resolution.steps : []
  return {
    ...base,
    mirrored: isNeverPulled || (await comesFromMirror(dependencies, { pulled, probed, signal })),
    becomes: isEnforced && pulled !== null ? image : null,
    left: isLeft(resolution),
    row,
    why: reasonFor(resolution, admission, isEnforced),
  }
}

interface NewPodImage {
  /** What the kubelet pulls; null for a pod that Berth denies. */
  readonly pulled: Reference | null
  /** The steps that decided about it. */
  readonly probed: Resolution['steps']
  readonly signal: AbortSignal
}

export const silentOutcomes: readonly string[] = ['unreachable', 'timeout', 'skipped', 'limited']

/** Returns whether a mirror serves the image of a new pod; null if a mirror did not answer. */
async function comesFromMirror(
  { config, resolve: { isProbed, queryManifest } }: Pick<ReportDependencies, 'config' | 'resolve'>,
  { pulled, probed, signal }: NewPodImage,
): Promise<boolean | null> {
  if (pulled === null || !isMirror(config, pulled)) {
    const isUnknown = probed.some(
      ({ candidate: { reference }, outcome }) =>
        reference !== null && isMirror(config, reference) && silentOutcomes.includes(outcome),
    )
    return isUnknown ? null : false
  }
  if (!isProbed(pulled.domain)) return true
  const { domain: host, path: repository } = pulled
  const { outcome } = await askByDigest(pulled, (reference) =>
    queryManifest({ host, repository, reference, namespace: '' }, signal),
  )
  return silentOutcomes.includes(outcome) ? null : outcome === 'found'
}

/** Returns whether an image is on a mirror of the config. */
export function runsFromMirror(config: Config, image: string): boolean {
  const parsed = parseReference(image)
  return parsed.ok && isMirror(config, parsed.reference)
}

function isMirror({ registries }: Config, { domain }: Reference): boolean {
  return registries.get(domain)?.mirror === true
}

function reasonFor(resolution: Resolution, admission: AdmissionMode, isEnforced: boolean): string {
  if (admission.mode === 'out') return admission.why
  const description = describeResolution(resolution)
  return isEnforced ? description : `in observe mode: ${description}`
}

function summarize(lines: readonly ReportLine[]): Report {
  const images = lines.toSorted(
    (one, other) => compare(one.namespace, other.namespace) || compare(one.image, other.image),
  )
  const count = (test: (line: ReportLine) => boolean) => images.filter(test).length
  return {
    images,
    summary: {
      images: images.length,
      onMirror: count(({ onMirror }) => onMirror),
      mirrored: count(({ mirrored }) => mirrored === true),
      needInternet: count(({ mirrored }) => mirrored === false),
      unknown: count(({ mirrored }) => mirrored === null),
      wouldChange: count(
        ({ becomes, runs }) => becomes !== null && runs.some((image) => image !== becomes),
      ),
    },
  }
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
