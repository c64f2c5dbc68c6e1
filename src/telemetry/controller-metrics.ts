/** What the controller tells Prometheus of itself; each loop adds its own figures to the same registry. */
import { Counter, Gauge, Registry } from 'prom-client'
import { createMirrorMetrics, type MirrorMetrics } from './mirror-metrics.ts'
import { createPullFailureMetrics, type PullFailureMetrics } from './pull-failure-metrics.ts'

export interface ControllerMetrics {
  readonly registry: Registry
  readonly leads: (isLeader: boolean) => void
  readonly loopFailed: (name: string) => void
  readonly configLoaded: (ok: boolean) => void
  readonly mirror: MirrorMetrics
  readonly pullFailures: PullFailureMetrics
}

/** Makes the metrics of one controller process. */
export function createControllerMetrics(): ControllerMetrics {
  const registry = new Registry()
  const registers = [registry]
  const leader = new Gauge({
    name: 'berth_controller_leader',
    help: '1 in the replica that does the work, 0 in those that wait.',
    registers,
  })
  const failures = new Counter({
    name: 'berth_controller_loop_failures_total',
    help: 'Times that a loop of the controller failed and was begun again.',
    labelNames: ['loop'] as const,
    registers,
  })
  const lastReload = new Gauge({
    name: 'berth_config_last_reload_successful',
    help: '1 if the config file, as it stands, is in force; 0 if it has errors and the one before it is.',
    registers,
  })
  return {
    registry,
    leads: (isLeader) => leader.set(isLeader ? 1 : 0),
    loopFailed: (loop) => failures.inc({ loop }),
    configLoaded: (ok) => lastReload.set(ok ? 1 : 0),
    mirror: createMirrorMetrics(registry),
    pullFailures: createPullFailureMetrics(registry),
  }
}
