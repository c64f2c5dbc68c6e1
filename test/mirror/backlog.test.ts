import { describe, expect, it } from 'vitest'
import {
  type Backlog,
  createBacklog,
  copyOrder,
  type BacklogImage,
} from '../../src/mirror/backlog.ts'
import type { DriftResult, DriftState } from '../../src/mirror/drift.ts'
import type { CopyResult } from '../../src/mirror/copy-result.ts'
import { pair } from '../support/mirroring.ts'

const minute = 60_000

function wanted(...uses: number[]): ReadonlyMap<string, BacklogImage> {
  return new Map(
    uses.map((each, index) => [
      `i${index}`,
      { pair: pair('a.b/app:1', `m.b/app:${index}`), uses: each },
    ]),
  )
}

function drift(
  state: DriftState,
  sourceDigest: string | null,
  mirrorDigest: string | null,
): DriftResult {
  const given = pair('a.b/app:1', 'm.b/app:1')
  return { pair: given, state, sourceDigest, mirrorDigest, detail: null, platforms: null }
}

const same = drift('same', 'sha256:1', 'sha256:1')

function backlogOf(...uses: number[]): Backlog {
  const backlog = createBacklog()
  backlog.setWanted(wanted(...uses))
  return backlog
}

const failed = { status: 'failed' } as CopyResult
const copied = { status: 'copied' } as CopyResult

describe('what is due', () => {
  it('is everything at first, and what is there again after ten minutes', () => {
    const backlog = backlogOf(1, 1)
    backlog.recordDrift('i0', same, 0)

    expect(backlog.due(0)).toEqual(['i1'])
    expect(backlog.due(10 * minute)).toEqual(['i0', 'i1'])
  })

  it('is nothing of what is no longer wanted, and all of it when it comes back', () => {
    const backlog = backlogOf(1)
    backlog.recordDrift('i0', same, 0)
    backlog.setWanted(new Map())

    expect([backlog.due(0), backlog.msUntilDue(0)]).toEqual([[], null])

    backlog.setWanted(wanted(1))
    expect(backlog.due(0)).toEqual(['i0'])
  })

  it('comes back later after each failure, and at once after a success', () => {
    const backlog = backlogOf(1)
    const waits = [1, 2, 3].map(() => {
      backlog.recordCopy('i0', failed, 0)
      return backlog.msUntilDue(0)
    })
    for (let more = 0; more < 20; more++) backlog.recordCopy('i0', failed, 0)

    expect(waits).toEqual([15_000, 30_000, 60_000])
    expect(backlog.msUntilDue(0)).toBe(30 * minute)

    backlog.recordCopy('i0', copied, 0)
    backlog.recordCopy('i0', failed, 0)
    expect(backlog.msUntilDue(0)).toBe(15_000)
  })

  it.each([
    ['upstream does not have', drift('mirror-missing', null, null)],
    ['nothing can be told of', drift('unreachable', null, null)],
  ])('waits for what %s', (_, found) => {
    const backlog = backlogOf(1)
    backlog.recordDrift('i0', found, 0)

    expect(backlog.due(0)).toEqual([])
    expect(backlog.counts(0).there).toBe(0)
  })

  it('is at once what the mirror lacks and upstream has', () => {
    const backlog = backlogOf(1)
    backlog.recordDrift('i0', drift('mirror-missing', 'sha256:1', null), 0)

    expect(backlog.due(0)).toEqual(['i0'])
  })
})

describe('the age of drift', () => {
  it('is counted from when it was first seen, until it is gone', () => {
    const backlog = backlogOf(1, 1)
    const moved = drift('upstream-moved', 'sha256:2', 'sha256:1')
    backlog.recordDrift('i0', moved, 0)
    backlog.recordDrift('i0', moved, 10 * minute)
    backlog.recordDrift('i1', moved, 20 * minute)

    expect(backlog.counts(20 * minute)).toEqual({
      there: 2,
      drifted: 2,
      oldestDriftMs: 20 * minute,
    })

    backlog.recordDrift('i0', same, 20 * minute)
    expect(backlog.counts(21 * minute)).toEqual({ there: 2, drifted: 1, oldestDriftMs: minute })
  })
})

describe('the order', () => {
  it('is the fewest bytes first, and the most used of equals', () => {
    const queue = new Map([
      ['i0', 30],
      ['i1', 10],
      ['i2', 10],
    ])

    expect(copyOrder(queue, wanted(9, 1, 2))).toEqual(['i2', 'i1', 'i0'])
  })
})
