/** Copies an image between two registries of a test, in this process. */
import { createByteBudget } from '../../src/async/byte-budget.ts'
import { bodyBudgetBytes } from '../../src/registry/http/response-body.ts'
import { createConnections } from '../../src/registry/connections.ts'
import type { Clock } from '../../src/registry/http/retry-policy.ts'
import { createRegistryStore } from '../../src/registry/images/registry-store.ts'
import { createRegistryClient, type RegistryClient } from '../../src/registry/registry-client.ts'
import { parseReference } from '../../src/decision/reference/parse.ts'
import type { ImagePair } from '../../src/mirror/image-pair.ts'
import type { CopyResult } from '../../src/mirror/copy-result.ts'
import {
  mirrorImages,
  type MirrorDependencies,
  type MirrorOptions,
} from '../../src/mirror/mirror-images.ts'
import { registryAt } from './manifest-source.ts'

/** A clock that never waits, and records how long it would have waited. */
export interface TestClock extends Clock {
  readonly waits: number[]
}

export function testClock(): TestClock {
  let time = 0
  const waits: number[] = []
  return {
    waits,
    now: () => time,
    random: () => 0.5,
    sleep: (milliseconds, signal) => {
      signal.throwIfAborted()
      waits.push(milliseconds)
      time += milliseconds
      return Promise.resolve()
    },
  }
}

export function registriesFor(urls: readonly string[], clock: Clock = testClock()): RegistryClient {
  const settings = urls.map((url) => registryAt(url, { allowPlainHttpAuth: true }))
  return createRegistryClient(
    createConnections({
      registries: new Map(settings.map((each) => [each.host, each])),
      keychainFor: () => ({ lookup: () => Promise.resolve([]) }),
      now: clock.now,
      bodyBudget: createByteBudget(bodyBudgetBytes.controller),
    }),
    clock,
  )
}

/** `host/repository:tag`, for both registries. */
export function pair(source: string, destination: string): ImagePair {
  return { source: reference(source), destination: reference(destination), row: null }
}

export function reference(text: string): ImagePair['source'] {
  const parsed = parseReference(text)
  if (!parsed.ok) throw new Error(parsed.message)
  return parsed.reference
}

export function mirrorPairs(
  registries: RegistryClient,
  pairs: readonly ImagePair[],
  {
    createRepository = null,
    verifier = null,
    ...options
  }: Partial<MirrorOptions> &
    Partial<Pick<MirrorDependencies, 'createRepository' | 'verifier'>> = {},
): Promise<readonly CopyResult[]> {
  const nothing = () => undefined
  const images = createRegistryStore(registries)
  const stores = { sources: images, destinations: images }
  return mirrorImages({ ...stores, createRepository, verifier, now: () => 0 }, pairs, {
    signal: new AbortController().signal,
    deep: true,
    dryRun: false,
    quotaFloor: 10,
    referrers: false,
    jobs: 2,
    progress: { started: nothing, planned: nothing, moved: nothing, finished: nothing },
    ...options,
  })
}
