import { describe, expect, it } from 'vitest'
import { rules } from '../../../src/diagnose/rules/table.ts'
import { corpusParts, isHeldOut, readCorpus, scoreCorpus } from '../../support/diagnose-corpus.ts'

const parts = corpusParts.map((part) => ({
  part,
  entries: readCorpus(part),
  heldOut: part.endsWith('held-out'),
}))
const all = parts.flatMap(({ entries }) => entries)

describe('the corpus', () => {
  it('has more than 550 different messages, each with its source', () => {
    expect(all.length).toBeGreaterThan(550)
    expect(new Set(all.map(({ message }) => message)).size).toBe(all.length)
    expect(all.filter(({ source }) => !source.startsWith('https://'))).toEqual([])
  })

  it('has more than 280 recent messages from other sources', () => {
    const recent = parts.flatMap(({ part, entries }) => (part.startsWith('recent') ? entries : []))
    const older = all.filter((entry) => !recent.includes(entry)).map(({ source }) => source)

    expect(recent.length).toBeGreaterThan(280)
    expect(recent.filter(({ source }) => older.includes(source))).toEqual([])
  })

  it('holds out one third of the messages, by their hash', () => {
    const misplaced = parts.flatMap(({ entries, heldOut }) =>
      entries.filter(({ message }) => isHeldOut(message) !== heldOut),
    )
    const heldOut = parts.flatMap((part) => (part.heldOut ? part.entries : []))

    expect(misplaced).toEqual([])
    expect(heldOut.length / all.length).toBeGreaterThan(0.25)
  })

  it('uses ids, causes and certainties of the table', () => {
    const wrong = all.filter(
      ({ rule, cause, certainty, accept = [] }) =>
        !rules.some(
          (each) => each.id === rule && each.cause === cause && each.certainty === certainty,
        ) || accept.some((id) => id === rule || !rules.some((each) => each.id === id)),
    )

    expect(wrong).toEqual([])
  })
})

describe('open messages', () => {
  const scored = scoreCorpus([...readCorpus('open'), ...readCorpus('recent-open')])

  it.each(scored)('match $rule: $message', ({ rule, accept = [], actual }) => {
    expect([rule, ...accept]).toContain(actual)
  })
})

describe('held-out messages', () => {
  it.each(['held-out', 'recent-held-out'] as const)('match in at least 90 %% of %s', (part) => {
    const scored = scoreCorpus(readCorpus(part))

    expect(scored.filter(({ isRight }) => isRight).length / scored.length).toBeGreaterThan(0.9)
  })
})

describe('a verdict on a message alone', () => {
  it.each(corpusParts)('calls no wrong cause of %s proved', (part) => {
    const wrong = scoreCorpus(readCorpus(part)).filter(({ isWrongProof }) => isWrongProof)

    expect(wrong).toEqual([])
  })
})
