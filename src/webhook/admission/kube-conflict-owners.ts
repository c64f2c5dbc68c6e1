/** Follows the ConfigMap with the owners whose pods Berth leaves unchanged (`conflicts: leave`). */
import {
  conflictOwnersKey,
  conflictOwnersName,
  createConflictTest,
  type IsConflictPod,
  readConflictOwners,
} from '../../decision/pod/conflict-owners.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import { type Informer, type InformerTimes, startInformer } from '../../kube/informer.ts'
import type { KubeObject } from '../../kube/object.ts'
import { createRefusals, type Refusals } from '../../kube/refusals.ts'
import type { Logger } from '../../telemetry/log.ts'
import type { ConflictOwners } from './conflict-owners.ts'

export interface ConflictOwnersOptions {
  readonly api: KubeApi
  /** Berth's own namespace. */
  readonly namespace: string
  readonly log: Pick<Logger, 'info' | 'warn' | 'debug'>
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Times that tests shorten. */
  readonly times?: Partial<InformerTimes>
}

interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>
}

const missingListFix =
  'add the component leave-conflicts (Helm: controller.leaveConflicts=true), or set conflicts to report'

export function createConflictOwners(options: ConflictOwnersOptions): ConflictOwners {
  const { namespace, now } = options
  const refusals = createRefusals()('image-conflicts')
  let informer: Informer<IsConflictPod> | null = null
  let stop = new AbortController()
  return {
    includes(pod, podNamespace) {
      const test = informer?.items.get(`${namespace}/${conflictOwnersName}`)
      return test !== undefined && test(pod, podNamespace, now())
    },
    follow(isOn) {
      if (isOn === (informer !== null)) return
      stop.abort()
      stop = new AbortController()
      informer = isOn ? startListInformer(options, refusals, stop.signal) : null
    },
  }
}

function startListInformer(
  { api, namespace, log, times = {} }: ConflictOwnersOptions,
  refusals: Refusals,
  signal: AbortSignal,
): Informer<IsConflictPod> {
  const collection = `configmaps ${namespace}/${conflictOwnersName}`
  const informer = startInformer<ConfigMap, IsConflictPod>(api, {
    ref: { apiVersion: 'v1', resource: 'configmaps', namespace },
    selection: { fieldSelector: `metadata.name=${conflictOwnersName}` },
    transform: ({ data }) => {
      const owners = readConflictOwners(data?.[conflictOwnersKey])
      log.info({ owners: owners.length }, 'owners in conflict read')
      return createConflictTest(owners)
    },
    onError: (error, isRepeated) => {
      const isForbidden = hasStatus(error, 403)
      const fields = { collection, problem: String(error) }
      const level = isRepeated ? 'debug' : 'warn'
      if (isForbidden) log[level]({ ...fields, fix: missingListFix }, 'right missing')
      else log[level](fields, 'watch failed')
    },
    refusals,
    times,
    signal,
  })
  const warnIfMissing = () => {
    if (informer.items.size === 0)
      log.warn({ collection, fix: missingListFix }, 'list of owners in conflict missing')
  }
  informer.synced.then(warnIfMissing, () => undefined)
  return informer
}
