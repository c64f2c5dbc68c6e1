/** Remembers what each registry last answered. */
import type { ResolveDependencies } from '../decision/resolve/probe-candidate.ts'
import type { Cause } from '../diagnose/rules/table.ts'
import type { Finding, RegistryHealth, RegistryState } from './wire.ts'

export interface HealthMemory {
  /** Returns the same functions, and remembers what they answer. */
  observe(resolve: ResolveDependencies): ResolveDependencies
  of(host: string): Pick<RegistryHealth, 'state' | 'detail' | 'at'>
}

const states: Readonly<Record<string, RegistryState>> = {
  unreachable: 'dead',
  timeout: 'dead',
  limited: 'limited',
}

/** Only hosts of the config are asked, so there are few. */
export function createHealthMemory(now: () => number): HealthMemory {
  const answers = new Map<string, Pick<RegistryHealth, 'state' | 'detail' | 'at'>>()
  return {
    observe: (resolve) => ({
      ...resolve,
      queryManifest: async (query, signal) => {
        const answer = await resolve.queryManifest(query, signal)
        // The circuit is open: nothing was asked.
        if (answer.outcome !== 'skipped')
          answers.set(query.host, {
            state: states[answer.outcome] ?? 'ok',
            detail: answer.outcome in states && 'detail' in answer ? answer.detail : null,
            at: now(),
          })
        return answer
      },
    }),
    of: (host) => answers.get(host) ?? { state: 'unknown', detail: null, at: null },
  }
}

/** Causes of pull failures that affect every image of a registry. */
const causes: Readonly<Partial<Record<string, RegistryState>>> = {
  'rate-limited': 'limited',
  dns: 'dead',
  'connection-refused': 'dead',
  'connection-cut': 'dead',
  'server-error': 'dead',
  timeout: 'dead',
} satisfies Partial<Record<Cause, RegistryState>>

/** Returns the state of a registry according to the pull failures of nodes; null if none is about the registry. */
export function healthByNodes(
  host: string,
  findings: readonly Finding[],
): Pick<RegistryHealth, 'state' | 'detail' | 'at'> | null {
  for (const { registry, cause, means, since } of findings) {
    const state = causes[cause]
    if (registry === host && state !== undefined)
      return { state, detail: `a node: ${means}`, at: since }
  }
  return null
}
