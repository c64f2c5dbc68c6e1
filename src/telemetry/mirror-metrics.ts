/** What the controller's mirroring tells Prometheus. Labels come from closed lists. */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { FailedOutcome } from '../decision/resolve/manifest-source.ts'

export interface MirrorMetrics {
  /** Images that pods want on a mirror, and how many of them are there. */
  coverage(wanted: number, there: number): void
  /** Images that are to be copied. */
  backlog(images: number): void
  copied(bytes: number): void
  failed(outcome: FailedOutcome): void
  /** Images that upstream has moved, and seconds since the first of them was seen to. */
  drift(images: number, oldestSeconds: number): void
}

/** Adds the figures to a registry, once. */
export function createMirrorMetrics(registry: Registry): MirrorMetrics {
  const registers = [registry]
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers })
  const counter = (name: string, help: string) => new Counter({ name, help, registers })
  const wanted = gauge('berth_mirror_images', 'Images of pods that belong on a mirror.')
  const there = gauge('berth_mirror_images_present', 'Images of pods that a mirror has.')
  const backlog = gauge('berth_mirror_backlog', 'Images that are to be copied to a mirror.')
  const drifted = gauge('berth_mirror_drifted', 'Images whose tag upstream has moved since.')
  const driftAge = gauge(
    'berth_mirror_drift_age_seconds',
    'Time since the first of them was seen to have moved.',
  )
  const copies = counter('berth_mirror_copies_total', 'Images copied to a mirror.')
  const bytes = counter('berth_mirror_copied_bytes_total', 'Bytes moved to mirrors.')
  const failures = new Counter({
    name: 'berth_mirror_failures_total',
    help: 'Copies that failed, by why.',
    labelNames: ['outcome'] as const,
    registers,
  })
  return {
    coverage: (all, present) => {
      wanted.set(all)
      there.set(present)
    },
    backlog: (images) => backlog.set(images),
    copied: (moved) => {
      copies.inc()
      bytes.inc(moved)
    },
    failed: (outcome) => failures.inc({ outcome }),
    drift: (images, oldestSeconds) => {
      drifted.set(images)
      driftAge.set(oldestSeconds)
    },
  }
}
