/**
 * Compares which proxy Berth and Go use. e2e/oracles/http-proxy/golden.ts created the stored answers of Go. With Go installed,
 * `PROXY_ORACLE=1` asks Go about 50,000 more cases.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { makeCases } from '../../e2e/oracles/http-proxy/cases.ts'
import { type GoldenCase, selectWithGo } from '../../e2e/oracles/http-proxy/golden.ts'
import { proxyRulesFromEnvironment } from '../../src/proxy/proxy-rules.ts'

const { PROXY_ORACLE, FUZZ_SEED } = process.env

function readCases(): GoldenCase[] {
  const fixture = new URL('../fixtures/http-proxy.jsonl.gz', import.meta.url)
  const stored = gunzipSync(readFileSync(fixture))
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as GoldenCase)
  if (PROXY_ORACLE === undefined) return stored
  const cases = makeCases(50_000, Number(FUZZ_SEED ?? Date.now() % 2 ** 31))
  const answers = selectWithGo(cases)
  return [...stored, ...cases.map((one, index) => [one, answers[index]] as GoldenCase)]
}

/** The parts of Go's answer that a connection uses. */
function connectionOf(proxy: string) {
  if (proxy === '') return null
  const { protocol, host, username, password } = new URL(proxy)
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return {
    name: `${protocol}//${host}`,
    authorization: pair === ':' ? null : `Basic ${Buffer.from(pair).toString('base64')}`,
  }
}

it('selects the proxy that Go selects', () => {
  const cases = readCases()
  expect(cases.length).toBeGreaterThan(15_000)
  const different = cases.filter(([{ env, url }, answer]) => {
    const proxy = proxyRulesFromEnvironment(env)(new URL(url))
    const chosen = proxy === null ? null : { name: proxy.name, authorization: proxy.authorization }
    const expected = 'error' in answer ? answer : connectionOf(answer.proxy)
    return JSON.stringify(chosen) !== JSON.stringify(expected)
  })

  expect(different.slice(0, 10)).toEqual([])
})
