/** The Prometheus metrics of pull secrets with ECR tokens. Label values come from the config and from a closed list. */
import { Counter, Gauge, type Registry } from 'prom-client'

export interface EcrMetrics {
  written(secret: string): void
  failed(secret: string, link: string): void
  /** Sets the expiry, in milliseconds since 1970; null when there is no secret or it does not say. */
  expires(secret: string, at: number | null): void
}

/** Adds the metrics to a registry; to be called once. */
export function createEcrMetrics(registry: Registry): EcrMetrics {
  const registers = [registry]
  const writes = new Counter({
    name: 'berth_ecr_secret_writes_total',
    help: 'Times that a pull secret was written because an ECR token changed.',
    labelNames: ['secret'] as const,
    registers,
  })
  const failures = new Counter({
    name: 'berth_ecr_token_failures_total',
    help: 'Times that an ECR token could not be fetched, by the link of the credential chain that failed.',
    labelNames: ['secret', 'link'] as const,
    registers,
  })
  const expiry = new Gauge({
    name: 'berth_ecr_token_expiry_timestamp_seconds',
    help: 'When the first token in a pull secret expires, in seconds since 1970; 0 while there is none.',
    labelNames: ['secret'] as const,
    registers,
  })
  return {
    written: (secret) => writes.inc({ secret }),
    failed: (secret, link) => failures.inc({ secret, link }),
    expires: (secret, at) => expiry.set({ secret }, (at ?? 0) / 1000),
  }
}
