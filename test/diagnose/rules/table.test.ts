import { describe, expect, it } from 'vitest'
import { ruleByCause, rules, unknown } from '../../../src/diagnose/rules/table.ts'

describe('the rule table', () => {
  it('has every id and every cause once', () => {
    expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length)
    expect(new Set(rules.map(({ cause }) => cause)).size).toBe(rules.length)
  })

  it('finds every rule by its cause', () => {
    expect(rules.map(({ cause }) => ruleByCause(cause))).toEqual(rules)
  })

  it('has a single rule with an unknown certainty, which is tried last', () => {
    expect(rules.filter(({ certainty }) => certainty === 'unknown')).toEqual([unknown])
    expect(rules.at(-1)).toBe(unknown)
  })

  it('proves by a probe only what it probes', () => {
    const unprobed = rules.filter(
      ({ provedByProbe, probes }) => provedByProbe !== undefined && probes === undefined,
    )

    expect(unprobed).toEqual([])
  })

  it('proves by a node only where it reads the node', () => {
    const unread = rules.filter(
      ({ provedByNode, readsNode }) => provedByNode !== undefined && readsNode === undefined,
    )

    expect(unread).toEqual([])
  })
})
