/** A timeout that is fair to data that has arrived in time. */

/**
 * Calls `expire` after some milliseconds, but not before the event loop has read what has arrived on sockets until then. After
 * work that kept the loop busy, Node.js runs its timers first, and a response that was in time would count as late. Returns a
 * function that stops the timeout.
 */
export function startTimeout(milliseconds: number, expire: () => void): () => void {
  let immediate: NodeJS.Immediate | undefined
  const timer = setTimeout(() => {
    immediate = setImmediate(expire)
  }, milliseconds)
  return () => {
    clearTimeout(timer)
    clearImmediate(immediate)
  }
}
