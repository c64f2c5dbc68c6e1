/** Reads the corpus of pull failures: real messages, each with its public source and its rule (test/fixtures/diagnose). */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { classify, classifyLine } from '../../src/diagnose/rules/classify.ts'
import { diagnoseMessage } from '../../src/diagnose/verdict.ts'

export interface CorpusMessage {
  readonly message: string
  readonly source: string
  readonly rule: string
  readonly cause: string
  readonly certainty: string
  /** Other rules that are right too, where the text itself does not tell them apart. */
  readonly accept?: readonly string[]
}

/** The recent parts are of 2023 and later, from other sources than the first two. */
export const corpusParts = ['open', 'held-out', 'recent-open', 'recent-held-out'] as const
export type CorpusPart = (typeof corpusParts)[number]

export function readCorpus(part: CorpusPart): CorpusMessage[] {
  const url = new URL(`../fixtures/diagnose/${part}.json`, import.meta.url)
  return JSON.parse(readFileSync(url, 'utf8')) as CorpusMessage[]
}

/** Returns whether the message is held out. A hash of the message holds out one third, for which no rules are written. */
export function isHeldOut(message: string): boolean {
  return createHash('sha256').update(message).digest().readUInt32BE() % 3 === 0
}

export interface Scored extends CorpusMessage {
  readonly actual: string
  readonly isRight: boolean
  /** Whether the message alone leads to a wrong cause that is called proved. */
  readonly isWrongProof: boolean
}

/** Classifies each message as `berth diagnose --message` does. */
export function scoreCorpus(messages: readonly CorpusMessage[]): Scored[] {
  return messages.map((entry) => {
    const right = [entry.rule, ...(entry.accept ?? [])]
    const actual = classifyLine(entry.message).rule.id
    const isProved = diagnoseMessage(entry.message, null).certainty === 'proved'
    return {
      ...entry,
      actual,
      isRight: right.includes(actual),
      isWrongProof: isProved && !right.includes(classify(entry.message).rule.id),
    }
  })
}
