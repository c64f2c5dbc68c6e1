/** Circuit breakers: Berth stops asking a registry that is down, and waits as long as a registry that limits requests says. */
import { QueryTimeoutError } from './budget.ts'
import {
  type Circuit,
  createCircuits,
  openCircuits,
  type QueryScope,
  recordAnswer,
} from './circuits.ts'
import type { ManifestAnswer, ManifestSource } from './manifest-source.ts'

export type CircuitState = 'closed' | 'open' | 'half-open'

export interface CircuitBreakers {
  /** Returns the same source, which answers `skipped` for queries whose circuit is open. */
  guard(source: ManifestSource): ManifestSource
  /** Returns the state of every registry that was asked, for metrics. */
  states(): ReadonlyMap<string, CircuitState>
}

/** Returns circuit breakers, all closed. `now` is in milliseconds of a monotonic clock. */
export function createCircuitBreakers(now: () => number): CircuitBreakers {
  const circuits = createCircuits()

  async function sendThrough(
    query: QueryScope,
    send: (signal: AbortSignal) => Promise<ManifestAnswer>,
    signal: AbortSignal,
  ): Promise<ManifestAnswer> {
    const open = openCircuits(circuits, query)
    const blocking = open.find(({ isProbing, openUntil }) => isProbing || now() < openUntil)
    if (blocking !== undefined)
      return {
        outcome: 'skipped',
        detail: `not asked again yet, because it was ${blocking.openedBy}`,
      }
    for (const circuit of open) circuit.isProbing = true
    try {
      const answer = await send(signal)
      if (!wasCancelled(answer, signal)) recordAnswer(circuits, query, answer, now())
      return answer
    } finally {
      for (const circuit of open) circuit.isProbing = false
    }
  }

  function stateOf({ openUntil }: Circuit): CircuitState {
    if (openUntil === 0) return 'closed'
    return now() < openUntil ? 'open' : 'half-open'
  }

  return {
    guard: (source) => ({
      isListed: (host) => source.isListed(host),
      isProbed: (host) => source.isProbed(host),
      prepare: async (query) => {
        const prepared = await source.prepare(query)
        return {
          credentialIdentity: prepared.credentialIdentity,
          send: (signal) => sendThrough(query, (each) => prepared.send(each), signal),
        }
      },
    }),
    states: () =>
      new Map([...circuits.registries].map(([host, circuit]) => [host, stateOf(circuit)])),
  }
}

/** A query that was cancelled because its callers have gone says nothing about the registry. A timeout does. */
function wasCancelled({ outcome }: ManifestAnswer, signal: AbortSignal): boolean {
  return outcome === 'timeout' && signal.aborted && !(signal.reason instanceof QueryTimeoutError)
}
