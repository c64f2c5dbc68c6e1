/** Which parts of a pod Berth may write. */
import { imagesAnnotation } from '../../src/decision/pod/images-annotation.ts'
import { member } from '../../src/json/json.ts'

/** True for the paths that Berth may write, and for parents that it may create for them. */
export function mayChange(before: unknown, path: readonly (string | number)[]): boolean {
  const [top, list, third, fourth, fifth] = path
  const was = member(member(before, String(top)), String(list))
  if (top === 'metadata' && list === 'annotations') {
    return path.length === 2 ? !isPlain(was) : path.length === 3 && third === imagesAnnotation
  }
  if (top !== 'spec') return false
  if (list === 'imagePullSecrets') {
    return Array.isArray(was) ? path.length === 3 && Number(third) >= was.length : path.length === 2
  }
  if (list === 'volumes') {
    return (
      path.length === 5 && fourth === 'image' && ['reference', 'pullPolicy'].includes(String(fifth))
    )
  }
  return (
    ['initContainers', 'containers', 'ephemeralContainers'].includes(String(list)) &&
    path.length === 4 &&
    ['image', 'imagePullPolicy'].includes(String(fourth))
  )
}

function isPlain(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
