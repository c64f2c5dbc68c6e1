/**
 * Matches globs with the code of Kyverno and policy-controller. Run as a program (`npm run oracle:policy-globs`), it
 * writes test/fixtures/policy-globs.jsonl.gz, which needs Go; run it after an intended change of the cases or of go.mod.
 */
import { askGoInJson, writeAnswers } from '../go-oracle.ts'
import { type GlobCase, makeCases } from './cases.ts'

/** An error: the engine does not accept the glob or the image. */
export type GlobAnswer = { readonly error: string } | { readonly matches: boolean }

export type GoldenCase = readonly [one: GlobCase, answer: GlobAnswer]

/** Runs the Go program in this directory. */
export function matchWithGo(cases: readonly GlobCase[]): GlobAnswer[] {
  return askGoInJson('policy-globs', cases)
}

function writeGolden(): void {
  const cases = makeCases(2_000, 1)
  const answers = matchWithGo(cases)
  const matching = answers.filter((answer) => 'matches' in answer && answer.matches).length
  writeAnswers('policy-globs', cases, answers, `${matching} match`)
}

if (import.meta.main) writeGolden()
