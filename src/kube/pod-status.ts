/** Reads the status of a pod. Reads raw objects. Pure. */
import { member, objectsMember } from '../json/json.ts'
import type { KubeObject } from './object.ts'

/** Returns true for a pod in a phase in which it never runs again. */
export function hasEnded(pod: KubeObject): boolean {
  const phase = member(member(pod, 'status'), 'phase')
  return phase === 'Succeeded' || phase === 'Failed'
}

/** Returns true if the pod's condition Ready holds. */
export function isReady(pod: KubeObject): boolean {
  return objectsMember(member(pod, 'status'), 'conditions').some(
    ({ type, status }) => type === 'Ready' && status === 'True',
  )
}
