/**
 * The circuits of registries, and which failures open them. What one tenant can cause with the images of its pods opens only
 * circuits of that tenant.
 */
import { LRUCache } from 'lru-cache'
import type { ManifestAnswer, ManifestQuery } from './manifest-source.ts'

/** One slow answer is not an outage. A rolling restart of a registry does not cause five failures in a row. */
const failuresToOpen = 5

/**
 * A mirror answers 502 or 429, or not in time, if the upstream of a single image does. Such answers mean that the whole
 * registry is down only if this many namespaces get them, for this many repositories, and no other answer comes between.
 */
const namespacesToOpen = 3
const repositoriesToOpen = failuresToOpen

/** Long enough to spare a registry that restarts, short enough that pods soon use it again. */
const openMs = 10_000

/** A registry may ask for hours (the window of Docker Hub is six). One query every ten minutes does no harm. */
const maxRetryAfterMs = 600_000

/** Namespaces and repositories with failures. If a tenant fills the list, the oldest circuits are forgotten, and their queries are sent again. */
const maxScopes = 2_000

export interface Circuit {
  failures: number
  /** Milliseconds of the clock; 0 while the circuit is closed. */
  openUntil: number
  /** True during the one query of the half-open state. */
  isProbing: boolean
  /** The outcome that opened the circuit. */
  openedBy: string
}

/** The circuit of a whole registry. */
export interface RegistryCircuit extends Circuit {
  /** True if the last failures were connections that failed or were not accepted in time. */
  acceptsNoConnection: boolean
  /** Which namespaces and repositories have had failures since the last other answer; as many as are needed. */
  readonly failedNamespaces: Set<string>
  readonly failedRepositories: Set<string>
  /** Which namespaces have had a 429 since the last other answer. */
  readonly limitedNamespaces: Set<string>
}

/** The part of a query that decides which circuits it goes through. */
export type QueryScope = Pick<ManifestQuery, 'host' | 'namespace' | 'repository'>

export interface Circuits {
  readonly registries: Map<string, RegistryCircuit>
  /** The circuits of a namespace on a registry, and of a namespace and a repository. Only those with failures. */
  readonly scopes: LRUCache<string, Circuit>
}

/** A failed answer with the time of the clock. */
type TimedFailure = Exclude<ManifestAnswer, { outcome: 'found' }> & { readonly at: number }

export function createCircuits(): Circuits {
  return { registries: new Map(), scopes: new LRUCache({ max: maxScopes }) }
}

/** Returns the circuits of a query that are not closed. */
export function openCircuits(circuits: Circuits, query: QueryScope): Circuit[] {
  const all = [
    registryOf(circuits, query.host),
    circuits.scopes.get(namespaceKey(query)),
    circuits.scopes.get(repositoryKey(query)),
  ]
  return all.filter((circuit) => circuit !== undefined && circuit.openUntil > 0) as Circuit[]
}

/** Opens and closes the circuits of a query by its answer. `at` is the time of the clock. */
export function recordAnswer(
  circuits: Circuits,
  query: QueryScope,
  answer: ManifestAnswer,
  at: number,
): void {
  if (answer.outcome === 'limited') recordLimit(circuits, query, { ...answer, at })
  else if (answer.outcome === 'unreachable' || answer.outcome === 'timeout')
    recordFailure(circuits, query, { ...answer, at })
  else {
    const registry = registryOf(circuits, query.host)
    registry.acceptsNoConnection = false
    registry.failures = 0
    registry.openUntil = 0
    forgetFailures(registry)
    for (const key of [namespaceKey(query), repositoryKey(query)]) circuits.scopes.delete(key)
  }
}

function recordLimit(circuits: Circuits, query: QueryScope, failure: TimedFailure): void {
  open(scopeOf(circuits, namespaceKey(query)), failure)
  const registry = registryOf(circuits, query.host)
  recordConnection(registry)
  addUpTo(namespacesToOpen, registry.limitedNamespaces, query.namespace)
  if (registry.limitedNamespaces.size >= namespacesToOpen) openRegistry(registry, failure)
}

function recordFailure(circuits: Circuits, query: QueryScope, failure: TimedFailure): void {
  const registry = registryOf(circuits, query.host)
  if (failure.hasNoConnection === true) {
    registry.acceptsNoConnection = true
    countFailure(registry, failure)
    return
  }
  recordConnection(registry)
  countFailure(scopeOf(circuits, repositoryKey(query)), failure)
  addUpTo(namespacesToOpen, registry.failedNamespaces, query.namespace)
  addUpTo(repositoriesToOpen, registry.failedRepositories, query.repository)
  const { failedNamespaces, failedRepositories } = registry
  if (failedNamespaces.size >= namespacesToOpen && failedRepositories.size >= repositoriesToOpen)
    openRegistry(registry, failure)
}

/**
 * Closes a circuit that failed connections opened, because the registry accepts connections again. Otherwise one tenant with
 * an image that fails could be the only one that asks, each time.
 */
function recordConnection(registry: RegistryCircuit): void {
  if (!registry.acceptsNoConnection || registry.openUntil === 0) return
  registry.acceptsNoConnection = false
  registry.failures = 0
  registry.openUntil = 0
}

function countFailure(circuit: Circuit, failure: TimedFailure): void {
  circuit.failures += 1
  if (circuit.failures >= failuresToOpen || circuit.openUntil > 0) open(circuit, failure)
}

/** In the half-open state one tenant's failure then neither opens the circuit again nor closes it. */
function openRegistry(registry: RegistryCircuit, failure: TimedFailure): void {
  open(registry, failure)
  forgetFailures(registry)
}

/** Opens the circuit for the time that the registry asks for, from 10 seconds to 10 minutes. */
function open(circuit: Circuit, { outcome, retryAfterMs = 0, at }: TimedFailure): void {
  circuit.openUntil = at + Math.max(openMs, Math.min(retryAfterMs, maxRetryAfterMs))
  circuit.openedBy = outcome
}

function forgetFailures(circuit: RegistryCircuit): void {
  circuit.failedNamespaces.clear()
  circuit.failedRepositories.clear()
  circuit.limitedNamespaces.clear()
}

function registryOf({ registries }: Circuits, host: string): RegistryCircuit {
  const known = registries.get(host)
  if (known !== undefined) return known
  const created = {
    ...closedCircuit(),
    acceptsNoConnection: false,
    failedNamespaces: new Set<string>(),
    failedRepositories: new Set<string>(),
    limitedNamespaces: new Set<string>(),
  }
  registries.set(host, created)
  return created
}

function scopeOf({ scopes }: Circuits, key: string): Circuit {
  const known = scopes.get(key)
  if (known !== undefined) return known
  const created = closedCircuit()
  scopes.set(key, created)
  return created
}

function closedCircuit(): Circuit {
  return { failures: 0, openUntil: 0, isProbing: false, openedBy: '' }
}

function namespaceKey({ host, namespace }: QueryScope): string {
  return JSON.stringify([host, namespace])
}

function repositoryKey({ host, namespace, repository }: QueryScope): string {
  return JSON.stringify([host, namespace, repository])
}

function addUpTo(max: number, names: Set<string>, name: string): void {
  if (names.size < max) names.add(name)
}
