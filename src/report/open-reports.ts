/**
 * Builds OpenReports reports: one for each namespace, with what the controller found about the images of its pods
 * (https://github.com/openreports/reports-api, openreports.io/v1alpha1). Pure.
 */
import { createHash } from 'node:crypto'
import type { KubeObject } from '../kube/object.ts'
import { contentAnnotation } from '../pull-secrets/labels.ts'
import { compareText } from '../text/compare.ts'
import { cutText } from '../text/cut-text.ts'

export type FindingKind = 'pull-failure' | 'image-at-risk' | 'unprocessed-pod' | 'unpinned-image'

/** One finding about one pod. */
export interface ImageFinding {
  readonly kind: FindingKind
  /** What was found about the image: the id of a rule of `berth diagnose`, or the kind. */
  readonly rule: string
  readonly namespace: string
  readonly pod: string
  readonly image: string
  readonly message: string
}

/** A Report, ready to be written. Its content is a hash, to compare it with the stored one. */
export interface OpenReport {
  readonly namespace: string
  readonly content: string
  readonly object: KubeObject
}

export const openReportName = 'berth-images'
export const openReportSelector = 'app.kubernetes.io/name=berth'
export const openReportsApi = 'openreports.io/v1alpha1'

/** Returns whether Berth wrote a report. Its label does not prove it: another application named berth has the same label. */
export function hasOwnerMark({ annotations }: KubeObject['metadata']): boolean {
  return annotations?.[contentAnnotation] !== undefined
}

/** With 50 results, a report has at most 100 kB. The API server stores objects of up to 1.5 MiB. */
const maxResults = 50

/** The names of pods in a result. The number of pods is always complete. */
const maxPods = 5

const maxMessageLength = 1_000

const kinds: Readonly<
  Record<FindingKind, { readonly result: 'fail' | 'warn'; readonly severity: string }>
> = {
  // prettier-ignore
  'pull-failure': { result: 'fail', severity: 'high' },
  'image-at-risk': { result: 'warn', severity: 'medium' },
  'unprocessed-pod': { result: 'warn', severity: 'low' },
  'unpinned-image': { result: 'warn', severity: 'low' },
}

/** The order in which results are kept if there are too many. */
const order = Object.keys(kinds) as readonly FindingKind[]

/** The findings of a namespace that differ only in the pod. */
interface FindingGroup {
  readonly finding: ImageFinding
  readonly pods: Set<string>
}

/** Returns the reports of all namespaces that have findings, by namespace. The same findings give the same bytes. */
export function buildOpenReports(
  findings: Iterable<ImageFinding>,
): ReadonlyMap<string, OpenReport> {
  const namespaces = new Map<string, Map<string, FindingGroup>>()
  for (const finding of findings) {
    const { kind, rule, namespace, pod, image, message } = finding
    const groups = namespaces.get(namespace) ?? new Map<string, FindingGroup>()
    namespaces.set(namespace, groups)
    const key = JSON.stringify([kind, rule, image, message])
    const group = groups.get(key) ?? { finding, pods: new Set() }
    groups.set(key, group)
    group.pods.add(pod)
  }
  return new Map(
    [...namespaces].map(([namespace, groups]) => [namespace, reportOf(namespace, groups)]),
  )
}

function reportOf(namespace: string, groups: ReadonlyMap<string, FindingGroup>): OpenReport {
  const sorted = [...groups]
    .toSorted(
      ([key, one], [otherKey, other]) =>
        order.indexOf(one.finding.kind) - order.indexOf(other.finding.kind) ||
        compareText(key, otherKey),
    )
    .map(([, group]) => group)
  const count = (wanted: string) =>
    sorted.filter(({ finding }) => kinds[finding.kind].result === wanted).length
  const left = sorted.length - maxResults
  const body = {
    source: 'berth',
    scope: { apiVersion: 'v1', kind: 'Namespace', name: namespace },
    summary: { pass: 0, fail: count('fail'), warn: count('warn'), error: 0, skip: 0 },
    results: [...sorted.slice(0, maxResults).map(resultOf), ...(left > 0 ? [cutResult(left)] : [])],
  }
  const content = createHash('sha256').update(JSON.stringify(body)).digest('hex')
  return {
    namespace,
    content,
    object: {
      apiVersion: openReportsApi,
      kind: 'Report',
      metadata: {
        name: openReportName,
        namespace,
        labels: { 'app.kubernetes.io/name': 'berth' },
        annotations: { [contentAnnotation]: content },
      },
      ...body,
    },
  }
}

function resultOf({ finding, pods }: FindingGroup): object {
  const { kind, rule, namespace, image, message } = finding
  return {
    policy: kind,
    rule,
    category: 'Container images',
    ...kinds[kind],
    scored: true,
    source: 'berth',
    message: cutText(message, maxMessageLength),
    resources: [...pods]
      .sort(compareText)
      .slice(0, maxPods)
      .map((name) => ({ apiVersion: 'v1', kind: 'Pod', name, namespace })),
    properties: { image: cutText(image), pods: String(pods.size) },
  }
}

function cutResult(left: number): object {
  return {
    policy: 'more-findings',
    category: 'Container images',
    result: 'skip',
    severity: 'info',
    source: 'berth',
    message: `${left} more findings; berth report and berth diagnose show all of them`,
  }
}
