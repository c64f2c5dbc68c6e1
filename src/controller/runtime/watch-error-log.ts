/** Logs the errors of a loop's watches, each problem once. */
import { hasStatus } from '../../kube/error.ts'
import { nameOf, type ResourceRef } from '../../kube/object.ts'
import type { Logger } from '../../telemetry/log.ts'

export type LogWatchError = (error: unknown, isRepeated: boolean, collection: ResourceRef) => void

/**
 * Returns a function that logs the errors of a loop's watches. A missing right is logged once, with what grants it, because
 * the watches of a loop lack their rights together. Other errors are logged when they begin.
 */
export function createWatchErrorLog(
  log: Pick<Logger, 'warn' | 'debug'>,
  fix: string,
): LogWatchError {
  let isForbidden = false
  return (error, isRepeated, collection) => {
    const fields = { collection: nameOf(collection), problem: String(error) }
    if (!hasStatus(error, 403)) {
      log[isRepeated ? 'debug' : 'warn'](fields, 'watch failed')
      return
    }
    log[isForbidden || isRepeated ? 'debug' : 'warn']({ ...fields, fix }, 'right missing')
    isForbidden = true
  }
}
