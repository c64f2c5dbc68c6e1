/** Runs the Go program of an oracle, and keeps its answers for machines without Go. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { constants, gzipSync } from 'node:zlib'

/**
 * Gives the program one line per question, and returns its lines. Throws if it fails. `oracle` is the name of its directory,
 * and `flags` are those of `go run`.
 */
export function askGo(
  oracle: string,
  questions: readonly string[],
  flags: readonly string[] = [],
): string[] {
  const args = ['run', ...flags, '.']
  const { status, stdout, stderr, error } = spawnSync(process.env['GO'] ?? 'go', args, {
    cwd: fileURLToPath(new URL(oracle, import.meta.url)),
    input: questions.map((question) => `${question}\n`).join(''),
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
  })
  if (status !== 0) throw new Error(`go run: ${error?.message ?? stderr}`)
  return stdout.trimEnd().split('\n')
}

/** As `askGo`, with questions and answers in JSON. */
export function askGoInJson<Answer>(
  oracle: string,
  questions: readonly unknown[],
  flags: readonly string[] = [],
): Answer[] {
  const texts = questions.map((question) => JSON.stringify(question))
  const lines = askGo(oracle, texts, flags)
  return lines.map((line) => JSON.parse(line) as Answer)
}

/** Writes each question with its answer to test/fixtures, compressed. Prints how many, and `note`. */
export function writeAnswers(
  oracle: string,
  questions: readonly unknown[],
  answers: readonly unknown[],
  note: string,
): void {
  const lines = questions.map((one, index) => `${JSON.stringify([one, answers[index]])}\n`).join('')
  const bytes = gzipSync(lines, { level: constants.Z_BEST_COMPRESSION })
  const file = fileURLToPath(new URL(`../../test/fixtures/${oracle}.jsonl.gz`, import.meta.url))
  writeFileSync(file, bytes)
  console.log(`wrote ${questions.length} cases (${note}), ${bytes.length} bytes, to ${file}`)
}
