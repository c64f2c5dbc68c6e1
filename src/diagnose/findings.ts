/** Failures with one cause, one registry and the same secrets are one finding, however many pods have it. Pure. */
import { parseReference } from '../decision/reference/parse.ts'
import type { PullFailure } from './pull-failure.ts'
import { fixCommands } from './fix/commands.ts'
import type { Certainty, Evidence, PullVerdict } from './verdict.ts'

export interface Judged {
  readonly failure: PullFailure
  readonly verdict: PullVerdict
}

/** This shape is what `-o json` prints (docs/cli.md). */
export interface PullFinding {
  readonly rule: string
  readonly cause: string
  readonly certainty: Certainty
  readonly registry: string | null
  readonly secrets: readonly string[]
  readonly means: string
  readonly fix: string
  readonly commands: readonly string[]
  /** What Berth did about it, could have done, or would do. */
  readonly berth: readonly string[]
  readonly evidence: readonly Evidence[]
  readonly missing: readonly string[]
  readonly failures: readonly FailingPod[]
}

export interface FailingPod {
  readonly namespace: string
  readonly pod: string
  readonly container: string
  readonly image: string
  /** Null before the pod has one. */
  readonly node: string | null
  /** As the kubelet or its event has it, without credentials. */
  readonly says: readonly string[]
}

/** The most pods first, then by name; the same input gives the same bytes. */
export function findings(judged: readonly Judged[]): PullFinding[] {
  const groups = new Map<string, Judged[]>()
  for (const each of judged) {
    const { cause, secrets } = each.verdict
    const key = JSON.stringify([cause.rule, registryOf(each.failure.image), secrets])
    groups.set(key, [...(groups.get(key) ?? []), each])
  }
  return [...groups.values()]
    .map(findingOf)
    .toSorted(
      (one, other) =>
        other.failures.length - one.failures.length ||
        compare(one.rule, other.rule) ||
        compare(one.registry ?? '', other.registry ?? '') ||
        compare(one.secrets.join(), other.secrets.join()),
    )
}

function findingOf(group: readonly Judged[]): PullFinding {
  const verdicts = group.map(({ verdict }) => verdict)
  const { cause, certainty, secrets, wantedKey, isReplaceable } = verdicts[0] as PullVerdict
  const failures = group
    .map(({ failure: { namespace, pod, container, image, node }, verdict }) => ({
      namespace,
      pod,
      container,
      image,
      node,
      says: verdict.leaves,
    }))
    .toSorted(
      (one, other) =>
        compare(one.namespace, other.namespace) ||
        compare(one.pod, other.pod) ||
        compare(one.container, other.container),
    )
  const namespaces = [...new Set(failures.map(({ namespace }) => namespace))]
  return {
    rule: cause.rule,
    cause: cause.cause,
    // What is not proved for one of them is not proved for all.
    certainty: verdicts.find((verdict) => verdict.certainty !== 'proved')?.certainty ?? certainty,
    registry: registryOf(failures[0]?.image ?? ''),
    secrets,
    means: cause.means,
    fix: [...new Set(verdicts.map(({ fix }) => fix))].join('; '),
    commands: fixCommands(cause.rule, { namespaces, secrets, wantedKey, isReplaceable }),
    berth: [...new Set(verdicts.flatMap(({ berth }) => berth))],
    evidence: unique(verdicts.flatMap(({ evidence }) => evidence)),
    missing: [...new Set(verdicts.flatMap(({ missing }) => missing))],
    failures,
  }
}

function unique(evidence: readonly Evidence[]): Evidence[] {
  return [...new Map(evidence.map((each) => [`${each.from} ${each.says}`, each])).values()]
}

function registryOf(image: string): string | null {
  const parsed = parseReference(image)
  return parsed.ok ? parsed.reference.domain : null
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
