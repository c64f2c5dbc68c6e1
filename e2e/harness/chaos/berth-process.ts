/** The processes of Berth in the pods of an installation, and signals for them. */
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import type { KubeApi } from '../../../src/kube/api-client.ts'
import type { KubeObject } from '../../../src/kube/object.ts'
import { containerProcesses } from '../local-cluster/containers.ts'
import { namespace } from '../overlay.ts'
import type { ContainerStatus } from '../pods.ts'

export type BerthProcess = {
  pod: string
  uid: string
  address: string
  isReady: boolean
  /** Its id, without the name of the runtime. Undefined while there is none. */
  container: string | undefined
  status: ContainerStatus | undefined
}

export type Component = 'webhook' | 'controller'

type PodOfBerth = KubeObject & {
  status: {
    podIP?: string
    conditions?: { type: string; status: string }[]
    containerStatuses?: ContainerStatus[]
  }
}

/** Returns the pods of a component that are not terminating, ordered by name. */
export async function processesOf(api: KubeApi, component: Component): Promise<BerthProcess[]> {
  const labelSelector = `app.kubernetes.io/name=berth,app.kubernetes.io/component=${component}`
  const pods = { apiVersion: 'v1', resource: 'pods', namespace }
  const found: BerthProcess[] = []
  for await (const { metadata, status } of api.list<PodOfBerth>(pods, { labelSelector })) {
    if (metadata.deletionTimestamp !== undefined) continue
    const container = status.containerStatuses?.[0]
    found.push({
      pod: metadata.name ?? '',
      uid: metadata.uid ?? '',
      address: status.podIP ?? '',
      isReady: (status.conditions ?? []).some(
        (each) => each.type === 'Ready' && each.status === 'True',
      ),
      container: container?.containerID?.replace('containerd://', ''),
      status: container,
    })
  }
  return found.sort((a, b) => (a.pod < b.pod ? -1 : 1))
}

/** Sends a signal to the process of a pod. Does nothing if it has exited. */
export function signalProcess(berth: BerthProcess, signal: NodeJS.Signals): void {
  const pid = pidOf(berth)
  if (pid !== undefined) process.kill(pid, signal)
}

/** Whether a process has a handler for a signal (proc_pid_status(5), SigCgt). */
export function catchesSignal(berth: BerthProcess, signal: NodeJS.Signals): boolean {
  const status = readFileSync(`/proc/${pidOf(berth)}/status`, 'utf8')
  const caught = BigInt(`0x${/^SigCgt:\s*(\w+)$/m.exec(status)?.[1] ?? '0'}`)
  return ((caught >> BigInt(constants.signals[signal] - 1)) & 1n) === 1n
}

/** Returns the pid of the process in a pod; undefined if it has exited. */
export function pidOf({ container = '' }: BerthProcess): number | undefined {
  try {
    return containerProcesses(container)[0]
  } catch {
    return undefined
  }
}
