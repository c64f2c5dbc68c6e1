import { describe, expect, it } from 'vitest'
import {
  type Backlog,
  type BacklogImage,
  copyOrder,
  createBacklog,
} from '../../src/mirror/backlog.ts'
import type { CopyResult } from '../../src/mirror/copy-result.ts'
import type { DriftResult, DriftState } from '../../src/mirror/drift.ts'
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
  const anyPair = pair('a.b/app:1', 'm.b/app:1')
  return { pair: anyPair, state, sourceDigest, mirrorDigest, detail: null, platforms: null }
}

const same = drift('same', 'sha256:1', 'sha256:1')

function backlogOf(...uses: number[]): Backlog {
  const backlog = createBacklog()
  backlog.setWanted(wanted(...uses))
  return backlog
}

const failed = { status: 'failed' } as CopyResult
const copied = { status: 'copied' } as CopyResult

describe('due', () => {
  it('returns new images at once, and mirrored ones after ten minutes', () => {
    const backlog = backlogOf(1, 1)
    backlog.recordDrift('i0', same, 0)

    expect(backlog.due(0)).toEqual(['i1'])
    expect(backlog.due(10 * minute)).toEqual(['i0', 'i1'])
  })

  it('forgets an image that is no longer needed, until it is needed again', () => {
    const backlog = backlogOf(1)
    backlog.recordDrift('i0', same, 0)
    backlog.setWanted(new Map())

    expect([backlog.due(0), backlog.msUntilDue(0)]).toEqual([[], null])

    backlog.setWanted(wanted(1))
    expect(backlog.due(0)).toEqual(['i0'])
  })

  it('doubles the delay with each failure up to 30 minutes, and starts over after a success', () => {
    const backlog = backlogOf(1)
    const delays = [1, 2, 3].map(() => {
      backlog.recordCopy('i0', failed, 0)
      return backlog.msUntilDue(0)
    })
    for (let more = 0; more < 20; more++) backlog.recordCopy('i0', failed, 0)

    expect(delays).toEqual([15_000, 30_000, 60_000])
    expect(backlog.msUntilDue(0)).toBe(30 * minute)

    backlog.recordCopy('i0', copied, 0)
    backlog.recordCopy('i0', failed, 0)
    expect(backlog.msUntilDue(0)).toBe(15_000)
  })

  it.each([
    ['upstream does not have', drift('mirror-missing', null, null)],
    ['could not be checked', drift('unreachable', null, null)],
  ])('backs off for an image that %s', (_, result) => {
    const backlog = backlogOf(1)
    backlog.recordDrift('i0', result, 0)

    expect(backlog.due(0)).toEqual([])
    expect(backlog.counts(0).mirrored).toBe(0)
  })

  it('returns an image that only the mirror lacks at once', () => {
    const backlog = backlogOf(1)
    backlog.recordDrift('i0', drift('mirror-missing', 'sha256:1', null), 0)

    expect(backlog.due(0)).toEqual(['i0'])
  })
})

describe('counts', () => {
  it('measures the age of drift from when it was first seen until it is gone', () => {
    const backlog = backlogOf(1, 1)
    const moved = drift('upstream-moved', 'sha256:2', 'sha256:1')
    backlog.recordDrift('i0', moved, 0)
    backlog.recordDrift('i0', moved, 10 * minute)
    backlog.recordDrift('i1', moved, 20 * minute)

    expect(backlog.counts(20 * minute)).toEqual({
      mirrored: 2,
      drifted: 2,
      oldestDriftMs: 20 * minute,
    })

    backlog.recordDrift('i0', same, 20 * minute)
    expect(backlog.counts(21 * minute)).toEqual({
      mirrored: 2,
      drifted: 1,
      oldestDriftMs: minute,
    })
  })
})

describe('copyOrder', () => {
  it('sorts by size, and images of one size by the number of pods', () => {
    const bytesByKey = new Map([
      ['i0', 30],
      ['i1', 10],
      ['i2', 10],
    ])

    expect(copyOrder(bytesByKey, wanted(9, 1, 2))).toEqual(['i2', 'i1', 'i0'])
  })
})
