/** Finds the rules of image verification policies in manifests. Pure. */
import { member, objectsMember, textMember } from '../json/json.ts'
import type { DocumentPath, ManifestObject, Manifests } from '../manifests/manifests.ts'
import { nodeAt } from '../manifests/yaml-node.ts'
import {
  kyvernoImagePolicies,
  kyvernoRules,
  policyController,
  type PolicyEngine,
} from './engine-name.ts'
import { compileImageExpression } from './image-expression.ts'
import { readPatternRules } from './pattern-rules.ts'
import {
  formatObjectPath,
  matchesAny,
  type PolicyGlob,
  type PolicyObject,
  type PolicyRule,
  type UncheckedPart,
} from './policy-rule.ts'
import { compileWildcard } from './wildcard.ts'

/** Globs in one list. More than a person writes. */
const maxGlobs = 1_000

/** Rules in one file. */
const maxRules = 2_000

export interface ReadPolicies {
  readonly rules: readonly PolicyRule[]
  /** True if there are more rules than Berth reads. */
  readonly isCut: boolean
}

/** Returns the rules of all policies among the objects; other objects have none. `source` names the file in messages. */
export function readPolicies(manifests: Manifests, source: string): ReadPolicies {
  const rules = manifests.objects.flatMap((object) => rulesOf(object, manifests, source))
  return { rules: rules.slice(0, maxRules), isCut: rules.length > maxRules }
}

type ReadRules = (context: ReadContext) => PolicyRule[]

/** An object that is read. */
interface ReadContext {
  readonly policy: PolicyObject
  readonly spec: unknown
  /** The path of the spec in the document. */
  readonly path: DocumentPath
}

/** By group and kind. Several versions of a group have the same fields. */
const readers: Readonly<Record<string, ReadRules>> = {
  'kyverno.io/ClusterPolicy': readKyvernoRules,
  'kyverno.io/Policy': readKyvernoRules,
  'policies.kyverno.io/ImageValidatingPolicy': readImageValidatingPolicy,
  'policies.kyverno.io/NamespacedImageValidatingPolicy': readImageValidatingPolicy,
  'policies.kyverno.io/ValidatingPolicy': readExpressionPolicy,
  'policies.kyverno.io/NamespacedValidatingPolicy': readExpressionPolicy,
  'admissionregistration.k8s.io/ValidatingAdmissionPolicy': readExpressionPolicy,
  'policy.sigstore.dev/ClusterImagePolicy': readClusterImagePolicy,
}

function rulesOf(
  { document, path, value }: ManifestObject,
  manifests: Manifests,
  source: string,
): PolicyRule[] {
  const kind = textMember(value, 'kind')
  const group = textMember(value, 'apiVersion').replace(/\/.*$/, '')
  const key = `${group}/${kind}`
  const read = Object.hasOwn(readers, key) ? readers[key] : undefined
  if (read === undefined) return []
  const metadata = member(value, 'metadata')
  const policy: PolicyObject = {
    kind,
    name: textMember(metadata, 'name') || textMember(metadata, 'generateName'),
    namespace: textMember(metadata, 'namespace') || null,
    source,
    line: manifests.lineOf(nodeAt(document, path)?.range?.[0] ?? 0),
    document,
  }
  return read({ policy, spec: member(value, 'spec'), path: [...path, 'spec'] })
}

/** ClusterPolicy and Policy of Kyverno. */
function readKyvernoRules({ policy, spec, path }: ReadContext): PolicyRule[] {
  return objectsMember(spec, 'rules').flatMap((rule, index) => {
    const rulePath = [...path, 'rules', index]
    return [
      ...objectsMember(rule, 'verifyImages').map((entry, position) =>
        verifyImagesRule(policy, entry, [...rulePath, 'verifyImages', position]),
      ),
      ...readPatternRules(policy, rule, rulePath),
    ]
  })
}

function verifyImagesRule(policy: PolicyObject, entry: unknown, path: DocumentPath): PolicyRule {
  const place = formatObjectPath(path)
  const list = member(entry, 'imageReferences')
  // `image` is the deprecated form of one reference (Kyverno, ImageVerification.Convert).
  const references = [...textsOf(list), ...textsOf([member(entry, 'image')])]
  const globs = readGlobs(references, kyvernoRules, `${place}.imageReferences`)
  const skipped = readGlobs(
    textsOf(member(entry, 'skipImageReferences')),
    kyvernoRules,
    `${place}.skipImageReferences`,
  )
  return createRule({
    policy,
    place,
    engine: kyvernoRules,
    globs: globs.globs,
    skipped: skipped.globs,
    unchecked: [...globs.unchecked, ...skipped.unchecked],
    list: { path: [...path, 'imageReferences'], form: 'text' },
    skipList: { path: [...path, 'skipImageReferences'], form: 'text' },
  })
}

function readImageValidatingPolicy({ policy, spec, path }: ReadContext): PolicyRule[] {
  const references = objectsMember(spec, 'matchImageReferences')
  const listPath = [...path, 'matchImageReferences']
  const place = formatObjectPath(listPath)
  const engine = kyvernoImagePolicies
  const texts = references.map((reference) => textMember(reference, 'glob'))
  const globs = readGlobs(texts, engine, place)
  const expressions = references.flatMap((reference, index) => {
    const text = textMember(reference, 'expression')
    // Kyverno ignores the expression of an entry with a glob (pkg/cel/compiler).
    if (text === '' || textMember(reference, 'glob') !== '') return []
    return [{ text, place: `${place}[${index}].expression`, ...compiledExpression(text) }]
  })
  const compiled = expressions.flatMap(({ expression }) => expression ?? [])
  const expressionGlobs = compiled.flatMap((each) =>
    readGlobs(each.globs ?? [], engine, place).globs.map((glob) => ({ ...glob, text: '' })),
  )
  const isForAll = references.length === 0
  return [
    createRule({
      policy,
      place,
      engine,
      globs: [...globs.globs, ...expressionGlobs],
      prefixes: compiled.flatMap(({ prefixes }) => prefixes),
      unchecked: [
        ...globs.unchecked,
        ...expressions.flatMap(({ text, place: at, expression }) =>
          expression === null
            ? [{ place: at, text, reason: 'Berth does not evaluate this CEL expression' }]
            : [],
        ),
      ],
      list: isForAll ? null : { path: listPath, form: 'object' },
      coversName: (name) =>
        isForAll ||
        matchesAny(globs.globs, name) ||
        compiled.some((expression) => expression.matches(name)),
    }),
  ]
}

function compiledExpression(text: string): {
  readonly expression: ReturnType<typeof compileImageExpression>
} {
  return { expression: compileImageExpression(text) }
}

function readClusterImagePolicy({ policy, spec, path }: ReadContext): PolicyRule[] {
  const patterns = objectsMember(spec, 'images')
  const listPath = [...path, 'images']
  const place = formatObjectPath(listPath)
  const globs = readGlobs(
    patterns.map((pattern) => textMember(pattern, 'glob')),
    policyController,
    place,
  )
  const unchecked = patterns.flatMap((pattern, index): UncheckedPart[] => {
    const text = textMember(pattern, 'regex')
    const reason = 'policy-controller no longer reads `regex`'
    return text === '' ? [] : [{ place: `${place}[${index}].regex`, text, reason }]
  })
  return [
    createRule({
      policy,
      place,
      engine: policyController,
      globs: globs.globs,
      unchecked: [...globs.unchecked, ...unchecked],
      list: { path: listPath, form: 'object' },
    }),
  ]
}

/** Reads policies that consist of CEL only. Their expressions are unchecked if they mention images. */
function readExpressionPolicy({ policy, spec, path }: ReadContext): PolicyRule[] {
  const expressions = ['validations', 'variables', 'matchConditions'].flatMap((key) =>
    objectsMember(spec, key).map((entry, index) => ({
      place: formatObjectPath([...path, key, index, 'expression']),
      text: textMember(entry, 'expression'),
    })),
  )
  const unchecked = expressions
    .filter(({ text }) => /image/i.test(text))
    .map((each) => ({ ...each, reason: 'Berth does not evaluate this CEL expression' }))
  if (unchecked.length === 0) return []
  const place = formatObjectPath(path)
  return [createRule({ policy, place, engine: kyvernoImagePolicies, globs: [], unchecked })]
}

type NewRule = Pick<PolicyRule, 'policy' | 'place' | 'engine' | 'globs' | 'unchecked'> &
  Partial<Pick<PolicyRule, 'skipped' | 'prefixes' | 'coversName' | 'list' | 'skipList'>>

function createRule(rule: NewRule): PolicyRule {
  const { globs, skipped = [] } = rule
  return {
    action: 'verify',
    skipped,
    prefixes: [],
    list: null,
    skipList: null,
    coversName: (name) => matchesAny(globs, name) && !matchesAny(skipped, name),
    ...rule,
  }
}

/** Compiles globs. Those that the engine does not accept are unchecked. */
function readGlobs(
  texts: readonly string[],
  engine: PolicyEngine,
  place: string,
): { readonly globs: readonly PolicyGlob[]; readonly unchecked: readonly UncheckedPart[] } {
  const globs: PolicyGlob[] = []
  const unchecked: UncheckedPart[] = []
  for (const [index, text] of texts.entries()) {
    if (text === '') continue
    const compiled =
      index < maxGlobs
        ? compileWildcard(text, engine.syntax)
        : { ok: false as const, message: `the list has more than ${maxGlobs} globs` }
    if (compiled.ok) globs.push({ text, alternatives: compiled.alternatives })
    else unchecked.push({ place: `${place}[${index}]`, text, reason: compiled.message })
    if (index >= maxGlobs) break
  }
  return { globs, unchecked }
}

function textsOf(list: unknown): string[] {
  return Array.isArray(list) ? list.map((each) => (typeof each === 'string' ? each : '')) : []
}
