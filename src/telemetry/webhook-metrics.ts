/** What Prometheus is told. Labels come from closed lists and from the configuration, never from a pod. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { CircuitState } from '../decision/resolve/circuit-breaker.ts'
import type { Resolution } from '../decision/resolve/resolution.ts'

export interface Metrics {
  readonly registry: Registry
  admitted(admission: CountedAdmission, took: Took): void
  /** A registry has answered a question, or failed to. */
  answered(host: string, seconds: number): void
  refused(status: number): void
  configLoaded(ok: boolean, generation: number): void
  certificateLoaded(expires: Date): void
  certificateFailed(): void
}

/** What became of a pod: `error` is a bug of ours, and the pod was admitted unchanged. */
export type AdmissionOutcome = (typeof outcomes)[number]

export interface CountedAdmission {
  readonly operation: string
  readonly outcome: AdmissionOutcome
  readonly mode: 'enforce' | 'observe'
  readonly resolutions: readonly Resolution[]
}

/** The API server's own histogram for webhooks starts at 5 ms; an answer from cache takes less than one. */
const durationBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

/** How long an answer took, and whether anything had to be waited for: what was not waited for is Berth's own work. */
export interface Took {
  readonly seconds: number
  readonly waited: boolean
}

export interface MetricsOptions {
  /** Keeps the label `registry` to hosts of the configuration. */
  readonly knows: (host: string) => boolean
  readonly circuits: () => ReadonlyMap<string, CircuitState>
}

/** Makes the metrics of one process. */
export function createMetrics({ knows, circuits }: MetricsOptions): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const admissions = new Counter({
    name: 'berth_admissions_total',
    help: 'Admission reviews answered, by what became of the pod.',
    labelNames: ['operation', 'outcome', 'mode'] as const,
    registers,
  })
  const duration = new Histogram({
    name: 'berth_admission_duration_seconds',
    help: 'Time from the whole review read to its answer made; waited: whether a registry or the API server had to be asked.',
    labelNames: ['waited'] as const,
    buckets: durationBuckets,
    registers,
  })
  const durationAtOnce = duration.labels({ waited: 'false' })
  const durationWaited = duration.labels({ waited: 'true' })
  const questions = new Histogram({
    name: 'berth_registry_question_duration_seconds',
    help: 'Time that registries took for what was really asked of them; answers from the cache are not here.',
    labelNames: ['registry'] as const,
    buckets: durationBuckets,
    registers,
  })
  const images = new Counter({
    name: 'berth_images_total',
    help: 'Images decided, by the registry they are to come from, its kind, and the reason.',
    labelNames: ['registry', 'kind', 'reason', 'pinned'] as const,
    registers,
  })
  const candidates = new Counter({
    name: 'berth_candidates_total',
    help: 'Candidates asked for, by registry and outcome.',
    labelNames: ['registry', 'outcome'] as const,
    registers,
  })
  const refusals = new Counter({
    name: 'berth_requests_refused_total',
    help: 'HTTP requests that were no AdmissionReview, by status.',
    labelNames: ['status'] as const,
    registers,
  })
  const generation = new Gauge({
    name: 'berth_config_generation',
    help: 'How many times a valid config has been loaded since the start.',
    registers,
  })
  const lastReload = new Gauge({
    name: 'berth_config_last_reload_successful',
    help: '1 if the config file, as it stands, is in force; 0 if it has errors and the one before it is.',
    registers,
  })
  const certificateExpiry = new Gauge({
    name: 'berth_certificate_expiry_timestamp_seconds',
    help: 'When the serving certificate in use ends, in seconds since 1970.',
    registers,
  })
  const certificateFailures = new Counter({
    name: 'berth_certificate_reload_failures_total',
    help: 'Times that the certificate files changed into something that cannot be used; the pair before them stays.',
    registers,
  })
  const circuit = new Gauge({
    name: 'berth_registry_circuit_open',
    help: '1 while a registry is not asked because it failed or asked to be left alone, else 0.',
    labelNames: ['registry'] as const,
    registers,
    collect: () => {
      circuit.reset()
      for (const [host, state] of circuits())
        circuit.set({ registry: host }, state === 'closed' ? 0 : 1)
    },
  })
  const memory: Gauge = new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Memory of the process, as the kernel counts it against the limit.',
    registers,
    collect: () => memory.set(process.memoryUsage.rss()),
  })
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'When the process started, in seconds since 1970.',
    registers,
  }).set(performance.timeOrigin / 1000)
  // A counter that appears with its first event looks to `increase` as if it had always stood there.
  for (const outcome of outcomes)
    for (const mode of ['enforce', 'observe'])
      for (const operation of ['CREATE', 'UPDATE']) admissions.inc({ operation, outcome, mode }, 0)
  for (const status of ['400', '413', '503']) refusals.inc({ status }, 0)
  const labelOf = (host: string) => (knows(host) ? host : 'other')
  const count = (resolution: Resolution) => {
    const { chosen, kind, reason, pinned, steps } = resolution
    images.inc({ registry: labelOf(chosen.domain), kind, reason, pinned: String(pinned) })
    for (const { candidate, outcome } of steps) {
      if (outcome === 'unasked' || candidate.reference === null) continue
      candidates.inc({ registry: labelOf(candidate.reference.domain), outcome })
    }
  }
  return {
    registry,
    admitted: ({ operation, outcome, mode, resolutions }, { seconds, waited }) => {
      admissions.inc({ operation, outcome, mode })
      ;(waited ? durationWaited : durationAtOnce).observe(seconds)
      for (const resolution of resolutions) count(resolution)
    },
    answered: (host, seconds) => questions.observe({ registry: labelOf(host) }, seconds),
    refused: (status) => refusals.inc({ status: String(status) }),
    certificateLoaded: (expires) => certificateExpiry.set(expires.getTime() / 1000),
    certificateFailed: () => certificateFailures.inc(),
    configLoaded: (ok, number) => {
      lastReload.set(ok ? 1 : 0)
      generation.set(number)
    },
  }
}

const outcomes = ['error', 'denied', 'patched', 'unchanged'] as const
