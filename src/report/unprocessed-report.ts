/** Lists the pods that Berth has not processed and whose images would change in a new pod. */
import pLimit from 'p-limit'
import type { FallbackTable } from '../decision/fallback/table.ts'
import { groupKind } from '../decision/pod/pod-context.ts'
import type { Decide } from '../decision/resolve/decision-cache.ts'
import type { KubeApi } from '../kube/api-client.ts'
import type { FindAdmissionMode } from './admission-mode.ts'
import { listPods } from './inventory.ts'
import {
  findMovedImages,
  readUnrecordedPod,
  restartObstacle,
  type UnrecordedPod,
} from './unprocessed-pods.ts'

/** One image of one pod. The names are the contract of `berth report --unprocessed -o json`. */
export interface UnprocessedLine {
  readonly namespace: string
  readonly pod: string
  /** The controller that recreates the pod, as GROUP/KIND/NAME; null if it has none. */
  readonly owner: string | null
  readonly image: string
  /** The image of a new pod. */
  readonly becomes: string
  readonly row: string | null
  /** Why `unprocessed: restart` does not restart the pod; null if it may. */
  readonly obstacle: string | null
}

export interface UnprocessedReport {
  readonly images: readonly UnprocessedLine[]
  readonly summary: {
    readonly pods: number
    readonly restartable: number
    /** Pods with an image for which a registry did not answer. */
    readonly unknown: number
  }
}

export interface UnprocessedReportOptions {
  readonly table: FallbackTable
  readonly decide: Decide
  readonly findMode: FindAdmissionMode
  /** Undefined for all namespaces. */
  readonly namespace: string | undefined
  /** Milliseconds for the images of one pod. */
  readonly timeoutMs: number
  /** Pods decided at once. */
  readonly parallelPods: number
}

/** Decides the images of each pod without records as for a new pod. Throws KubeError. */
export async function buildUnprocessedReport(
  api: KubeApi,
  options: UnprocessedReportOptions,
): Promise<UnprocessedReport> {
  const { table, findMode, namespace, parallelPods } = options
  const pods: UnrecordedPod[] = []
  for await (const pod of listPods(api, namespace)) {
    const unrecorded = readUnrecordedPod(table, pod)
    if (unrecorded !== null && findMode(pod).mode === 'enforce') pods.push(unrecorded)
  }
  const limit = pLimit(parallelPods)
  const results = await Promise.all(pods.map((pod) => limit(() => reportPod(options, pod))))
  const unprocessed = results.filter(({ lines }) => lines.length > 0)
  const count = (test: (line: UnprocessedLine) => boolean) =>
    unprocessed.filter(({ lines }) => lines.every(test)).length
  return {
    images: unprocessed.flatMap(({ lines }) => lines),
    summary: {
      pods: unprocessed.length,
      restartable: count(({ obstacle }) => obstacle === null),
      unknown: results.filter(({ isUnknown }) => isUnknown).length,
    },
  }
}

async function reportPod(
  { decide, timeoutMs }: UnprocessedReportOptions,
  pod: UnrecordedPod,
): Promise<{ readonly lines: readonly UnprocessedLine[]; readonly isUnknown: boolean }> {
  const images = await findMovedImages(decide, pod, AbortSignal.timeout(timeoutMs))
  const { namespace, name, owner } = pod
  const ownerName =
    owner === null ? null : `${groupKind(owner.apiVersion, owner.kind)}/${owner.name}`
  const obstacle = restartObstacle(owner) ?? images.obstacle
  const lines = images.moved.map((moved) => ({
    namespace,
    pod: name,
    owner: ownerName,
    ...moved,
    obstacle,
  }))
  return { lines, isUnknown: images.isUnknown }
}
