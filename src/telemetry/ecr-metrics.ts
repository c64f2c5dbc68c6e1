/** What Prometheus is told of the pull secrets with tokens of ECR. Labels come from the configuration and a closed list. */
import { Counter, Gauge, type Registry } from 'prom-client'

export interface EcrMetrics {
  written(secret: string): void
  failed(secret: string, link: string): void
  /** Milliseconds since 1970; null when the secret does not say, or there is none. */
  expires(secret: string, at: number | null): void
}

/** Adds them to a registry, once. */
export function createEcrMetrics(registry: Registry): EcrMetrics {
  const registers = [registry]
  const writes = new Counter({
    name: 'berth_ecr_secret_writes_total',
    help: 'Times that a pull secret was written because a token of ECR changed.',
    labelNames: ['secret'] as const,
    registers,
  })
  const failures = new Counter({
    name: 'berth_ecr_token_failures_total',
    help: 'Times that a token of ECR did not come, by the kind of link of the chain that broke.',
    labelNames: ['secret', 'link'] as const,
    registers,
  })
  const expiry = new Gauge({
    name: 'berth_ecr_token_expiry_timestamp_seconds',
    help: 'When the first token in a pull secret ends; 0 while there is none.',
    labelNames: ['secret'] as const,
    registers,
  })
  return {
    written: (secret) => writes.inc({ secret }),
    failed: (secret, link) => failures.inc({ secret, link }),
    expires: (secret, at) => expiry.set({ secret }, (at ?? 0) / 1000),
  }
}
