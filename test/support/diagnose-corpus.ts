/** Reads the corpus of pull failures: real messages, each with its public source and its rule (test/fixtures/diagnose). */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

export interface CorpusMessage {
  readonly message: string
  readonly source: string
  readonly rule: string
  readonly cause: string
  readonly certainty: string
}

export const corpusParts = ['open', 'held-out'] as const
export type CorpusPart = (typeof corpusParts)[number]

export function readCorpus(part: CorpusPart): CorpusMessage[] {
  const url = new URL(`../fixtures/diagnose/${part}.json`, import.meta.url)
  return JSON.parse(readFileSync(url, 'utf8')) as CorpusMessage[]
}

/** Returns the part of a message. A hash of the message holds one third out, for which no rules are written. */
export function partOf(message: string): CorpusPart {
  const digest = createHash('sha256').update(message).digest()
  return digest.readUInt32BE() % 3 === 0 ? 'held-out' : 'open'
}
