/**
 * Parses images with the code of the kubelet and of containerd. Run as a program (`npm run oracle:containerd-reference`), it
 * writes test/fixtures/containerd-reference.jsonl.gz, which needs Go; run it after an intended change of the cases or of go.mod.
 */
import { askGoInJson, writeAnswers } from '../go-oracle.ts'
import { makeImages } from './cases.ts'

/** `pulled` is the name that containerd resolves, on the registry `host`. An error: no container runtime pulls the image. */
export type ReferenceAnswer =
  { readonly error: string } | { readonly pulled: string; readonly host: string }

export type GoldenCase = readonly [image: string, answer: ReferenceAnswer]

/** Runs the Go program in this directory. */
export function parseWithContainerd(images: readonly string[]): ReferenceAnswer[] {
  return askGoInJson('containerd-reference', images)
}

function writeGolden(): void {
  const images = makeImages(6_000, 1)
  const answers = parseWithContainerd(images)
  const accepted = answers.filter((answer) => 'pulled' in answer).length
  writeAnswers('containerd-reference', images, answers, `${accepted} accepted`)
}

if (import.meta.main) writeGolden()
