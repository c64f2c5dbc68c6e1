/** Signs with the identity of a workflow (OpenID Connect), which only cosign can do. Not run outside a workflow. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface KeylessSubjects {
  /** Images by digest, such as `ghcr.io/acme/berth@sha256:…`. */
  readonly images: readonly string[]
  /** The image of Berth, which gets the attestations. */
  readonly image: string
  /** Predicates by the name of their type for cosign. */
  readonly predicates: Readonly<Record<'slsaprovenance1' | 'cyclonedx', string>>
  /** The file of checksums, and where its bundle goes. */
  readonly checksums: string
  readonly bundle: string
}

/**
 * Returns the commands, in order. `predicateFile` names the file of a predicate.
 *
 * @internal
 */
export function keylessCommands(
  { images, image, predicates, checksums, bundle }: KeylessSubjects,
  predicateFile: (type: string) => string,
): readonly (readonly string[])[] {
  return [
    ...images.map((each) => ['sign', '--yes', each]),
    ...Object.keys(predicates).map((type) => [
      'attest',
      '--yes',
      `--type=${type}`,
      `--predicate=${predicateFile(type)}`,
      image,
    ]),
    ['sign-blob', '--yes', `--bundle=${bundle}`, checksums],
  ]
}

/** Runs cosign. Throws if it fails. */
export function signKeyless(subjects: KeylessSubjects): void {
  const directory = mkdtempSync(join(tmpdir(), 'berth-predicates-'))
  const predicateFile = (type: string) => join(directory, `${type}.json`)
  try {
    for (const [type, text] of Object.entries(subjects.predicates))
      writeFileSync(predicateFile(type), text)
    for (const args of keylessCommands(subjects, predicateFile))
      execFileSync('cosign', args, { stdio: ['ignore', 'ignore', 'inherit'] })
  } finally {
    rmSync(directory, { recursive: true })
  }
}
