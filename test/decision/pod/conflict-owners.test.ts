import { describe, expect, it } from 'vitest'
import {
  type ConflictOwner,
  createConflictTest,
  currentOwners,
  readConflictOwners,
  writeConflictOwners,
} from '../../../src/decision/pod/conflict-owners.ts'
import { fc, runs } from '../../support/fast-check.ts'

const maxConflictOwners = 100
const start = Date.parse('2026-01-01T00:00:00Z')

function owner(index: number, more: Partial<ConflictOwner> = {}): ConflictOwner {
  return {
    kind: 'db.example/Database',
    namespace: 'team',
    name: `db-${index}`,
    uid: String(index),
    since: new Date(start + index * 1000).toISOString(),
    until: new Date(start + 3_600_000).toISOString(),
    ...more,
  }
}

const uidsIn = (text: string) => readConflictOwners(text).map(({ uid }) => uid)

describe('the list of owners in conflict', () => {
  it('is read as it was written', () => {
    const owners = [owner(1), owner(2)]

    expect(readConflictOwners(writeConflictOwners(owners))).toEqual(owners)
    expect(readConflictOwners(writeConflictOwners([]))).toEqual([])
  })

  it('drops the oldest entries of the namespace with the most, beyond its limit', () => {
    const victim = owner(0, { namespace: 'other' })
    const many = Array.from({ length: maxConflictOwners + 20 }, (_, index) => owner(index + 1))
    const uids = uidsIn(writeConflictOwners([victim, ...many]))

    expect(uids).toHaveLength(maxConflictOwners)
    expect(uids.slice(0, 2)).toEqual(['0', '22'])
  })

  it('has at most 100,000 characters, and room for 100 entries with the longest names', () => {
    const longest = (index: number) =>
      owner(index, {
        kind: `${'g'.repeat(253)}/${'K'.repeat(63)}`,
        namespace: 'n'.repeat(63),
        name: 'x'.repeat(253),
        uid: 'u'.repeat(36),
      })
    const text = writeConflictOwners(
      Array.from({ length: maxConflictOwners }, (_, index) => longest(index)),
    )

    expect(text.length).toBeLessThanOrEqual(100_000)
    expect(readConflictOwners(text)).toHaveLength(maxConflictOwners)
  })

  it.each([
    ['no text', undefined],
    ['text that is not JSON', '{'],
    ['JSON that is not a list', '{"owners":[]}'],
    ['a text of more than 100,000 characters', JSON.stringify([owner(1)]).padEnd(100_001)],
  ])('is empty for %s', (_, text) => {
    expect(readConflictOwners(text)).toEqual([])
  })

  it('ignores entries that are not complete', () => {
    const entries = [null, 1, [], {}, { ...owner(1), uid: '' }, { ...owner(2), until: 'soon' }]
    const long = { ...owner(3), name: 'x'.repeat(401) }

    expect(uidsIn(JSON.stringify([...entries, long, owner(4)]))).toEqual(['4'])
  })

  it('can be read after it was written, whatever its entries are', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ namespace: fc.string(), name: fc.string() })), (parts) => {
        const owners = parts.map((part, index) => owner(index, part))
        const text = writeConflictOwners(owners)
        expect(text.length).toBeLessThanOrEqual(100_000)
        const read = readConflictOwners(text)
        expect(owners).toEqual(expect.arrayContaining([...read]))
      }),
      runs(100),
    )
  })

  it('has no entries after their end', () => {
    expect(currentOwners([owner(1)], start + 3_599_000)).toHaveLength(1)
    expect(currentOwners([owner(1)], start + 3_600_000)).toEqual([])
  })
})

describe('the test for pods', () => {
  const reference = {
    apiVersion: 'db.example/v1beta1',
    kind: 'Database',
    name: 'db-1',
    uid: '1',
    controller: true,
  }
  const podOf = (...ownerReferences: unknown[]) => ({ metadata: { ownerReferences } })
  const test = createConflictTest([owner(1)])

  it('selects pods by their controller, in any version of its group', () => {
    expect(test(podOf(reference), 'team', start)).toBe(true)
    expect(test(podOf({ ...reference, apiVersion: 'db.example/v1' }), 'team', start)).toBe(true)
  })

  it.each([
    ['another namespace', [podOf(reference), 'other', start]],
    ['another uid', [podOf({ ...reference, uid: '2' }), 'team', start]],
    ['another name', [podOf({ ...reference, name: 'db-2' }), 'team', start]],
    ['another kind', [podOf({ ...reference, kind: 'Backup' }), 'team', start]],
    [
      'an owner that is not the controller',
      [podOf({ ...reference, controller: false }), 'team', start],
    ],
    ['no owner', [{}, 'team', start]],
    ['owner references that are not a list', [{ metadata: { ownerReferences: 1 } }, 'team', start]],
    ['invalid owner references', [podOf(null, 1, { controller: true, kind: [] }), 'team', start]],
    ['a time after the end of the entry', [podOf(reference), 'team', start + 3_600_000]],
  ] as const)('does not select a pod with %s', (_, [pod, namespace, now]) => {
    expect(test(pod, namespace, now)).toBe(false)
  })
})
