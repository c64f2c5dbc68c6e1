/** Says whether a verification policy covers an image under any of its names. Pure. */
import { hubReference } from '../decision/fallback/registry-aliases.ts'
import {
  defaultDomain,
  formatReference,
  officialNamespace,
  type Reference,
} from '../decision/reference/reference.ts'
import { covers, type PolicyRule } from './policy-rule.ts'

/** Returns true if a rule verifies the image, with its tag or with any digest. */
export function isVerified(rules: readonly PolicyRule[], reference: Reference): boolean {
  const digest = reference.digest ?? `sha256:${'0'.repeat(64)}`
  const names = [reference, { ...reference, digest }].flatMap(spellings)
  return rules.some((rule) => rule.action === 'verify' && names.some((name) => covers(rule, name)))
}

/** Returns the names that a pod may write for an image. */
function spellings(reference: Reference): string[] {
  const hub = hubReference(reference)
  const name = formatReference(hub)
  if (hub.domain !== defaultDomain) return [name]
  const short = name.slice(defaultDomain.length + 1)
  if (!short.startsWith(officialNamespace)) return [name, short]
  const official = short.slice(officialNamespace.length)
  return [name, short, official, `${defaultDomain}/${official}`]
}
