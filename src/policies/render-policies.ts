/** Adds the globs of the names that Berth gives images to the text of policies, and keeps every other byte. Pure. */
import type { JsonPatch } from '../decision/pod/patch.ts'
import type { FallbackRow } from '../decision/fallback/table.ts'
import { jsonPointer } from '../json/json-pointer.ts'
import { isObject } from '../json/json.ts'
import { type Manifests, valueOf } from '../manifests/manifests.ts'
import { patchText } from '../manifests/patch-text.ts'
import { mirroredGlobs, withoutTags } from './mirrored-globs.ts'
import type { PolicyChange } from './policy-changes.ts'
import {
  covers,
  type GlobList,
  matchesAny,
  type PolicyGlob,
  type PolicyRule,
} from './policy-rule.ts'
import { compileWildcard } from './wildcard.ts'

/**
 * Returns the text with more globs for the rules with changes. Null if the text cannot be edited without changing
 * anything else. The caller checks the new text, because a glob cannot close every gap. `mayPermit` is false for a rule that must
 * not get globs for images that are not verified, or that are allowed.
 */
export function renderPolicies(
  manifests: Manifests,
  rows: readonly FallbackRow[],
  changes: readonly PolicyChange[],
  mayPermit: (rule: PolicyRule) => boolean,
): string | null {
  const byRule = Map.groupBy(changes, ({ rule }) => rule)
  const patches = [...byRule].map(([rule, own]) => ({
    document: rule.policy.document,
    patch: [
      ...(rule.action === 'verify' || mayPermit(rule)
        ? additions(rule, rule.list, globsFor(rule, rule.globs, rows, leaving(own)))
        : []),
      // The new globs also match images that the policy skips.
      ...(mayPermit(rule)
        ? additions(rule, rule.skipList, globsFor(rule, rule.skipped, rows, own))
        : []),
    ],
  }))
  return patchText(
    manifests,
    patches.filter(({ patch }) => patch.length > 0),
  )
}

/**
 * Returns true if a change of the rendered rule comes from the new globs for images that are not verified, or that are
 * allowed: two upstream images can have the same name on the mirror. `before` is the rule as it was.
 */
export function isWeaker(
  { rule, image, becomes, change }: PolicyChange,
  before: PolicyRule,
): boolean {
  const name = rule.engine.nameOf(becomes)
  if (rule.action === 'restrict')
    return change === 'enters' && (covers(before, image) || !covers(before, becomes))
  const isOnlySkippedNow = matchesAny(rule.skipped, name) && !matchesAny(before.skipped, name)
  return change === 'leaves' && isOnlySkippedNow && matchesAny(rule.globs, name)
}

function leaving(changes: readonly PolicyChange[]): readonly PolicyChange[] {
  return changes.filter(({ change }) => change === 'leaves')
}

function globsFor(
  rule: PolicyRule,
  globs: readonly PolicyGlob[],
  rows: readonly FallbackRow[],
  changes: readonly PolicyChange[],
): readonly string[] {
  const { engine } = rule
  const names = new Set(changes.map(({ row }) => row))
  const found = rows
    .filter(({ name }) => names.has(name))
    .flatMap((row) => mirroredGlobs(row, globs, engine))
  const added = new Set(compilable(found, rule).filter((glob) => !isListed(glob, globs, rule)))
  // A glob with a tag does not match an image whose tag Berth maps, or to which it adds a digest.
  // For all tags of the repository, such a glob would make a list of exceptions, or of allowed images, weaker.
  if (globs !== rule.globs || rule.action !== 'verify') return [...added]
  const compiled = compileAll([...added], rule)
  for (const { image, becomes } of changes) {
    const name = engine.nameOf(becomes)
    const isKept = matchesAny(globs, engine.nameOf(image))
    if (!isKept || matchesAny([...globs, ...compiled], name)) continue
    for (const glob of compileAll(withoutTags([...found, ...originalGlobs(globs)]), rule))
      if (matchesAny([glob], name)) added.add(glob.text)
  }
  return [...added]
}

/** An original that gets a digest keeps its name. */
function originalGlobs(globs: readonly PolicyGlob[]): string[] {
  return globs.map(({ text }) => text).filter((text) => text !== '')
}

function compilable(texts: readonly string[], rule: PolicyRule): string[] {
  return compileAll(texts, rule).map(({ text }) => text)
}

function compileAll(texts: readonly string[], { engine }: PolicyRule): PolicyGlob[] {
  return texts.flatMap((text) => {
    const compiled = compileWildcard(text, engine.syntax)
    return compiled.ok ? [{ text, alternatives: compiled.alternatives }] : []
  })
}

/** Returns true if a glob of the list already matches all that the new one matches. */
function isListed(glob: string, globs: readonly PolicyGlob[], { engine }: PolicyRule): boolean {
  if (globs.some(({ text }) => text === glob)) return true
  // With policy-controller, `*` matches the text `**` and not what `**` matches.
  return engine.syntax === 'kyverno' && matchesAny(globs, glob)
}

function additions(
  { policy }: PolicyRule,
  list: GlobList | null,
  globs: readonly string[],
): JsonPatch {
  if (list === null || globs.length === 0) return []
  const path = jsonPointer(list.path)
  const present = valueAt(valueOf(policy.document), list.path)
  if (list.form === 'pattern')
    return typeof present === 'string'
      ? [{ op: 'add', path, value: [present, ...globs].join(' | ') }]
      : []
  const items = globs.map((glob) => (list.form === 'object' ? { glob } : glob))
  return Array.isArray(present)
    ? items.map((value) => ({ op: 'add', path: `${path}/-`, value }))
    : [{ op: 'add', path, value: items }]
}

function valueAt(value: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((parent, key) => {
    if (Array.isArray(parent)) return parent[Number(key)] as unknown
    return isObject(parent) && Object.hasOwn(parent, key) ? parent[key] : undefined
  }, value)
}
