import { describe, expect, it } from 'vitest'
import {
  planRemovals,
  type PruneNode,
  type PruneTag,
  type RepositoryState,
  subjectOfTag,
} from '../../../src/mirror/prune/plan-removals.ts'
import { fc, runs, slow } from '../../support/fast-check.ts'

const digest = (name: string | number) => `sha256:${String(name).padStart(64, '0')}`
const signatureOf = (name: string | number, suffix = '.sig') =>
  `sha256-${String(name).padStart(64, '0')}${suffix}`
const leaf: PruneNode = { children: [], subject: null, referrers: [] }

function stateOf(
  tags: Readonly<Record<string, readonly [name: string | number, keep?: string]>>,
  nodes: Readonly<Record<string, Partial<PruneNode>>> = {},
  more: Partial<RepositoryState> = {},
): RepositoryState {
  const tagged = Object.entries(tags).map(([tag, [name, keep = null]]): PruneTag => {
    return { tag, digest: digest(name), keep }
  })
  return {
    tags: tagged,
    nodes: new Map([
      ...tagged.map((each) => [each.digest, leaf] as const),
      ...Object.entries(nodes).map(([name, node]) => [digest(name), { ...leaf, ...node }] as const),
    ]),
    neededBy: () => null,
    roots: [],
    absent: new Set(),
    ...more,
  }
}

describe('planRemovals', () => {
  it('removes a tag that nothing needs, and keeps the others with their reasons', () => {
    const { removals, kept } = planRemovals(stateOf({ old: [1], new: [2, 'Pod a/b needs it'] }))

    expect(removals).toEqual([{ digest: digest(1), tags: ['old'], others: [] }])
    expect([...kept]).toEqual([['new', 'Pod a/b needs it']])
  })

  it('keeps a tag with the digest of a tag that stays, because the registry deletes both', () => {
    const { removals, kept } = planRemovals(stateOf({ old: [1], new: [1, 'needed'] }))

    expect(removals).toEqual([])
    expect(kept.get('old')).toBe('the tag new of the same digest stays')
  })

  it('removes the children of an index that no other index has', () => {
    const state = stateOf(
      { old: [1], new: [2, 'needed'] },
      { 1: { children: [digest(3), digest(4)] }, 2: { children: [digest(4)] }, 3: {}, 4: {} },
    )

    expect(planRemovals(state).removals).toEqual([
      { digest: digest(1), tags: ['old'], others: [digest(3)] },
    ])
  })

  it('keeps a tag of a child of an index that stays', () => {
    const state = stateOf(
      { 'old-amd64': [3], new: [2, 'needed'] },
      { 2: { children: [digest(3)] }, 3: {} },
    )

    expect(planRemovals(state).removals).toEqual([])
  })

  it('keeps an index if something needs the digest of one of its children', () => {
    const state = stateOf(
      { old: [1] },
      { 1: { children: [digest(3)] }, 3: {} },
      { neededBy: (each) => (each === digest(3) ? 'Pod a/b' : null) },
    )

    expect(planRemovals(state).kept.get('old')).toMatch(/^Pod a\/b needs /)
  })

  it('keeps what a needed digest without a tag holds', () => {
    const state = stateOf(
      { old: [1] },
      { 1: { children: [digest(3)] }, 2: { children: [digest(3)] }, 3: {} },
      { roots: [digest(2)] },
    )

    expect(planRemovals(state).removals).toEqual([{ digest: digest(1), tags: ['old'], others: [] }])
  })

  it('removes the signatures of images that go, and keeps those of images that stay', () => {
    const state = stateOf({
      old: [1],
      [signatureOf(1)]: [11],
      new: [2, 'needed'],
      [signatureOf(2)]: [12],
      [signatureOf(2, '')]: [13],
    })
    const { removals, kept } = planRemovals(state)

    expect(removals.flatMap(({ tags }) => tags)).toEqual(['old', signatureOf(1)])
    expect([...kept.keys()]).toEqual(['new', signatureOf(2), signatureOf(2, '')])
  })

  it('keeps the signature of a digest that it does not know, and removes that of one that does not exist', () => {
    const tags = { [signatureOf(1)]: [11], [signatureOf(2)]: [12] } as const

    expect(
      planRemovals(stateOf(tags, {}, { absent: new Set([digest(2)]) })).removals,
    ).toMatchObject([{ tags: [signatureOf(2)] }])
  })

  it('keeps the signature of a child that an index which stays also has', () => {
    const state = stateOf(
      { old: [1], new: [2, 'needed'], [signatureOf(3)]: [13] },
      { 1: { children: [digest(3)] }, 2: { children: [digest(3)] }, 3: {} },
    )

    expect(planRemovals(state).kept.has(signatureOf(3))).toBe(true)
  })

  it('removes the referrers of an image that goes, and keeps a tagged referrer of one that stays', () => {
    const state = stateOf(
      { old: [1], new: [2, 'needed'], sbom: [12] },
      {
        1: { referrers: [digest(11), digest(99)] },
        11: { subject: digest(1) },
        12: { subject: digest(2) },
        99: { subject: digest(2) },
      },
    )

    expect(planRemovals(state).removals).toEqual([
      { digest: digest(1), tags: ['old'], others: [digest(11)] },
    ])
  })

  it('reads the digest in the tags of cosign and of the specification', () => {
    expect(subjectOfTag(signatureOf(1))).toBe(digest(1))
    expect(subjectOfTag(signatureOf(1, ''))).toBe(digest(1))
    expect(subjectOfTag('sha256-12.sig')).toBe(null)
    expect(subjectOfTag('1.29')).toBe(null)
  })

  it('removes nothing that a tag, a digest or a signature needs', slow, () => {
    const size = 12
    const name = fc.nat(size - 1)
    const few = fc.array(name, { maxLength: 3 })
    const node = fc.record({ children: few, subject: fc.option(name) })
    const tag = fc.record({ name, isKept: fc.boolean(), signs: fc.option(name, { freq: 3 }) })
    fc.assert(
      fc.property(
        fc.array(node, { minLength: size, maxLength: size }),
        fc.array(tag, { maxLength: 8 }),
        fc.subarray([...Array(size).keys()], { maxLength: 3 }),
        fc.subarray([...Array(size).keys()], { maxLength: 2 }),
        (nodes, tags, neededNames, unread) => {
          const needed = new Set(neededNames.map(digest))
          const skipped = new Set(unread.map(digest))
          // Manifests are created after what they contain, so that there are no cycles.
          const childrenOf = (at: number) =>
            nodes[at]?.children.filter((child) => child < at).map(digest) ?? []
          const subjectOf = (at: number) => {
            const subject = nodes[at]?.subject ?? null
            return subject === null || subject === at ? null : digest(subject)
          }
          const world = new Map(
            nodes.map((_, at) => [
              digest(at),
              {
                children: childrenOf(at),
                subject: subjectOf(at),
                referrers: nodes.flatMap((__, other) =>
                  subjectOf(other) === digest(at) ? [digest(other)] : [],
                ),
              },
            ]),
          )
          const named = new Map<string, PruneTag>()
          for (const [index, each] of tags.entries()) {
            const text = each.signs === null ? `tag-${index}` : signatureOf(each.signs)
            named.set(text, {
              tag: text,
              digest: digest(each.name),
              keep: each.isKept ? 'needed' : null,
            })
          }
          const closureOf = (root: string): string[] => [
            root,
            ...(world.get(root)?.children.flatMap(closureOf) ?? []),
          ]
          const kept = [...named.values()].filter(({ keep }) => keep !== null)
          const whole = new Set([...kept.map((each) => each.digest), ...needed].flatMap(closureOf))
          // Of what stays, only indexes are read. What goes may have become unreadable.
          const isRead = (each: string) =>
            !skipped.has(each) || (whole.has(each) && world.get(each)?.children.length !== 0)
          const { removals } = planRemovals({
            tags: [...named.values()],
            nodes: new Map([...world].filter(([each]) => isRead(each))),
            neededBy: (each) => (needed.has(each) ? 'Pod' : null),
            roots: [...needed],
            absent: new Set(),
          })
          const deleted = new Set(removals.flatMap(({ digest: root, others }) => [root, ...others]))
          for (const each of whole) expect(deleted.has(each)).toBe(false)
          for (const { tag: text, digest: own } of named.values()) {
            const subject = subjectOfTag(text)
            if (subject !== null && whole.has(subject)) expect(deleted.has(own)).toBe(false)
          }
          for (const [each, { subject }] of world)
            if (subject !== null && whole.has(subject)) expect(deleted.has(each)).toBe(false)
        },
      ),
      runs(2_000),
    )
  })
})
