/** Reads the files that `mirror.verify` names: public keys, and trusted roots of sigstore. */
import type { KeyObject } from 'node:crypto'
import { describeFileError } from '../files/describe-file-error.ts'
import { readRegularFile } from '../files/read-limited.ts'
import type { JsonObject } from '../json/json.ts'
import { parsePublicKeys } from '../signatures/public-keys.ts'
import { maxTrustedRootBytes, parseTrustedRoot } from '../signatures/trusted-root.ts'
import type { CosignRule, TrustSource, VerifyRule } from './config.ts'
import type { ReportProblem } from './problem.ts'
import { shownPath } from './redact.ts'

/** Most keys take a few hundred bytes; an RSA key of 8192 bits takes 1.4 KB. */
const maxKeyBytes = 64 * 1024

/** The parsed content of a file, or why there is none: the file cannot be read (`isMissing`), or it is invalid. */
export type TrustFile<Content> =
  | { readonly ok: true; readonly content: Content }
  | { readonly ok: false; readonly isMissing: boolean; readonly message: string }

/** Returns the public keys of an entry. */
export function readKeys(source: TrustSource): TrustFile<readonly KeyObject[]> {
  const read = readSource(source, maxKeyBytes)
  if (!read.ok) return read
  const parsed = parsePublicKeys(read.content.toString('utf8'))
  if (parsed.ok) return { ok: true, content: parsed.keys }
  return { ok: false, isMissing: false, message: `the key ${nameOf(source)} ${parsed.message}` }
}

/** Returns the trusted root of an entry as JSON. */
export function readTrustedRoot(source: TrustSource): TrustFile<JsonObject> {
  const read = readSource(source, maxTrustedRootBytes)
  if (!read.ok) return read
  const content = parseTrustedRoot(read.content)
  if (content !== null) return { ok: true, content }
  const fix = 'create it with `cosign trusted-root create --with-default-services`'
  const name = 'text' in source ? 'the text' : nameOf(source)
  const message = `${name} is not a trusted root of sigstore; ${fix}`
  return { ok: false, isMissing: false, message }
}

/**
 * Reports files that are missing or invalid. A missing file is a warning: only processes that copy images need it, and it may
 * be mounted later.
 */
export function checkVerifyFiles(rules: readonly VerifyRule[], report: ReportProblem): void {
  for (const [index, { cosign }] of rules.entries()) {
    if (cosign === null) continue
    const result = readTrust(cosign)
    if (result.ok) continue
    const path = [
      'mirror',
      'verify',
      index,
      'cosign',
      cosign.kind === 'key' ? 'key' : 'trustedRoot',
    ]
    const effect = result.isMissing ? '; until Berth can read it, it refuses these images' : ''
    report(result.isMissing ? 'warning' : 'error', path, `${result.message}${effect}`)
  }
}

function readTrust(cosign: CosignRule): TrustFile<unknown> {
  return cosign.kind === 'key' ? readKeys(cosign.source) : readTrustedRoot(cosign.trustedRoot)
}

function readSource(source: TrustSource, maxBytes: number): TrustFile<Buffer> {
  if ('text' in source) return { ok: true, content: Buffer.from(source.text) }
  try {
    return { ok: true, content: readRegularFile(source.file, maxBytes) }
  } catch (error) {
    const message = `cannot read ${nameOf(source)}: ${describeFileError(error)}`
    return { ok: false, isMissing: true, message }
  }
}

/** Returns the path of the file for messages. */
export function nameOf(source: TrustSource): string {
  return 'text' in source ? 'in the config' : shownPath(source.file, source.file)
}
