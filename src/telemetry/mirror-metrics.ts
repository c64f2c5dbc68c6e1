/** The Prometheus metrics of mirroring. Label values come from closed lists. */
import { Counter, Gauge, type Registry } from 'prom-client'
import type { FailedOutcome } from '../decision/resolve/manifest-source.ts'

export interface MirrorMetrics {
  /** Sets how many images of pods belong on a mirror, by state, and how many of them a mirror has. */
  images(byState: Readonly<Record<string, number>>, present: number): void
  /** Sets how many images are waiting to be copied. */
  backlog(images: number): void
  copied(bytes: number): void
  failed(outcome: FailedOutcome | 'refused'): void
  /** Sets how many images have drifted, and the seconds since the first drift was noticed. */
  drift(images: number, oldestSeconds: number): void
}

/** Adds the metrics to a registry; to be called once. */
export function createMirrorMetrics(registry: Registry): MirrorMetrics {
  const registers = [registry]
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers })
  const counter = (name: string, help: string) => new Counter({ name, help, registers })
  const images = new Gauge({
    name: 'berth_mirror_images',
    help: 'Images of pods that belong on a mirror, by state.',
    labelNames: ['state'] as const,
    registers,
  })
  const present = gauge('berth_mirror_images_present', 'Images of pods that a mirror has.')
  const backlog = gauge('berth_mirror_backlog', 'Images that are waiting to be copied to a mirror.')
  const drifted = gauge('berth_mirror_drifted', 'Images whose tag moved upstream after the copy.')
  const driftAge = gauge(
    'berth_mirror_drift_age_seconds',
    'Time since the first drift was noticed.',
  )
  const copies = counter('berth_mirror_copies_total', 'Images copied to a mirror.')
  const bytes = counter('berth_mirror_copied_bytes_total', 'Bytes copied to mirrors.')
  const failures = new Counter({
    name: 'berth_mirror_failures_total',
    help: 'Copies that failed, by the reason.',
    labelNames: ['outcome'] as const,
    registers,
  })
  return {
    images: (byState, onMirror) => {
      for (const [state, count] of Object.entries(byState)) images.set({ state }, count)
      present.set(onMirror)
    },
    backlog: (images) => backlog.set(images),
    copied: (size) => {
      copies.inc()
      bytes.inc(size)
    },
    failed: (outcome) => failures.inc({ outcome }),
    drift: (images, oldestSeconds) => {
      drifted.set(images)
      driftAge.set(oldestSeconds)
    },
  }
}
