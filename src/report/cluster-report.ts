/** For each image that runs in a cluster: where it comes from, whether a mirror has it, and what Berth would make of it. */
import pLimit from 'p-limit'
import type { Config } from '../config/config.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { formatReference } from '../decision/reference/reference.ts'
import { describeResolution } from '../decision/resolve/describe-resolution.ts'
import type { ResolveDependencies } from '../decision/resolve/probe-candidate.ts'
import { isLeft, type Resolution } from '../decision/resolve/resolution.ts'
import { resolve, resolveNeverPulled } from '../decision/resolve/resolve.ts'
import type { NamespaceMode, PodImage, RunningImage } from './inventory.ts'

/** One image of one namespace. The names are the contract of `berth report -o json`. */
export interface ReportLine extends RunningImage {
  /** Whether all of its pods run it from a mirror. */
  readonly onMirror: boolean
  /** Whether a mirror of the table has it, or nothing pulls it, so that it works offline. Null if a mirror did not answer. */
  readonly mirrored: boolean | null
  /** The image of a new pod; null if Berth does not change pods of the namespace. */
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

type Mode = NamespaceMode['mode']

/** Decides each image as the webhook does, and counts. Failures of registries are part of the result. */
export async function buildReport(
  dependencies: ReportDependencies,
  running: readonly PodImage[],
  modes: ReadonlyMap<string, NamespaceMode>,
): Promise<Report> {
  const limit = pLimit(dependencies.parallelImages)
  const lines = await Promise.all(
    running.map((each) =>
      limit(() => reportLine(dependencies, each, modes.get(each.namespace)?.mode ?? 'enforce')),
    ),
  )
  return summarize(lines)
}

async function reportLine(
  { config, resolve: resolveDependencies, imageTimeoutMs }: ReportDependencies,
  { pod, isNeverPulled, ...running }: PodImage,
  mode: Mode,
): Promise<ReportLine> {
  const isMirror = (image: string) => {
    const parsed = parseReference(image)
    return parsed.ok && config.registries.get(parsed.reference.domain)?.mirror === true
  }
  const base = { ...running, onMirror: running.runs.every(isMirror) }
  const parsed = parseReference(running.image)
  if (!parsed.ok)
    return { ...base, mirrored: false, becomes: null, left: false, row: null, why: parsed.message }
  const resolution = isNeverPulled
    ? resolveNeverPulled(parsed.reference)
    : await resolve(resolveDependencies, config, {
        reference: parsed.reference,
        pod,
        signal: AbortSignal.timeout(imageTimeoutMs),
      })
  const { changed, chosen, row } = resolution
  return {
    ...base,
    mirrored: isNeverPulled || isMirrored(resolution, isMirror),
    becomes: mode === 'enforce' ? (changed ? formatReference(chosen) : running.image) : null,
    left: isLeft(resolution),
    row,
    why: reasonFor(resolution, mode),
  }
}

function isMirrored(
  { chosen, reason, steps }: Resolution,
  isMirror: (image: string) => boolean,
): boolean | null {
  if (isMirror(formatReference(chosen)) && reason !== 'none-found') return true
  const mirrors = steps.filter(({ candidate }) => isMirror(candidate.image))
  const isSilent = mirrors.some(({ outcome }) =>
    ['unreachable', 'timeout', 'skipped', 'limited'].includes(outcome),
  )
  return isSilent ? null : false
}

function reasonFor(resolution: Resolution, mode: Mode): string {
  if (mode === 'out') return 'the namespace is excluded'
  const description = describeResolution(resolution)
  return mode === 'observe' ? `in observe mode: ${description}` : description
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
