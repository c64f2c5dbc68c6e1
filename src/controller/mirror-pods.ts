/** Watches the pods whose images the mirror loop copies. */
import { type PodContext, podInNamespace } from '../decision/fallback/pod-context.ts'
import { type FallbackTable, mayConflict } from '../decision/fallback/table.ts'
import { readPodContext } from '../decision/pod/pod-context.ts'
import { pullFailures } from '../diagnose/pull-failure.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { startInformer } from '../kube/informer.ts'
import type { KubeObject } from '../kube/object.ts'
import type { Refusals } from '../kube/refusals.ts'
import { imagesOfPod } from '../mirror/pod-images.ts'
import type { PodImages } from '../mirror/wanted-images.ts'
import type { Logger } from '../telemetry/log.ts'
import { createWatchErrorLog } from './runtime/watch-error-log.ts'

const missingRightFix =
  'add the component mirror (Helm: controller.mirror=true), or set mirror.running to false'

interface WatchedPod extends PodImages {
  readonly pullFails: boolean
}

export interface MirrorPods {
  /** Resolves after the first list. */
  readonly synced: Promise<unknown>
  items(): readonly PodImages[]
  /** Returns the pods that were created or failed to pull since the last call. */
  takeWaiting(): readonly PodImages[]
}

export interface MirrorPodsDependencies {
  readonly api: KubeApi
  readonly refusals?: Refusals | undefined
  readonly table: FallbackTable
  /** `namespaces` is empty for all namespaces. */
  readonly settings: { readonly namespaces: readonly string[] }
  readonly log: Logger
}

export function watchMirrorPods(
  { api, table, settings, refusals, log }: MirrorPodsDependencies,
  onChange: () => void,
  signal: AbortSignal,
): MirrorPods {
  const all = { apiVersion: 'v1', resource: 'pods' }
  const refs =
    settings.namespaces.length === 0
      ? [all]
      : settings.namespaces.map((namespace) => ({ ...all, namespace }))
  const waiting = new Map<string, PodImages>()
  const logError = createWatchErrorLog(log, missingRightFix)
  const informers = refs.map((ref) =>
    startInformer<KubeObject, WatchedPod>(api, {
      ref,
      // A pod in one of these two phases never runs again.
      selection: { fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' },
      transform: (pod) => ({
        images: imagesOfPod(pod),
        pod: contextToKeep(table, pod),
        pullFails: pullFailures(pod, []).length > 0,
      }),
      onChange: (key, pod, before) => {
        if (pod === null) waiting.delete(key)
        else if (before === null || pod.pullFails) waiting.set(key, pod)
        onChange()
      },
      onError: (error, isRepeated) => logError(error, isRepeated, ref),
      refusals,
      signal,
    }),
  )
  return {
    synced: Promise.all(informers.map(({ synced }) => synced)),
    items: () => informers.flatMap(({ items }) => [...items.values()]),
    takeWaiting() {
      const taken = [...waiting.values()]
      waiting.clear()
      return taken
    },
  }
}

/** The informer keeps this for every pod, so it has labels and owners only if they decide about the pod. */
function contextToKeep(table: FallbackTable, pod: KubeObject): PodContext {
  const namespace = pod.metadata.namespace ?? ''
  const context = readPodContext(pod, namespace)
  const isNeeded = table.index.hasConditions || mayConflict(table, context)
  return isNeeded ? context : podInNamespace(namespace)
}
