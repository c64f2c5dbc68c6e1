/**
 * Looks up credentials with the code of the kubelet. Run as a program (`npm run oracle:kubelet-keyring`), it writes
 * test/fixtures/kubelet-keyring.jsonl.gz, which needs Go; run it after an intended change of the cases or of go.mod.
 */
import { askGoInJson, writeAnswers } from '../go-oracle.ts'
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

/** Runs the Go program in this directory. */
export function runKubeletKeyring(cases: readonly KeyringCase[]): KeyringAnswer[] {
  return askGoInJson('kubelet-keyring', cases)
}

function writeGolden(): void {
  const cases = makeCases(10_000, 1)
  const answers = runKubeletKeyring(cases)
  const tried = answers.filter((answer) => 'tried' in answer).length
  writeAnswers('kubelet-keyring', cases, answers, `${tried} with credentials`)
}

if (import.meta.main) writeGolden()
