/** One copy between registries of a test, without a process. */
import { createConnections } from '../../src/registry/http/connections.ts'
import type { Clock } from '../../src/registry/http/retry-policy.ts'
import { createRegistries, type Registries } from '../../src/registry/repository.ts'
import { parseReference } from '../../src/decision/reference/parse.ts'
import type { Pair } from '../../src/mirror/pair.ts'
import type { ImageResult } from '../../src/mirror/result.ts'
import { mirrorAll, type RunDependencies, type RunOptions } from '../../src/mirror/mirror-images.ts'
import { registryAt } from './registry-client.ts'

/** Never waits; remembers for how long it would have. */
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

export function registriesFor(urls: readonly string[], clock: Clock = testClock()): Registries {
  const settings = urls.map((url) => registryAt(url, { allowPlainHttpAuth: true }))
  return createRegistries(
    createConnections({
      registries: new Map(settings.map((each) => [each.host, each])),
      keychainFor: () => ({ lookup: () => Promise.resolve([]) }),
      now: clock.now,
    }),
    clock,
  )
}

/** `host/repository:tag` on both sides. */
export function pair(source: string, destination: string): Pair {
  return { source: reference(source), destination: reference(destination), row: null }
}

export function reference(text: string): Pair['source'] {
  const parsed = parseReference(text)
  if (!parsed.ok) throw new Error(parsed.message)
  return parsed.reference
}

export function mirrorPairs(
  registries: Registries,
  pairs: readonly Pair[],
  {
    makeRepository = null,
    ...options
  }: Partial<RunOptions> & Pick<RunDependencies, 'makeRepository'> = {},
): Promise<readonly ImageResult[]> {
  const nothing = () => undefined
  return mirrorAll({ registries, makeRepository, now: () => 0 }, pairs, {
    signal: new AbortController().signal,
    deep: true,
    dryRun: false,
    quotaFloor: 10,
    referrers: false,
    jobs: 2,
    watcher: { started: nothing, planned: nothing, moved: nothing, finished: nothing },
    ...options,
  })
}
