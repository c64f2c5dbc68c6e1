/** Finds what the validate rules of Kyverno say about images: patterns, and what Berth cannot evaluate. Pure. */
import { isObject, member, textMember } from '../json/json.ts'
import type { DocumentPath } from '../manifests/manifests.ts'
import { kyvernoPatterns } from './engine-name.ts'
import {
  formatObjectPath,
  matchesAny,
  type PolicyGlob,
  type PolicyObject,
  type PolicyRule,
  type UncheckedPart,
} from './policy-rule.ts'
import { compileWildcard } from './wildcard.ts'

/** In levels. The containers of a CronJob are at depth 9. */
const maxDepth = 32

/** The key of a list of containers, with the anchors of Kyverno for optional keys. */
const listKey = /^(?:[=X]\()?(?:containers|initContainers|ephemeralContainers)\)?$/

/** Returns one rule for each image pattern, and one for the other parts if they mention images. */
export function readPatternRules(
  policy: PolicyObject,
  rule: unknown,
  path: DocumentPath,
): PolicyRule[] {
  const validate = member(rule, 'validate')
  if (!isObject(validate)) return []
  const validatePath = [...path, 'validate']
  const patterns = imagePatterns(member(validate, 'pattern'), [...validatePath, 'pattern'], 0)
  const rules = patterns.map(({ text, path: at }) => patternRule(policy, text, at))
  const { pattern: _, message: __, ...others } = validate
  const rest = JSON.stringify(others) ?? ''
  if (!/image/i.test(rest)) return rules
  const place = formatObjectPath(validatePath)
  const text = Object.keys(others).join(', ')
  return [
    ...rules,
    uncheckedRule(policy, place, { place, text, reason: 'Berth evaluates only `pattern`' }),
  ]
}

interface ImageValue {
  readonly text: string
  readonly path: DocumentPath
}

/** Finds `containers: [{ image: … }]` in a pattern. */
function imagePatterns(value: unknown, path: DocumentPath, depth: number): ImageValue[] {
  if (depth > maxDepth || typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, child]: [string, unknown]) => {
    const childPath = [...path, key]
    if (!listKey.test(key) || !Array.isArray(child))
      return imagePatterns(child, childPath, depth + 1)
    return child.flatMap((container: unknown, index) => {
      const text = textMember(container, 'image')
      return text === '' ? [] : [{ text, path: [...childPath, index, 'image'] }]
    })
  })
}

/** `a | b | !c`: each part is a glob, and `!` negates it (Kyverno, pkg/engine/pattern). */
function patternRule(policy: PolicyObject, text: string, path: DocumentPath): PolicyRule {
  const place = formatObjectPath(path)
  const unsupported = (reason: string) => uncheckedRule(policy, place, { place, text, reason })
  if (/[&<>]|\{\{|\$\(/.test(text))
    return unsupported('Berth evaluates only `|` and `!` in a pattern')
  const allowed: PolicyGlob[] = []
  const refused: PolicyGlob[] = []
  for (const part of text.split('|').map((each) => each.trim())) {
    const isNegated = part.startsWith('!') && part.length > 1
    const glob = isNegated ? part.slice(1) : part
    const compiled = compileWildcard(glob, kyvernoPatterns.syntax)
    if (!compiled.ok) return unsupported(compiled.message)
    const target = isNegated ? refused : allowed
    target.push({ text: glob, alternatives: compiled.alternatives })
  }
  return {
    policy,
    place,
    action: 'restrict',
    engine: kyvernoPatterns,
    globs: allowed,
    skipped: refused,
    prefixes: [],
    unchecked: [],
    list: { path, form: 'pattern' },
    skipList: null,
    coversName: (name) =>
      matchesAny(allowed, name) || refused.some((glob) => !matchesAny([glob], name)),
  }
}

function uncheckedRule(policy: PolicyObject, place: string, part: UncheckedPart): PolicyRule {
  return {
    policy,
    place,
    action: 'restrict',
    engine: kyvernoPatterns,
    globs: [],
    skipped: [],
    prefixes: [],
    unchecked: [part],
    list: null,
    skipList: null,
    coversName: () => false,
  }
}
