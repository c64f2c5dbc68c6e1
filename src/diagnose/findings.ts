/** Groups diagnosed failures into findings: one for each cause, registry and set of secrets, however many pods. Pure. */
import { parseReference } from '../decision/reference/parse.ts'
import type { PullFailure } from './pull-failure.ts'
import { fixCommands } from './fix/commands.ts'
import type { RuleId } from './rules/table.ts'
import { compareText } from '../text/compare.ts'
import { cutText } from '../text/cut-text.ts'
import type { Certainty, Evidence, PullVerdict } from './verdict.ts'

export interface DiagnosedFailure {
  readonly failure: PullFailure
  readonly verdict: PullVerdict
}

/** `-o json` prints this shape (docs/cli.md). */
export interface PullFinding {
  readonly rule: RuleId
  readonly cause: string
  readonly certainty: Certainty
  readonly registry: string | null
  readonly secrets: readonly string[]
  readonly means: string
  readonly fix: string
  readonly commands: readonly string[]
  /** What Berth did, could have done, or would do. */
  readonly berth: readonly string[]
  readonly evidence: readonly Evidence[]
  readonly missing: readonly string[]
  readonly failures: readonly FailingContainer[]
}

export interface FailingContainer {
  readonly namespace: string
  readonly pod: string
  readonly container: string
  readonly image: string
  /** The image field: `containers/web`, `volumes/model`. Null if the pod has none with this image. */
  readonly field: string | null
  /** Null before the pod is scheduled. */
  readonly node: string | null
  /** The errors of the kubelet's message, without credentials. */
  readonly says: readonly string[]
}

/** Returns findings with the most pods first, then by name: the same input gives the same bytes. */
export function findings(diagnosed: readonly DiagnosedFailure[]): PullFinding[] {
  const groups = new Map<string, DiagnosedFailure[]>()
  for (const each of diagnosed) {
    const { rule, secrets } = each.verdict
    const key = JSON.stringify([rule.id, registryOf(each.failure.image), secrets])
    groups.set(key, [...(groups.get(key) ?? []), each])
  }
  return [...groups.values()]
    .map(findingOf)
    .toSorted(
      (one, other) =>
        other.failures.length - one.failures.length ||
        compareText(one.rule, other.rule) ||
        compareText(one.registry ?? '', other.registry ?? '') ||
        compareText(one.secrets.join(), other.secrets.join()),
    )
}

function findingOf(group: readonly DiagnosedFailure[]): PullFinding {
  const verdicts = group.map(({ verdict }) => verdict)
  const { rule, certainty, secrets } = verdicts[0] as PullVerdict
  const failures = group
    .map(({ failure: { namespace, pod, container, image, field, node }, verdict }) => ({
      namespace,
      pod,
      container,
      image,
      field,
      node,
      says: verdict.errors,
    }))
    .toSorted(
      (one, other) =>
        compareText(one.namespace, other.namespace) ||
        compareText(one.pod, other.pod) ||
        compareText(one.container, other.container),
    )
  return {
    rule: rule.id,
    cause: rule.cause,
    // A finding is proved only if it is proved for each of its pods.
    certainty: verdicts.find((verdict) => verdict.certainty !== 'proved')?.certainty ?? certainty,
    registry: registryOf(failures[0]?.image ?? ''),
    secrets,
    means: rule.means,
    fix: [...new Set(verdicts.map(({ fix }) => fix))].join('; '),
    commands: commandsOf(group),
    berth: [...new Set(verdicts.flatMap(({ berth }) => berth))],
    evidence: unique(verdicts.flatMap(({ evidence }) => evidence)),
    missing: [...new Set(verdicts.flatMap(({ missing }) => missing))],
    failures,
  }
}

/** Pods of a finding with commands. The finding lists the others, for which the same commands work. */
const maxPodsWithCommands = 20

/** Secrets and their links first, then pods. */
function commandsOf(group: readonly DiagnosedFailure[]): string[] {
  const lists = group.slice(0, maxPodsWithCommands).map(({ failure: { namespace }, verdict }) => {
    const { rule, secrets, wantedKey, remedy } = verdict
    const { place = null, shapes = new Map(), similarKey = null } = remedy ?? {}
    return fixCommands(rule, { namespace, secrets, wantedKey, place, shapes, similarKey })
  })
  const isOfPod = (command: string) => /\bkubectl (?:delete|get) pod /.test(command)
  const commands = [...new Set(lists.flat())]
  return [...commands.filter((each) => !isOfPod(each)), ...commands.filter(isOfPod)]
}

/** Characters of one line of evidence. Names in it, such as the keys of a pull secret, have any length. */
const maxEvidenceLength = 1_024

function unique(evidence: readonly Evidence[]): Evidence[] {
  const cut = evidence.map((each) => ({ ...each, says: cutText(each.says, maxEvidenceLength) }))
  return [...new Map(cut.map((each) => [`${each.from} ${each.says}`, each])).values()]
}

function registryOf(image: string): string | null {
  const parsed = parseReference(image)
  return parsed.ok ? parsed.reference.domain : null
}
