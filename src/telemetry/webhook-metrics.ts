/** The Prometheus metrics of the webhook. Label values come from closed lists and from the config, never from a pod. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { canonicalHost } from '../decision/fallback/registry-aliases.ts'
import type { CircuitState } from '../decision/resolve/circuit-breaker.ts'
import type { Resolution } from '../decision/resolve/resolution.ts'
import type { RevisionLookupResult } from '../decision/pod/decide-by-revision.ts'
import { createProcessMetrics, type ProcessMetricsOptions } from './process-metrics.ts'

export interface WebhookMetrics extends AdmissionMetrics, RegistryMetrics, CertificateMetrics {
  readonly registry: Registry
  /** Counts a request that got an HTTP error. */
  refused(status: number): void
  configLoaded(isInForce: boolean, generation: number): void
  /** Counts an image that needs a digest, of a pod with a revision. */
  revisionLookedUp(result: RevisionLookupResult): void
}

interface AdmissionMetrics {
  admitted(admission: CountedAdmission, duration: AdmissionDuration): void
}

interface RegistryMetrics {
  /** Records how long a registry took to answer a request, or to fail. */
  registryAnswered(host: string, seconds: number): void
}

interface CertificateMetrics {
  certificateLoaded(expires: Date): void
  certificateRejected(): void
}

const outcomes = ['error', 'denied', 'patched', 'unchanged'] as const

/** `error`: a bug or a missed deadline, and the pod was admitted unchanged. */
export type AdmissionOutcome = (typeof outcomes)[number]

export interface CountedAdmission {
  readonly operation: string
  readonly outcome: AdmissionOutcome
  readonly mode: 'enforce' | 'observe'
  readonly resolutions: readonly Resolution[]
  /** Image fields that were decided by their row alone, because the pod has too many. */
  readonly fieldsOverLimit: number
}

export interface AdmissionDuration {
  readonly seconds: number
  /** False when nothing had to be asked: the time is Berth's own. */
  readonly waited: boolean
}

const revisionResults: readonly RevisionLookupResult[] = [
  'memory',
  'list',
  'none',
  'gone',
  'forbidden',
  'failed',
]

/** The API server's own histogram for webhooks starts at 5 ms; an answer from the cache takes less than one. */
const durationBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

export interface WebhookMetricsOptions extends ProcessMetricsOptions {
  /** True for hosts of the config; other hosts get the label `other`. */
  readonly isListed: (host: string) => boolean
  readonly circuits: () => ReadonlyMap<string, CircuitState>
}

/** Creates the registry of one webhook process. */
export function createWebhookMetrics({
  isListed,
  circuits,
  droppedLogLines,
}: WebhookMetricsOptions): WebhookMetrics {
  const registry = new Registry()
  const registers = [registry]
  // One label for all spellings of a host: a pod chooses how it writes it.
  const labelOf = (host: string) => (isListed(host) ? canonicalHost(host) : 'other')
  const { configLoaded } = createProcessMetrics(registry, { droppedLogLines })
  const generation = new Gauge({
    name: 'berth_config_generation',
    help: 'How many times a valid config has been loaded since the start.',
    registers,
  })
  const refusals = new Counter({
    name: 'berth_requests_refused_total',
    help: 'HTTP requests that were answered with an error instead of an AdmissionReview, by status.',
    labelNames: ['status'] as const,
    registers,
  })
  const revisionLookups = new Counter({
    name: 'berth_revision_lookups_total',
    help: 'Images to pin in pods that have a revision, by how Berth looked up the digest of the other pods of that revision.',
    labelNames: ['result'] as const,
    registers,
  })
  for (const result of revisionResults) revisionLookups.inc({ result }, 0)
  // A counter must exist before its first event: `increase` counts from the first sample that it sees.
  for (const status of ['400', '413', '503']) refusals.inc({ status }, 0)
  return {
    registry,
    ...createAdmissionMetrics(registry, labelOf),
    ...createRegistryMetrics(registry, { labelOf, circuits }),
    ...createCertificateMetrics(registry),
    revisionLookedUp: (result) => revisionLookups.inc({ result }),
    refused: (status) => refusals.inc({ status: String(status) }),
    configLoaded: (isInForce, number) => {
      configLoaded(isInForce)
      generation.set(number)
    },
  }
}

/** Resolutions between two scrapes. They stay in memory until they are counted. */
const maxUncounted = 1_000

function createAdmissionMetrics(
  registry: Registry,
  labelOf: (host: string) => string,
): AdmissionMetrics {
  const registers = [registry]
  const admissions = new Counter({
    name: 'berth_admissions_total',
    help: 'Admission reviews answered, by what became of the pod.',
    labelNames: ['operation', 'outcome', 'mode'] as const,
    registers,
  })
  for (const outcome of outcomes)
    for (const mode of ['enforce', 'observe'])
      for (const operation of ['CREATE', 'UPDATE']) admissions.inc({ operation, outcome, mode }, 0)
  const duration = new Histogram({
    name: 'berth_admission_duration_seconds',
    help: 'Time from the complete request to the answer; waited: whether a registry or the API server had to be asked.',
    labelNames: ['waited'] as const,
    buckets: durationBuckets,
    registers,
  })
  const durationOf = {
    waited: duration.labels({ waited: 'true' }),
    immediate: duration.labels({ waited: 'false' }),
  }
  const images = new Counter({
    name: 'berth_images_total',
    help: 'Images decided, by the registry they are pulled from, its kind, and the reason.',
    labelNames: ['registry', 'kind', 'reason', 'pinned'] as const,
    registers,
    collect: () => countAll(),
  })
  const candidates = new Counter({
    name: 'berth_candidates_total',
    help: 'Candidates probed or looked up in the cache, by registry and outcome.',
    labelNames: ['registry', 'outcome'] as const,
    registers,
    collect: () => countAll(),
  })
  const overLimit = new Counter({
    name: 'berth_image_fields_over_limit_total',
    help: 'Image fields that were decided by their row alone, without a probe, because their pod has too many.',
    registers,
  })
  const count = (resolution: Resolution, times: number) => {
    const { chosen, kind, reason, pinned, steps } = resolution
    images.inc({ registry: labelOf(chosen.domain), kind, reason, pinned: String(pinned) }, times)
    for (const { candidate, outcome } of steps) {
      if (outcome === 'unasked' || candidate.reference === null) continue
      candidates.inc({ registry: labelOf(candidate.reference.domain), outcome }, times)
    }
  }
  /** Pods share resolutions, and finding the labels of one costs more than the rest of counting. */
  const uncounted = new Map<Resolution, number>()
  const countAll = () => {
    for (const [resolution, times] of uncounted) count(resolution, times)
    uncounted.clear()
  }
  return {
    admitted: ({ operation, outcome, mode, resolutions, fieldsOverLimit }, { seconds, waited }) => {
      overLimit.inc(fieldsOverLimit)
      admissions.inc({ operation, outcome, mode })
      durationOf[waited ? 'waited' : 'immediate'].observe(seconds)
      for (const resolution of resolutions)
        uncounted.set(resolution, (uncounted.get(resolution) ?? 0) + 1)
      if (uncounted.size > maxUncounted) countAll()
    },
  }
}

function createRegistryMetrics(
  registry: Registry,
  {
    labelOf,
    circuits,
  }: {
    readonly labelOf: (host: string) => string
    readonly circuits: WebhookMetricsOptions['circuits']
  },
): RegistryMetrics {
  const registers = [registry]
  const requests = new Histogram({
    name: 'berth_registry_probe_duration_seconds',
    help: 'Duration of requests to registries; answers from the cache are not counted.',
    labelNames: ['registry'] as const,
    buckets: durationBuckets,
    registers,
  })
  const open = new Gauge({
    name: 'berth_registry_circuit_open',
    help: '1 while a registry is not asked because it failed or sent 429, else 0.',
    labelNames: ['registry'] as const,
    registers,
    collect: () => {
      open.reset()
      for (const [host, state] of circuits())
        open.set({ registry: host }, state === 'closed' ? 0 : 1)
    },
  })
  return {
    registryAnswered: (host, seconds) => requests.observe({ registry: labelOf(host) }, seconds),
  }
}

function createCertificateMetrics(registry: Registry): CertificateMetrics {
  const registers = [registry]
  const expiry = new Gauge({
    name: 'berth_certificate_expiry_timestamp_seconds',
    help: 'When the serving certificate in use expires, in seconds since 1970.',
    registers,
  })
  const failures = new Counter({
    name: 'berth_certificate_reload_failures_total',
    help: 'Times that the certificate files changed to an invalid pair; the previous pair stays in use.',
    registers,
  })
  return {
    certificateLoaded: (expires) => expiry.set(expires.getTime() / 1000),
    certificateRejected: () => failures.inc(),
  }
}
