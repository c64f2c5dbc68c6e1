/** The Prometheus metrics of the controller process. Each loop adds its own metrics to the same registry. */
import { Counter, Gauge, Registry } from 'prom-client'
import { type AvailabilityMetrics, createAvailabilityMetrics } from './availability-metrics.ts'
import { type ConflictMetrics, createConflictMetrics } from './conflict-metrics.ts'
import { createMirrorMetrics, type MirrorMetrics } from './mirror-metrics.ts'
import {
  createProcessMetrics,
  type ProcessMetrics,
  type ProcessMetricsOptions,
} from './process-metrics.ts'
import { createPullFailureMetrics, type PullFailureMetrics } from './pull-failure-metrics.ts'
import { createStuckPodMetrics, type StuckPodMetrics } from './stuck-pod-metrics.ts'
import {
  createUnprocessedPodMetrics,
  type UnprocessedPodMetrics,
} from './unprocessed-pod-metrics.ts'

export interface ControllerMetrics extends ProcessMetrics {
  readonly registry: Registry
  readonly leads: (isLeader: boolean) => void
  readonly loopFailed: (name: string) => void
  readonly mirror: MirrorMetrics
  readonly pullFailures: PullFailureMetrics
  readonly conflicts: ConflictMetrics
  readonly stuckPods: StuckPodMetrics
  readonly unprocessedPods: UnprocessedPodMetrics
  readonly availability: AvailabilityMetrics
}

/** Creates the registry of one controller process. */
export function createControllerMetrics(options: ProcessMetricsOptions): ControllerMetrics {
  const registry = new Registry()
  const registers = [registry]
  const leader = new Gauge({
    name: 'berth_controller_leader',
    help: '1 in the replica that leads, 0 in the others.',
    registers,
  })
  const failures = new Counter({
    name: 'berth_controller_loop_failures_total',
    help: 'Times that a loop of the controller failed and was restarted.',
    labelNames: ['loop'] as const,
    registers,
  })
  return {
    ...createProcessMetrics(registry, options),
    registry,
    leads: (isLeader) => leader.set(isLeader ? 1 : 0),
    loopFailed: (loop) => failures.inc({ loop }),
    mirror: createMirrorMetrics(registry),
    pullFailures: createPullFailureMetrics(registry),
    conflicts: createConflictMetrics(registry),
    stuckPods: createStuckPodMetrics(registry),
    unprocessedPods: createUnprocessedPodMetrics(registry),
    availability: createAvailabilityMetrics(registry),
  }
}
