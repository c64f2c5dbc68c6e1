/** Reads `mirror.verify` of the config: what an image needs before it is copied. Reads no file. */
import { resolve as resolvePath } from 'node:path'
import { parsePublicKeys } from '../signatures/public-keys.ts'
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

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

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

function durationMs(text: string): number {
  return Number.parseInt(text, 10) * unitMs[text.slice(-1) as keyof typeof unitMs]
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

/** No message repeats the key, which may be a private one. */
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

/** Compiles an identity in which `*` stands for any characters; null if it has no others. The work is linear. */
export function compileIdentity(text: string): ((identity: string) => boolean) | null {
  const [start = '', ...rest] = text.split('*')
  const end = rest.pop()
  if (end === undefined) return (identity) => identity === text
  if (/^\**$/.test(text)) return null
  return (identity) => {
    if (identity.length < start.length + end.length) return false
    if (!identity.startsWith(start) || !identity.endsWith(end)) return false
    const middle = identity.slice(start.length, identity.length - end.length)
    let at = 0
    return rest.every((part) => {
      const found = middle.indexOf(part, at)
      at = found + part.length
      return found !== -1
    })
  }
}
