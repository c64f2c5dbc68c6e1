import { fc, runs } from '../../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import { readWhen } from '../../../src/config/when.ts'
import { createConditionIndex } from '../../../src/decision/fallback/condition-index.ts'
import { type PodCondition, testCondition } from '../../../src/decision/fallback/pod-condition.ts'
import type { PodContext } from '../../../src/decision/fallback/pod-context.ts'

type When = NonNullable<Parameters<typeof readWhen>[0]>

function conditionOf(when: When): PodCondition {
  const condition = readWhen(when, [], (_, __, message) => {
    throw new Error(message)
  })
  if (condition === null) throw new Error('no condition')
  return condition
}

const label = fc.constantFrom('a', 'b', 'constructor', '__proto__')
const value = fc.constantFrom('1', '2', '')
const requirement = fc.oneof(
  fc.record({
    key: label,
    operator: fc.constantFrom('In' as const, 'NotIn' as const),
    values: fc.array(value, { minLength: 1, maxLength: 2 }),
  }),
  fc.record({
    key: label,
    operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const),
    values: fc.constant<string[]>([]),
  }),
)
const selector = fc
  .record({
    matchLabels: fc.dictionary(fc.constantFrom('a', 'b'), value, { maxKeys: 2 }),
    matchExpressions: fc.array(requirement, { maxLength: 2 }),
  })
  .filter(
    ({ matchLabels, matchExpressions }) =>
      Object.keys(matchLabels).length + matchExpressions.length > 0,
  )
const namespaceGlob = fc.constantFrom('x', 'x-*', '*-x', '*', 'x?', '?-x', '[xy]-1', 'x-[12]')
const ownerPattern = fc.constantFrom('apps/ReplicaSet', 'apps/*', 'x.io/Y', '/Node', '/*')
const when: fc.Arbitrary<When> = fc
  .record(
    {
      namespaces: fc.array(namespaceGlob, { minLength: 1, maxLength: 2 }),
      pods: selector,
      owners: fc.array(ownerPattern, { minLength: 1, maxLength: 2 }),
    },
    { requiredKeys: [] },
  )
  .filter((each) => Object.keys(each).length > 0)
const unknown = fc.constant(null)
const pod: fc.Arbitrary<PodContext> = fc.record({
  namespace: fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom('x', 'x-1', 'a-x', 'xy', 'z') },
    unknown,
  ),
  labels: fc.oneof(
    { weight: 9, arbitrary: fc.dictionary(label, fc.oneof(value, fc.constant(7))) },
    unknown,
  ),
  owners: fc.oneof(
    { weight: 9, arbitrary: fc.array(fc.constantFrom('apps/ReplicaSet', 'x.io/Y', '/Node')) },
    unknown,
  ),
})

describe('createConditionIndex', () => {
  it('finds the conditions that a test of all conditions finds', () => {
    fc.assert(
      fc.property(fc.array(when, { maxLength: 12 }), pod, (whens, context) => {
        const conditions = whens.map(conditionOf)
        const positions = (result: string) =>
          [...conditions.keys()].filter((position) => {
            const condition = conditions[position] ?? null
            return testCondition(condition, context) === result
          })

        expect(createConditionIndex(conditions).find(context)).toEqual({
          holding: positions('holds'),
          unknown: positions('unknown'),
        })
      }),
      runs(5_000),
    )
  })

  it('tests few of 10,000 conditions', () => {
    let tested = 0
    const counted = (when: When): PodCondition => {
      const { namespaces, ...condition } = conditionOf(when)
      const counting = (namespaces ?? []).map((glob) => ({
        ...glob,
        matches: (name: string) => {
          tested++
          return glob.matches(name)
        },
      }))
      return { ...condition, namespaces: counting }
    }
    const conditions = Array.from({ length: 10_000 }, (_, index) =>
      counted({
        namespaces: [[`team-${index}`, `team-${index}-*`, `*-team-${index}`][index % 3] ?? ''],
      }),
    )
    const index = createConditionIndex(conditions)
    const context = { namespace: 'team-4999-eu', labels: {}, owners: [] }

    expect(index.find(context).holding).toEqual([4_999])
    expect(index.find({ ...context, namespace: 'team-300' }).holding).toEqual([300])
    expect(tested).toBeLessThan(20)
  })
})

describe('testCondition', () => {
  const condition = conditionOf({
    namespaces: ['db-*'],
    pods: { matchLabels: { app: 'db' }, matchExpressions: [] },
    owners: ['x.io/Y', 'acid.zalan.do/*'],
  })
  const meets: PodContext = { namespace: 'db-1', labels: { app: 'db' }, owners: ['x.io/Y'] }

  it.each<[string, Partial<PodContext>, string]>([
    ['all parts match', {}, 'holds'],
    [
      'an owner is of a kind of the group',
      { owners: ['/Node', 'acid.zalan.do/postgresql'] },
      'holds',
    ],
    ['the namespace only contains the glob', { namespace: 'my-db-1' }, 'fails'],
    ['a label differs', { labels: { app: 'web' } }, 'fails'],
    ['the group of the owner only begins alike', { owners: ['acid.zalan.do.evil/Z'] }, 'fails'],
    ['there is no owner', { owners: [] }, 'fails'],
    ['a part is not known', { owners: null }, 'unknown'],
    ['a part is not known and another one differs', { owners: null, labels: {} }, 'fails'],
  ])('returns the result if %s', (_, change, result) => {
    expect(testCondition(condition, { ...meets, ...change })).toBe(result)
  })
})
