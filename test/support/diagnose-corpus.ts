/** Messages of real pulls that failed, each with where it was published and what it means (test/fixtures/diagnose). */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

export interface Fixture {
  readonly message: string
  readonly source: string
  readonly rule: string
  readonly cause: string
  readonly certainty: string
}

export type Part = 'open' | 'held-out'

export function fixtures(part: Part): Fixture[] {
  const url = new URL(`../fixtures/diagnose/${part}.json`, import.meta.url)
  return JSON.parse(readFileSync(url, 'utf8')) as Fixture[]
}

/** One third is held out, chosen by the message itself: rules are not written for it. */
export function partOf(message: string): Part {
  const digest = createHash('sha256').update(message).digest()
  return digest.readUInt32BE() % 3 === 0 ? 'held-out' : 'open'
}
