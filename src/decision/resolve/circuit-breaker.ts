/**
 * A circuit breaker for each registry, shared by all its repositories: a registry that is down is not asked by every pod,
 * and one that says "later" is left alone until then.
 */
import { QueryTimeoutError } from './budget.ts'
import type { ManifestAnswer, ManifestSource } from './manifest-source.ts'

export type CircuitState = 'closed' | 'open' | 'half-open'

export interface CircuitBreakers {
  /** The same source, with registries whose circuit is open answered for as `skipped`. */
  guard(source: ManifestSource): ManifestSource
  /** Every registry that has been asked, for metrics. */
  states(): ReadonlyMap<string, CircuitState>
}

/** One slow answer is no outage; five in a row are what a rolling restart of a registry does not produce. */
const failuresToOpen = 5

/** Long enough to spare a registry that comes back, short enough that pods find it again soon. */
const openMs = 10_000

/** A registry may ask for hours (Docker Hub's window is six); after ten minutes one question costs nobody anything. */
const maxRetryAfterMs = 600_000

interface Circuit {
  failures: number
  openUntil: number
  /** True while the one question of the half-open state is under way. */
  probing: boolean
  reason: string
}

/** Makes the breakers of one configuration. `now` in milliseconds. */
export function createCircuitBreakers(now: () => number): CircuitBreakers {
  const circuits = new Map<string, Circuit>()

  function circuitOf(host: string): Circuit {
    const known = circuits.get(host)
    if (known !== undefined) return known
    const made: Circuit = { failures: 0, openUntil: 0, probing: false, reason: '' }
    circuits.set(host, made)
    return made
  }

  async function ask(
    host: string,
    send: (signal: AbortSignal) => Promise<ManifestAnswer>,
    signal: AbortSignal,
  ): Promise<ManifestAnswer> {
    const circuit = circuitOf(host)
    const isOpen = circuit.openUntil > 0
    if (isOpen && (circuit.probing || now() < circuit.openUntil)) {
      return { outcome: 'skipped', detail: `not asked again yet, because it was ${circuit.reason}` }
    }
    if (isOpen) circuit.probing = true
    try {
      const answer = await send(signal)
      if (!wasDropped(answer, signal)) settle(circuit, answer)
      return answer
    } finally {
      if (isOpen) circuit.probing = false
    }
  }

  function settle(circuit: Circuit, answer: ManifestAnswer): void {
    if (answer.outcome === 'limited') {
      const wait = Math.min(answer.retryAfterMs ?? openMs, maxRetryAfterMs)
      open(circuit, answer.outcome, Math.max(wait, openMs))
    } else if (answer.outcome === 'unreachable' || answer.outcome === 'timeout') {
      circuit.failures += 1
      if (circuit.failures >= failuresToOpen || circuit.openUntil > 0)
        open(
          circuit,
          answer.outcome,
          Math.max(openMs, Math.min(answer.retryAfterMs ?? 0, maxRetryAfterMs)),
        )
    } else {
      circuit.failures = 0
      circuit.openUntil = 0
    }
  }

  function open(circuit: Circuit, reason: string, durationMs: number): void {
    circuit.openUntil = now() + durationMs
    circuit.reason = reason
  }

  return {
    guard: (source) => ({
      isListed: (host) => source.isListed(host),
      isProbed: (host) => source.isProbed(host),
      prepare: async (question) => {
        const prepared = await source.prepare(question)
        return {
          credentialIdentity: prepared.credentialIdentity,
          send: (signal) => ask(question.host, (each) => prepared.send(each), signal),
        }
      },
    }),
    states: () => new Map([...circuits].map(([host, circuit]) => [host, stateOf(circuit)])),
  }

  function stateOf({ openUntil }: Circuit): CircuitState {
    if (openUntil === 0) return 'closed'
    return now() < openUntil ? 'open' : 'half-open'
  }
}

/** A question that nobody wanted answered any more says nothing about the registry; one that used up its own time does. */
function wasDropped({ outcome }: ManifestAnswer, signal: AbortSignal): boolean {
  return outcome === 'timeout' && signal.aborted && !(signal.reason instanceof QueryTimeoutError)
}
