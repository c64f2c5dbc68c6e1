import { describe, expect, it } from 'vitest'
import { unknownPod } from '../../../src/decision/fallback/pod-context.ts'
import { decidePod } from '../../../src/decision/pod/decide-pod.ts'
import type { Decision } from '../../../src/decision/resolve/decide-by-row.ts'
import { podOf, requestOf } from '../../support/reviews.ts'

/** Decides a pod with so many images. Those from `cached` on have no cached decision. */
function decide(images: number, cached: number) {
  const names = Array.from({ length: images }, (_, index) => `docker.io/team/app${index}:1`)
  const decision: Decision = { ok: false, error: 'not decided', deniedBy: null }
  const asked: string[] = []
  let turns = 0
  const decided = decidePod(
    {
      decide: (image) => {
        asked.push(image)
        return names.indexOf(image) < cached ? decision : Promise.resolve(decision)
      },
      decideByRow: () => decision,
    },
    {
      request: requestOf(podOf(names)),
      policy: { pullPolicy: [], pullSecrets: [], mode: 'enforce' },
      pod: unknownPod,
      signal: () => AbortSignal.timeout(10_000),
    },
    {
      next: () => {
        turns += 1
        return Promise.resolve()
      },
      isOver: () => false,
    },
  )
  return { decided, isSynchronous: !(decided instanceof Promise), turns, names, asked }
}

describe('a pod', () => {
  it.each([
    ['100 images whose decisions are cached', 'at once', { images: 100, cached: 100, turns: 0 }],
    ['101 images whose decisions are cached', 'in turns', { images: 101, cached: 101, turns: 1 }],
    ['100 images, 68 of them cached', 'at once', { images: 100, cached: 68, turns: 0 }],
    ['100 images, 67 of them cached', 'in turns', { images: 100, cached: 67, turns: 1 }],
    ['33 images, none of them cached', 'in turns', { images: 33, cached: 0, turns: 1 }],
  ])('with %s is decided %s', async (_, __, { images, cached, turns }) => {
    const { isSynchronous, decided, turns: begun, names, asked } = decide(images, cached)
    const { decisions } = await decided

    expect({ begun, isSynchronous }).toEqual({
      begun: turns,
      isSynchronous: turns === 0 && cached === images,
    })
    expect(decisions.map(({ site }) => site.image)).toEqual(names)
    // Each image is decided once, whatever has begun before the turns.
    expect(asked).toEqual(names)
  })
})
