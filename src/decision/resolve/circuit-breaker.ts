/**
 * Circuit breakers, one for each registry: Berth stops asking a registry that is down, and waits as long as a registry
 * that limits requests says.
 */
import { QueryTimeoutError } from './budget.ts'
import type { ManifestAnswer, ManifestSource } from './manifest-source.ts'

export type CircuitState = 'closed' | 'open' | 'half-open'

export interface CircuitBreakers {
  /** Returns the same source, which answers `skipped` for registries whose circuit is open. */
  guard(source: ManifestSource): ManifestSource
  /** Returns the state of every registry that was asked, for metrics. */
  states(): ReadonlyMap<string, CircuitState>
}

/** One slow answer is not an outage. A rolling restart of a registry does not cause five failures in a row. */
const failuresToOpen = 5

/** Long enough to spare a registry that restarts, short enough that pods soon use it again. */
const openMs = 10_000

/** A registry may ask for hours (the window of Docker Hub is six). One query every ten minutes does no harm. */
const maxRetryAfterMs = 600_000

interface Circuit {
  failures: number
  /** Milliseconds of the clock; 0 while the circuit is closed. */
  openUntil: number
  /** True during the one query of the half-open state. */
  isProbing: boolean
  /** The outcome that opened the circuit. */
  openedBy: string
}

/** Returns circuit breakers, all closed. `now` is in milliseconds of a monotonic clock. */
export function createCircuitBreakers(now: () => number): CircuitBreakers {
  const circuits = new Map<string, Circuit>()

  function circuitOf(host: string): Circuit {
    const known = circuits.get(host)
    if (known !== undefined) return known
    const created: Circuit = { failures: 0, openUntil: 0, isProbing: false, openedBy: '' }
    circuits.set(host, created)
    return created
  }

  async function sendThrough(
    circuit: Circuit,
    send: (signal: AbortSignal) => Promise<ManifestAnswer>,
    signal: AbortSignal,
  ): Promise<ManifestAnswer> {
    const isOpen = circuit.openUntil > 0
    if (isOpen && (circuit.isProbing || now() < circuit.openUntil))
      return {
        outcome: 'skipped',
        detail: `not asked again yet, because it was ${circuit.openedBy}`,
      }
    if (isOpen) circuit.isProbing = true
    try {
      const answer = await send(signal)
      if (!wasCancelled(answer, signal)) record(circuit, answer)
      return answer
    } finally {
      if (isOpen) circuit.isProbing = false
    }
  }

  function record(circuit: Circuit, answer: ManifestAnswer): void {
    const { outcome } = answer
    if (outcome === 'limited') {
      open(circuit, outcome, answer.retryAfterMs ?? 0)
    } else if (outcome === 'unreachable' || outcome === 'timeout') {
      circuit.failures += 1
      if (circuit.failures >= failuresToOpen || circuit.openUntil > 0)
        open(circuit, outcome, answer.retryAfterMs ?? 0)
    } else {
      circuit.failures = 0
      circuit.openUntil = 0
    }
  }

  /** Opens the circuit for the time that the registry asks for, from 10 seconds to 10 minutes. */
  function open(circuit: Circuit, outcome: string, retryAfterMs: number): void {
    circuit.openUntil = now() + Math.max(openMs, Math.min(retryAfterMs, maxRetryAfterMs))
    circuit.openedBy = outcome
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
          send: (signal) =>
            sendThrough(circuitOf(query.host), (each) => prepared.send(each), signal),
        }
      },
    }),
    states: () => new Map([...circuits].map(([host, circuit]) => [host, stateOf(circuit)])),
  }
}

/** A query that was cancelled because its callers have gone says nothing about the registry. A timeout does. */
function wasCancelled({ outcome }: ManifestAnswer, signal: AbortSignal): boolean {
  return outcome === 'timeout' && signal.aborted && !(signal.reason instanceof QueryTimeoutError)
}
