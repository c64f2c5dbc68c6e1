/**
 * Selects proxies with Go's own code. Run as a program (`npm run oracle:http-proxy`), it writes
 * test/fixtures/http-proxy.jsonl.gz, which needs Go; run it after an intended change of the cases or of go.mod.
 */
import { askGoInJson, writeAnswers } from '../go-oracle.ts'
import { makeCases, type ProxyCase } from './cases.ts'

/** `proxy` is empty for a direct connection. */
export type ProxyAnswer = { readonly error: string } | { readonly proxy: string }

export type GoldenCase = readonly [one: ProxyCase, answer: ProxyAnswer]

/** Runs the Go program in this directory. */
export function selectWithGo(cases: readonly ProxyCase[]): ProxyAnswer[] {
  return askGoInJson('http-proxy', cases)
}

function writeGolden(): void {
  const cases = makeCases(6_000, 1)
  const answers = selectWithGo(cases)
  const proxied = answers.filter((answer) => 'proxy' in answer && answer.proxy !== '').length
  writeAnswers('http-proxy', cases, answers, `${proxied} proxied`)
}

if (import.meta.main) writeGolden()
