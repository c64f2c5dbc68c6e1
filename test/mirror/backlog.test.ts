import { describe, expect, it } from 'vitest'
import { type Backlog, copyOrder, createBacklog } from '../../src/mirror/backlog.ts'
import type { CopyResult } from '../../src/mirror/copy-result.ts'
import type { DriftResult, DriftState } from '../../src/mirror/drift.ts'
import type { WantedImage } from '../../src/mirror/wanted-images.ts'
import { pair } from '../support/mirroring.ts'

const minute = 60_000

function wanted(...uses: number[]): ReadonlyMap<string, WantedImage> {
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
  const outcome = state === 'unreachable' ? 'unreachable' : null
  return {
    pair: anyPair,
    state,
    sourceDigest,
    mirrorDigest,
    detail: null,
    outcome,
    platforms: null,
  }
}

const noConflicts = new Map<string, WantedImage>()
const same = drift('same', 'sha256:1', 'sha256:1')

function backlogOf(...uses: number[]): Backlog {
  const backlog = createBacklog()
  backlog.setWanted({ wanted: wanted(...uses), conflicts: noConflicts })
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
    backlog.setWanted({ wanted: new Map(), conflicts: noConflicts })

    expect([backlog.due(0), backlog.msUntilDue(0)]).toEqual([[], null])

    backlog.setWanted({ wanted: wanted(1), conflicts: noConflicts })
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
    ['upstream does not have', 'absent', drift('mirror-missing', null, null)],
    ['could not be checked', 'unreachable', drift('unreachable', null, null)],
  ])('backs off for an image that %s', (_, state, result) => {
    const backlog = backlogOf(1)
    backlog.recordDrift('i0', result, 0)

    expect(backlog.due(0)).toEqual([])
    expect(backlog.counts(0).states).toMatchObject({ mirrored: 0, [state]: 1 })
  })

  it('returns an image that only the mirror lacks at once', () => {
    const backlog = backlogOf(1)
    backlog.recordDrift('i0', drift('mirror-missing', 'sha256:1', null), 0)

    expect(backlog.due(0)).toEqual(['i0'])
  })
})

describe('podNeeds', () => {
  it('brings the check of a mirrored image forward, to once in 30 seconds', () => {
    const backlog = backlogOf(1)
    backlog.recordDrift('i0', same, 0)
    backlog.podNeeds('i0', 1_000)

    expect(backlog.msUntilDue(1_000)).toBe(29_000)
    expect([backlog.due(30_000), backlog.needsMirrorOnly('i0', 30_000)]).toEqual([['i0'], true])

    backlog.recordPresent('i0', 30_000)
    backlog.podNeeds('i0', 90_000)
    expect(backlog.msUntilDue(30_000)).toBe(60_000)
    expect(backlog.needsMirrorOnly('i0', 10 * minute)).toBe(false)
  })

  it('checks an image again that upstream did not have', () => {
    const backlog = backlogOf(1)
    for (let times = 0; times < 9; times++)
      backlog.recordDrift('i0', drift('mirror-missing', null, null), 0)
    backlog.podNeeds('i0', minute)

    expect(backlog.due(minute)).toEqual(['i0'])
    expect(backlog.needsMirrorOnly('i0', minute)).toBe(false)
  })

  it('does not shorten the delay after a failed copy', () => {
    const backlog = backlogOf(1)
    for (let times = 0; times < 9; times++) backlog.recordCopy('i0', failed, 0)
    backlog.podNeeds('i0', minute)

    expect(backlog.msUntilDue(minute)).toBe(29 * minute)
  })
})

describe('counts', () => {
  it('counts images that were not checked yet or wait for their copy, and conflicts', () => {
    const backlog = createBacklog()
    backlog.setWanted({ wanted: wanted(1, 1, 1), conflicts: wanted(1) })
    backlog.recordDrift('i0', drift('mirror-missing', 'sha256:1', null), 0)
    backlog.recordDrift('i1', same, 0)

    expect(backlog.counts(0).states).toMatchObject({ waiting: 2, mirrored: 1, conflict: 1 })
  })

  it('no longer counts a deleted image as mirrored', () => {
    const backlog = backlogOf(1)
    backlog.recordDrift('i0', same, 0)
    backlog.recordDrift('i0', drift('mirror-missing', 'sha256:1', null), minute)

    expect(backlog.counts(minute).states).toMatchObject({ waiting: 1, mirrored: 0 })
    expect(backlog.due(minute)).toEqual(['i0'])
  })

  it('keeps the age of drift while upstream does not answer', () => {
    const backlog = backlogOf(1)
    backlog.recordDrift('i0', drift('upstream-moved', 'sha256:2', 'sha256:1'), 0)
    backlog.recordDrift('i0', drift('unreachable', null, 'sha256:1'), minute)

    expect(backlog.counts(minute)).toMatchObject({ drifted: 1, oldestDriftMs: minute })
  })

  it('measures the age of drift from when it was first seen until it is gone', () => {
    const backlog = backlogOf(1, 1)
    const moved = drift('upstream-moved', 'sha256:2', 'sha256:1')
    backlog.recordDrift('i0', moved, 0)
    backlog.recordDrift('i0', moved, 10 * minute)
    backlog.recordDrift('i1', moved, 20 * minute)

    expect(backlog.counts(20 * minute)).toMatchObject({
      states: { mirrored: 0, drifted: 2 },
      oldestDriftMs: 20 * minute,
    })

    backlog.recordDrift('i0', same, 20 * minute)
    expect(backlog.counts(21 * minute)).toMatchObject({
      states: { mirrored: 1, drifted: 1 },
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
