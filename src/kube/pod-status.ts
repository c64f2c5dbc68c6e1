/** Reads the status of a pod. Reads raw objects. Pure. */
import { member } from '../json/json.ts'
import type { KubeObject } from './object.ts'

/** Returns true for a pod in a phase in which it never runs again. */
export function hasEnded(pod: KubeObject): boolean {
  const phase = member(member(pod, 'status'), 'phase')
  return phase === 'Succeeded' || phase === 'Failed'
}
