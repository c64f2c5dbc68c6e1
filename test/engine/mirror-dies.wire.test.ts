import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { createEngine, type Engine } from '../../src/engine/decision-engine.ts'
import { startStore, type Store } from '../support/store-registry.ts'
import { barePod } from '../support/tables.ts'

let mirror: Store
let upstream: Store
let engine: Engine

beforeEach(async () => {
  mirror = await startStore()
  upstream = await startStore()
  for (const registry of [mirror, upstream])
    for (const name of ['a', 'b', 'c']) registry.addImage(`team/${name}`, '1')
  const read = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: mirror.example, endpoint: '${mirror.url}', mirror: true }
  - { host: docker.io, endpoint: '${upstream.url}' }
fallback:
  - { name: hub, images: ['docker.io/**'], try: ['mirror.example/{path}', 'docker.io/{path}'] }
`,
    '/',
  )
  if (!read.ok) throw new Error(JSON.stringify(read.problems))
  engine = createEngine(read.config, { secretsDirectory: '/nonexistent' })
})

afterEach(async () => {
  await engine.close()
  await mirror.close()
  await upstream.close()
})

/** Decides this many images, 50 a second. Returns which of them come from the mirror. */
async function decideImages(count: number): Promise<boolean[]> {
  const isOnMirror: boolean[] = []
  for (let index = 0; index < count; index++) {
    const image = `team/${['a', 'b', 'c'][index % 3]}:1`
    const signal = () => AbortSignal.timeout(2_500)
    const decision = await engine.decide(image, { pod: barePod, signal })
    isOnMirror.push(decision.ok && decision.image.startsWith('mirror.example/'))
    await sleep(20)
  }
  return isOnMirror
}

describe('a stream of decisions', () => {
  it('leaves a mirror within two seconds of its death, although its answers are fresh for longer', async () => {
    expect(await decideImages(30)).not.toContain(false)
    await mirror.close()
    const after = await decideImages(150)

    expect(after.slice(100)).not.toContain(true)
  })

  it('sends one request a second to the mirror while its answers are fresh', async () => {
    await decideImages(10)
    mirror.forgetRequests()
    const startedAt = performance.now()
    await decideImages(100)
    const seconds = (performance.now() - startedAt) / 1_000

    expect(mirror.requests.length).toBeGreaterThan(0)
    expect(mirror.requests.length).toBeLessThanOrEqual(Math.ceil(seconds) + 1)
    expect(upstream.requests).toEqual([])
  })
})

describe('the first decision after a pause', () => {
  it('asks the mirror, and leaves it if it has died', async () => {
    await decideImages(3)
    await sleep(2_100)
    await mirror.close()

    expect(await decideImages(3)).toEqual([false, false, false])
  })
})
