/** Reads `mirror.verify` of the config: what an image needs before it is copied. Reads no file. */
import { resolve as resolvePath } from 'node:path'
import { parsePublicKeys } from '../signatures/public-keys.ts'
import { durationMs } from '../text/units.ts'
import type { CosignRule, TrustSource, VerifyRule } from './config.ts'
import { readPatterns } from './fallback-rows.ts'
import type { PathPart, ReportProblem } from './problem.ts'
import type { ConfigInput } from './schema.ts'

type CosignInput = NonNullable<ConfigInput['mirror']['verify'][number]['cosign']>

interface ReadOptions {
  /** Relative paths start from here. */
  readonly directory: string
  readonly report: ReportProblem
}

/** In characters. Anyone can get a certificate with a long identity; the identities of workflows have 100 to 200. */
const maxIdentityLength = 2_048

/** Returns the entries, without the `cosign` of those that are invalid. */
export function readVerifyRules(
  inputs: ConfigInput['mirror']['verify'],
  { directory, report }: ReadOptions,
): VerifyRule[] {
  return inputs.map(({ images, cosign, minAge }, index) => {
    const path = ['mirror', 'verify', index]
    if (cosign === undefined && minAge === undefined)
      report(
        'error',
        path,
        'the entry has neither `cosign` nor `minAge`; add one of them, or `minAge: 0s` to accept these images',
      )
    return {
      name: `mirror.verify[${index}]`,
      images: readPatterns(images, [...path, 'images'], report),
      cosign:
        cosign === undefined
          ? null
          : readCosign(cosign, directory, (key, message) =>
              report('error', [...path, 'cosign', ...key], message),
            ),
      minAgeMs: minAge === undefined ? null : durationMs(minAge),
    }
  })
}

type ReportCosign = (key: readonly PathPart[], message: string) => void

function readCosign(
  { key, identity, issuer, trustedRoot }: CosignInput,
  directory: string,
  reportError: ReportCosign,
): CosignRule | null {
  const keyless = { identity, issuer, trustedRoot }
  if (key !== undefined) {
    for (const [name, value] of Object.entries(keyless)) {
      if (value !== undefined)
        reportError([name], `\`${name}\` is for keyless signatures; remove it, or remove \`key\``)
    }
    const source = readKeySource(key, directory, (message) => reportError(['key'], message))
    return source === null ? null : { kind: 'key', source }
  }
  if (identity === undefined && issuer === undefined) {
    reportError([], 'add `key`, or `identity` and `issuer`')
    return null
  }
  if (identity === undefined || issuer === undefined) {
    const missing = identity === undefined ? 'identity' : 'issuer'
    const why = 'anyone can get a certificate for the same name from another issuer'
    reportError([], `\`${missing}\` is missing; add it: ${why}`)
    return null
  }
  if (trustedRoot === undefined) {
    const fix = 'write it to a file with `cosign trusted-root create --with-default-services`'
    reportError([], `\`trustedRoot\` is missing, and Berth does not download it; ${fix}`)
    return null
  }
  const matches = compileIdentity(identity)
  if (matches === null)
    reportError(['identity'], 'trusts everyone; write at least the organization')
  return {
    kind: 'identity',
    identity,
    issuer,
    matches: matches ?? (() => false),
    trustedRoot: trustedRoot.trimStart().startsWith('{')
      ? { text: trustedRoot }
      : { file: resolvePath(directory, trustedRoot) },
  }
}

/** No message repeats the key, because it may be a private key. */
function readKeySource(
  key: string,
  directory: string,
  reportError: (message: string) => void,
): TrustSource | null {
  if (key.includes('-----BEGIN')) {
    const parsed = parsePublicKeys(key)
    if (!parsed.ok) reportError(`the key ${parsed.message}`)
    return parsed.ok ? { text: key } : null
  }
  if (/^[a-z0-9]+:\/\//.test(key)) {
    reportError(
      'Berth asks no key management service; write the public key to a file with `cosign public-key --key URI`',
    )
    return null
  }
  return { file: resolvePath(directory, key) }
}

/**
 * Compiles an identity in which `*` matches any characters except `/`, and `**` any characters. Returns null if it consists of
 * wildcards only. The work is proportional to the product of both lengths.
 *
 * @internal Exported for tests.
 */
export function compileIdentity(text: string): ((identity: string) => boolean) | null {
  const parts = text.match(/\*+|[^*]+/g) ?? []
  if (!parts.some((part) => !part.startsWith('*'))) return null
  return (identity) => {
    if (identity.length > maxIdentityLength) return false
    let ends: readonly number[] = [0]
    for (const part of parts) {
      ends = part.startsWith('*')
        ? endsOfWildcard(identity, ends, part === '*')
        : ends.flatMap((end) => (identity.startsWith(part, end) ? [end + part.length] : []))
    }
    return ends.includes(identity.length)
  }
}

/** Returns the offsets, in order, at which a wildcard can end that starts at one of `ends`. */
function endsOfWildcard(text: string, ends: readonly number[], isSegment: boolean): number[] {
  const starts = new Set(ends)
  const reached: number[] = []
  for (let at = 0; at <= text.length; at += 1) {
    const continues = reached.at(-1) === at - 1 && !(isSegment && text[at - 1] === '/')
    if (starts.has(at) || (at > 0 && continues)) reached.push(at)
  }
  return reached
}
