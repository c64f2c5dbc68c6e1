import { describe, expect, it } from 'vitest'
import { classify } from '../../../src/diagnose/rules/classify.ts'
import { rules } from '../../../src/diagnose/rules/table.ts'
import { partOf, readCorpus } from '../../support/diagnose-corpus.ts'

const open = readCorpus('open')
const heldOut = readCorpus('held-out')
const all = [...open, ...heldOut]

describe('the corpus', () => {
  it('has more than 250 different messages, each with its source', () => {
    expect(all.length).toBeGreaterThan(250)
    expect(new Set(all.map(({ message }) => message)).size).toBe(all.length)
    expect(all.filter(({ source }) => !source.startsWith('https://'))).toEqual([])
  })

  it('holds out one third of the messages, by their hash', () => {
    expect(open.filter(({ message }) => partOf(message) !== 'open')).toEqual([])
    expect(heldOut.filter(({ message }) => partOf(message) !== 'held-out')).toEqual([])
    expect(heldOut.length / all.length).toBeGreaterThan(0.25)
  })

  it('uses ids, causes and certainties of the table', () => {
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
  it.each(open)('match $rule: $message', ({ message, rule, cause }) => {
    const found = classify(message).rule

    expect([found.id, found.cause]).toEqual([rule, cause])
  })
})

describe('held-out messages', () => {
  it('match the right rule in at least 90 % of the cases', () => {
    const right = heldOut.filter(({ message, rule }) => classify(message).rule.id === rule)

    expect(right.length / heldOut.length).toBeGreaterThanOrEqual(0.9)
  })
})
