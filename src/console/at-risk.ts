/** Keeps the list of running images that are gone from their registries, as `berth report --at-risk` computes it. */
import type { IsPlainHttp } from '../decision/fallback/registry-aliases.ts'
import type { KubeObject } from '../kube/object.ts'
import {
  type AtRiskReport,
  type AvailabilityChecks,
  type AvailabilityChecksOptions,
  buildAtRiskReport,
  createAvailabilityChecks,
} from '../report/at-risk-report.ts'
import type { AtRisk } from './wire.ts'

export interface AtRiskMemory {
  /** Checks the images that were not checked yet. `version` differs if the pods have changed. */
  follow(pods: Iterable<KubeObject>, version: number): void
  /** Checks all images again. */
  again(): void
  /** Null before the first list is complete. */
  latest(): AtRisk | null
}

export interface AtRiskOptions extends AvailabilityChecksOptions {
  readonly isPlainHttp: IsPlainHttp
  readonly onChange: () => void
}

/** Images that the page lists, and namespaces of each. The numbers are complete. */
const maxImages = 200
const maxNamespaces = 10

/** Creates the memory of one config. */
export function createAtRiskMemory({
  isPlainHttp,
  onChange,
  ...options
}: AtRiskOptions): AtRiskMemory {
  let checks: AvailabilityChecks = createAvailabilityChecks(options)
  let latest: AtRisk | null = null
  let isRunning = false
  let seen: number | null = null

  async function build(pods: Iterable<KubeObject>): Promise<void> {
    try {
      latest = shorten(await buildAtRiskReport(pods, { isPlainHttp, checks }))
    } finally {
      isRunning = false
    }
    onChange()
  }

  return {
    follow(pods, version) {
      if (isRunning || version === seen) return
      isRunning = true
      seen = version
      // It rejects only after another config has replaced this one and closed its connections.
      build(pods).catch(() => undefined)
    },
    again() {
      checks = createAvailabilityChecks(options)
      seen = null
    },
    latest: () => latest,
  }
}

function shorten({ images, summary }: AtRiskReport): AtRisk {
  return {
    at: Date.now(),
    summary,
    images: images.slice(0, maxImages).map(({ namespaces, ...image }) => ({
      ...image,
      namespaces: namespaces.slice(0, maxNamespaces),
      moreNamespaces: Math.max(0, namespaces.length - maxNamespaces),
    })),
    moreImages: Math.max(0, images.length - maxImages),
  }
}
