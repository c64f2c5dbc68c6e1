/**
 * Parses images with the code of the kubelet and of containerd. Run as a program (`npm run oracle:containerd-reference`), it
 * writes test/fixtures/containerd-reference.jsonl.gz, which needs Go; run it after an intended change of the cases or of go.mod.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { constants, gzipSync } from 'node:zlib'
import { makeImages } from './cases.ts'

/** `pulled` is the name that containerd resolves, on the registry `host`. An error: no container runtime pulls the image. */
export type ReferenceAnswer =
  { readonly error: string } | { readonly pulled: string; readonly host: string }

export type GoldenCase = readonly [image: string, answer: ReferenceAnswer]

const here = fileURLToPath(new URL('.', import.meta.url))
const fixture = fileURLToPath(
  new URL('../../../test/fixtures/containerd-reference.jsonl.gz', import.meta.url),
)

/** Runs the Go program in this directory. */
export function parseWithContainerd(images: readonly string[]): ReferenceAnswer[] {
  const { status, stdout, stderr, error } = spawnSync(process.env['GO'] ?? 'go', ['run', '.'], {
    cwd: here,
    input: images.map((image) => `${JSON.stringify(image)}\n`).join(''),
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
  })
  if (status !== 0) throw new Error(`go run: ${error?.message ?? stderr}`)
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ReferenceAnswer)
}

function writeGolden(): void {
  const images = makeImages(6_000, 1)
  const answers = parseWithContainerd(images)
  const lines = images.map((one, index) => `${JSON.stringify([one, answers[index]])}\n`).join('')
  const bytes = gzipSync(lines, { level: constants.Z_BEST_COMPRESSION })
  writeFileSync(fixture, bytes)
  const accepted = answers.filter((answer) => 'pulled' in answer).length
  console.log(
    `wrote ${images.length} images (${accepted} accepted), ${bytes.length} bytes, to ${fixture}`,
  )
}

if (import.meta.main) writeGolden()
