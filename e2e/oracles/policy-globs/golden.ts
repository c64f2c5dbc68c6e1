/**
 * Matches globs with the code of Kyverno and policy-controller. Run as a program (`npm run oracle:policy-globs`), it
 * writes test/fixtures/policy-globs.jsonl.gz, which needs Go; run it after an intended change of the cases or of go.mod.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { constants, gzipSync } from 'node:zlib'
import { type GlobCase, makeCases } from './cases.ts'

/** An error: the engine does not accept the glob or the image. */
export type GlobAnswer = { readonly error: string } | { readonly matches: boolean }

export type GoldenCase = readonly [one: GlobCase, answer: GlobAnswer]

const here = fileURLToPath(new URL('.', import.meta.url))
const fixture = fileURLToPath(
  new URL('../../../test/fixtures/policy-globs.jsonl.gz', import.meta.url),
)

/** Runs the Go program in this directory. */
export function matchWithGo(cases: readonly GlobCase[]): GlobAnswer[] {
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
    .map((line) => JSON.parse(line) as GlobAnswer)
}

function writeGolden(): void {
  const cases = makeCases(2_000, 1)
  const answers = matchWithGo(cases)
  const lines = cases.map((one, index) => `${JSON.stringify([one, answers[index]])}\n`).join('')
  const bytes = gzipSync(lines, { level: constants.Z_BEST_COMPRESSION })
  writeFileSync(fixture, bytes)
  const matching = answers.filter((answer) => 'matches' in answer && answer.matches).length
  console.log(
    `wrote ${cases.length} cases (${matching} match), ${bytes.length} bytes, to ${fixture}`,
  )
}

if (import.meta.main) writeGolden()
