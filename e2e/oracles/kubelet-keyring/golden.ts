/**
 * Looks up credentials with the code of the kubelet. Run as a program (`npm run oracle:kubelet-keyring`), it writes
 * test/fixtures/kubelet-keyring.jsonl.gz, which needs Go; run it after an intended change of the cases or of go.mod.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { constants, gzipSync } from 'node:zlib'
import { type KeyringCase, makeCases } from './cases.ts'

export interface Tried {
  readonly secret: string
  readonly key: string
  readonly username: string
  readonly password: string
}

export type KeyringAnswer =
  | { readonly error: string }
  | {
      readonly repository: string
      /** The keys in the secrets, by their normalized form in the keyring. */
      readonly keys?: Readonly<Record<string, readonly string[]>>
      readonly tried?: readonly Tried[]
    }

export type GoldenCase = readonly [keyringCase: KeyringCase, answer: KeyringAnswer]

const here = fileURLToPath(new URL('.', import.meta.url))
const fixture = fileURLToPath(
  new URL('../../../test/fixtures/kubelet-keyring.jsonl.gz', import.meta.url),
)

/** Runs the Go program in this directory. */
export function runKubeletKeyring(cases: readonly KeyringCase[]): KeyringAnswer[] {
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
    .map((line) => JSON.parse(line) as KeyringAnswer)
}

function writeGolden(): void {
  const cases = makeCases(10_000, 1)
  const answers = runKubeletKeyring(cases)
  const lines = cases.map((one, index) => `${JSON.stringify([one, answers[index]])}\n`).join('')
  const bytes = gzipSync(lines, { level: constants.Z_BEST_COMPRESSION })
  writeFileSync(fixture, bytes)
  console.log(`wrote ${cases.length} cases, ${bytes.length} bytes, to ${fixture}`)
}

if (import.meta.main) writeGolden()
