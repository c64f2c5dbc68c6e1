/**
 * Selects proxies with Go's own code. Run as a program (`npm run oracle:http-proxy`), it writes
 * test/fixtures/http-proxy.jsonl.gz, which needs Go; run it after an intended change of the cases or of go.mod.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { constants, gzipSync } from 'node:zlib'
import { makeCases, type ProxyCase } from './cases.ts'

/** `proxy` is empty for a direct connection. */
export type ProxyAnswer = { readonly error: string } | { readonly proxy: string }

export type GoldenCase = readonly [one: ProxyCase, answer: ProxyAnswer]

const here = fileURLToPath(new URL('.', import.meta.url))
const fixture = fileURLToPath(
  new URL('../../../test/fixtures/http-proxy.jsonl.gz', import.meta.url),
)

/** Runs the Go program in this directory. */
export function selectWithGo(cases: readonly ProxyCase[]): ProxyAnswer[] {
  const { status, stdout, stderr, error } = spawnSync(process.env['GO'] ?? 'go', ['run', '.'], {
    cwd: here,
    input: cases.map((one) => `${JSON.stringify(one)}\n`).join(''),
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
  })
  if (status !== 0) throw new Error(`go run: ${error?.message ?? stderr}`)
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ProxyAnswer)
}

function writeGolden(): void {
  const cases = makeCases(6_000, 1)
  const answers = selectWithGo(cases)
  const lines = cases.map((one, index) => `${JSON.stringify([one, answers[index]])}\n`).join('')
  const bytes = gzipSync(lines, { level: constants.Z_BEST_COMPRESSION })
  writeFileSync(fixture, bytes)
  const proxied = answers.filter((answer) => 'proxy' in answer && answer.proxy !== '').length
  console.log(
    `wrote ${cases.length} cases (${proxied} proxied), ${bytes.length} bytes, to ${fixture}`,
  )
}

if (import.meta.main) writeGolden()
