/** Describes the rows and rules of a config that depend on a part of the pod that is not known. */
import {
  type PodCondition,
  type UnknownPart,
  unknownParts,
} from '../decision/fallback/pod-condition.ts'
import { canonicalReference } from '../decision/fallback/registry-aliases.ts'
import type { PodContext } from '../decision/fallback/pod-context.ts'
import { defaultTag } from '../decision/reference/reference.ts'
import { isLeft, type Resolution } from '../decision/resolve/resolution.ts'
import type { Config } from './config.ts'

/** A part of a config with its condition. */
interface ConditionalPart {
  readonly name: string
  readonly when: PodCondition | null
}

/** The command-line options that describe each part of the pod. */
export type PodOptionNames = Readonly<Partial<Record<UnknownPart, string>>>

/**
 * Returns a sentence for each row that may come before the one of a resolution, and for each rule that may apply to it.
 *
 * @example undecidedParts(config, { pod, resolution }, { owners: '--owner' }) // ['row databases may apply: …; give --owner']
 */
export function undecidedParts(
  config: Pick<Config, 'table' | 'pin' | 'pullPolicy' | 'pullSecrets'>,
  { pod, resolution }: { readonly pod: PodContext; readonly resolution: Resolution },
  options: PodOptionNames,
): string[] {
  const parts = [
    ...undecidedRows(config, resolution),
    ...(isLeft(resolution) ? [] : undecidedRules(config, pod, resolution)),
  ]
  return parts.map(({ name, when }) => {
    const unknown = unknownParts(when, pod)
    const given = unknown.flatMap((part) => options[part] ?? [])
    const advice = given.length === 0 ? '' : `; give ${listOf(given)}`
    const verb = unknown.length === 1 && unknown[0] === 'namespace' ? 'is' : 'are'
    return `${name} may apply: it depends on the ${listOf(unknown)} of the pod, which ${verb} not known${advice}`
  })
}

function undecidedRows(
  { table }: Pick<Config, 'table'>,
  resolution: Resolution,
): ConditionalPart[] {
  const names = new Set(resolution.undecidedRows)
  if (names.size === 0) return []
  return table.rows
    .filter(({ name }) => names.has(name))
    .map(({ name, when }) => ({ name: `row ${name}`, when }))
}

function undecidedRules(
  { pin, pullPolicy, pullSecrets }: Pick<Config, 'pin' | 'pullPolicy' | 'pullSecrets'>,
  pod: PodContext,
  { original, chosen }: Resolution,
): ConditionalPart[] {
  const pins = original.digest === null && pin.matches(original.tag ?? defaultTag)
  const rules = [
    ...(pins ? [{ name: 'pin', when: pin.when }] : []),
    ...pullPolicy.flatMap(({ images, when }, index) =>
      images.some((pattern) => pattern.matches(canonicalReference(chosen)))
        ? [{ name: `pullPolicy[${index}]`, when }]
        : [],
    ),
    ...pullSecrets.flatMap(({ matches, secret, when }) =>
      matches(chosen) ? [{ name: `pull secret ${secret}`, when }] : [],
    ),
  ]
  return rules.filter(({ when }) => unknownParts(when, pod).length > 0)
}

function listOf(texts: readonly string[]): string {
  return texts.length < 2 ? texts.join() : `${texts.slice(0, -1).join(', ')} and ${texts.at(-1)}`
}
