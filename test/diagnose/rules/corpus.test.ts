import { describe, expect, it } from 'vitest'
import { classify } from '../../../src/diagnose/rules/classify.ts'
import { rules } from '../../../src/diagnose/rules/table.ts'
import { fixtures, partOf } from '../../support/diagnose-corpus.ts'

const open = fixtures('open')
const heldOut = fixtures('held-out')
const all = [...open, ...heldOut]

describe('the corpus', () => {
  it('has more than 250 messages, none twice, each with its source', () => {
    expect(all.length).toBeGreaterThan(250)
    expect(new Set(all.map(({ message }) => message)).size).toBe(all.length)
    expect(all.filter(({ source }) => !source.startsWith('https://'))).toEqual([])
  })

  it('is split by the hash of the message, one third held out', () => {
    expect(open.filter(({ message }) => partOf(message) !== 'open')).toEqual([])
    expect(heldOut.filter(({ message }) => partOf(message) !== 'held-out')).toEqual([])
    expect(heldOut.length / all.length).toBeGreaterThan(0.25)
  })

  it('names rules and causes as the table does', () => {
    const wrong = all.filter(
      ({ rule, cause, certainty }) =>
        !rules.some(
          (each) => each.id === rule && each.cause === cause && each.certainty === certainty,
        ),
    )

    expect(wrong).toEqual([])
  })
})

describe('open messages', () => {
  it.each(open)('$rule $message', ({ message, rule, cause }) => {
    const verdict = classify(message)

    expect([verdict.rule.id, verdict.rule.cause]).toEqual([rule, cause])
  })
})

describe('held-out messages', () => {
  it('get the right rule nine times in ten', () => {
    const right = heldOut.filter(({ message, rule }) => classify(message).rule.id === rule)

    expect(right.length / heldOut.length).toBeGreaterThanOrEqual(0.9)
  })
})
