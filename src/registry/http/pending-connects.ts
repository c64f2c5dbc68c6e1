/** Watches the connections to a registry that are being opened, to tell one that drops packets from one that responds slowly. */
import type { buildConnector } from 'undici'

export interface PendingConnects {
  readonly connect: buildConnector.connector
  /** True if a connection has been opening for so long that the registry is probably down. */
  isStuck(): boolean
}

/** The name, TCP and TLS take four round trips: less than a second to the other side of the world. */
const stuckMs = 1_000

/** Watches the connections to one origin that a connector opens. */
export function watchConnects(
  connector: buildConnector.connector,
  watchedOrigin: string,
): PendingConnects {
  /** When each one began. */
  const pending = new Set<{ readonly since: number }>()
  return {
    connect: (target, callback) => {
      const origin = `${target.protocol}//${target.host ?? target.hostname}`
      const begun = { since: performance.now() }
      if (origin === watchedOrigin) pending.add(begun)
      connector(target, (...result) => {
        pending.delete(begun)
        callback(...result)
      })
    },
    isStuck: () => {
      const [oldest] = pending
      return oldest !== undefined && performance.now() - oldest.since >= stuckMs
    },
  }
}
