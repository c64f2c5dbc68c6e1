/** What a verification policy says about images: one entry for each list of globs. */
import type { Document } from 'yaml'
import type { DocumentPath } from '../manifests/manifests.ts'
import type { PolicyEngine } from './engine-name.ts'
import { matchesWildcard, type Wildcard } from './wildcard.ts'

/** The object that has the rule. */
export interface PolicyObject {
  readonly kind: string
  readonly name: string
  /** Null for an object of the whole cluster. */
  readonly namespace: string | null
  /** The file, or `cluster`. */
  readonly source: string
  readonly line: number
  readonly document: Document
}

/** A glob of the rule, or an expression that has the meaning of one. */
export interface PolicyGlob {
  /** As the policy writes it. */
  readonly text: string
  readonly alternatives: readonly Wildcard[]
}

/** A part of a policy that Berth cannot evaluate. */
export interface UncheckedPart {
  /** Where it is in the object, such as `spec.matchImageReferences[1].expression`. */
  readonly place: string
  readonly text: string
  readonly reason: string
}

export interface PolicyRule {
  readonly policy: PolicyObject
  /** Where it is in the object, such as `spec.rules[0].verifyImages[0]`. */
  readonly place: string
  /**
   * `verify`: images that it covers must be signed, and others are admitted. `restrict`: images that it does not cover are
   * refused.
   */
  readonly action: 'verify' | 'restrict'
  readonly engine: PolicyEngine
  readonly globs: readonly PolicyGlob[]
  /** Images that are not covered, although a glob matches them. */
  readonly skipped: readonly PolicyGlob[]
  /** Prefixes of images that an expression covers, from which examples are made. */
  readonly prefixes: readonly string[]
  readonly unchecked: readonly UncheckedPart[]
  /** Where globs are added. Null if they cannot be. */
  readonly list: GlobList | null
  /** Where globs of images that are not covered are added. Null if they cannot be. */
  readonly skipList: GlobList | null
  /** Returns whether the rule covers an image, by the name that the engine compares. */
  coversName(name: string): boolean
}

/** Where the text of the policy has globs. */
export interface GlobList {
  readonly path: DocumentPath
  /** `text`: a list of globs. `object`: a list of `{ glob: … }`. `pattern`: one text, with ` | ` between the globs. */
  readonly form: 'text' | 'object' | 'pattern'
}

/** Returns true if the rule covers the image of a pod. */
export function covers(rule: PolicyRule, image: string): boolean {
  return rule.coversName(rule.engine.nameOf(image))
}

export function matchesAny(globs: readonly PolicyGlob[], name: string): boolean {
  return globs.some(({ alternatives }) => alternatives.some((each) => matchesWildcard(each, name)))
}

/** Returns the kind, the namespace and the name of a policy. */
export function policyTitle({ kind, namespace, name }: PolicyObject): string {
  return namespace === null ? `${kind} ${name}` : `${kind} ${namespace}/${name}`
}

/** Writes a path from the object on, as messages of Kubernetes do: `spec.rules[0].verifyImages[0]`. */
export function formatObjectPath(path: DocumentPath): string {
  // The object may be an item of a list.
  return path
    .slice(Math.max(0, path.indexOf('spec')))
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index === 0 ? '' : '.'}${key}`))
    .join('')
}
