import { describe, expect, it } from 'vitest'
import type { Removal } from '../../../src/mirror/prune/plan-removals.ts'
import { createRemovalOrder } from '../../../src/mirror/prune/removal-order.ts'

const removal = (digest: string, tags: readonly string[], others: readonly string[] = []) => ({
  digest,
  tags,
  others,
})

/** Removes everything except what `isKept` says, as a registry that rejects some deletions. Returns what was removed, in order. */
function run(
  removals: readonly Removal[],
  holds: Readonly<Record<string, readonly string[]>>,
  isKept: (digest: string) => boolean = () => false,
) {
  const order = createRemovalOrder({ removals, holds: new Map(Object.entries(holds)) })
  const removed: string[] = []
  for (const { digest } of order.removals()) {
    if (isKept(digest)) continue
    const open = [digest]
    for (let each = open.pop(); each !== undefined; each = open.pop()) {
      removed.push(each)
      open.push(...order.removed(each))
    }
  }
  return { removed, left: order.left().map(({ digest }) => digest) }
}

describe('createRemovalOrder', () => {
  it('removes a manifest that two indexes have only after both of them', () => {
    const removals = [removal('one', ['1'], ['child']), removal('two', ['2'])]
    const holds = { one: ['child'], two: ['child'] }

    expect(run(removals, holds).removed).toEqual(['one', 'two', 'child'])
    expect(run(removals, holds, (each) => each === 'two').removed).toEqual(['one'])
    expect(run(removals, holds, (each) => each === 'one').removed).toEqual(['two'])
  })

  it('removes an index before its child that has a tag', () => {
    const removals = [removal('child', ['1-amd64']), removal('index', ['2'])]
    const holds = { index: ['child'] }

    expect(run(removals, holds)).toEqual({ removed: ['index', 'child'], left: [] })
    expect(run(removals, holds, (each) => each === 'index')).toEqual({
      removed: [],
      left: ['child'],
    })
  })

  it('removes a signature after its image, and keeps it if the image stays', () => {
    const hex = 'a'.repeat(64)
    const image = `sha256:${hex}`
    const removals = [removal('signature', [`sha256-${hex}.sig`]), removal(image, ['v1'])]

    expect(run(removals, {})).toEqual({ removed: [image, 'signature'], left: [] })
    expect(run(removals, {}, (each) => each === image)).toEqual({
      removed: [],
      left: ['signature'],
    })
  })
})
