/** The elements of `berth explain -o json`. The names are a contract. */
import type { ErrorCode } from '../errors.ts'
import type { ParseResult } from '../decision/reference/parse.ts'
import { formatReference, type Reference, withDefaultTag } from '../decision/reference/reference.ts'
import { hostWarnings } from '../decision/pod/site-warnings.ts'
import { isDenied, isLeft, type Resolution } from '../decision/resolve/resolution.ts'
import { failedSteps, describeResolution } from '../decision/resolve/describe-resolution.ts'

export type Explanation =
  | ExplainedImage
  | {
      readonly image: string
      readonly error: { readonly code: ErrorCode; readonly message: string }
    }

export interface ExplainedImage {
  readonly image: string
  readonly reference: Reference
  readonly row: string | null
  /** Whether the row leaves the image, its pull policy and its pull secrets unchanged. */
  readonly left: boolean
  /** Earlier rows that may apply: they depend on a part of the pod that is not known. */
  readonly undecidedRows: readonly string[]
  readonly candidates: readonly {
    readonly image: string
    readonly registry: string | null
    readonly outcome: string
    readonly detail: string | null
    readonly milliseconds: number | null
    readonly digest: string | null
    /** The proxy that Berth reaches the registry through; null for a direct connection. */
    readonly proxy: string | null
  }[]
  readonly chosen: string
  readonly changed: boolean
  readonly pinned: boolean
  /** Whether a pod with a controller gets the digest of its revision, if the webhook may list pods. */
  readonly followsRevision: boolean
  readonly pullSecrets: readonly string[]
  readonly warnings: readonly string[]
}

export interface ExplanationContext {
  /** Null if the owners of the pod are not known. */
  readonly hasController: boolean | null
  readonly pullSecrets: readonly string[]
  /** Sentences about rows and rules that may apply. */
  readonly undecided: readonly string[]
  /** Hosts of the config, for a hint at a missing port. */
  readonly hosts: readonly string[]
  /** Returns the URL of the proxy for a registry, without its password; null for a direct connection. */
  readonly proxyOf: (host: string) => string | null
}

export function explainedImage(
  image: string,
  resolution: Resolution,
  context: ExplanationContext,
): ExplainedImage {
  return {
    image,
    reference: withDefaultTag(resolution.original),
    row: resolution.row,
    left: isLeft(resolution),
    undecidedRows: resolution.undecidedRows,
    candidates: resolution.steps.map(({ candidate, outcome, detail, milliseconds, digest }) => ({
      image: candidate.image,
      registry: candidate.reference?.domain ?? null,
      outcome,
      detail,
      milliseconds,
      digest,
      proxy: candidate.reference === null ? null : context.proxyOf(candidate.reference.domain),
    })),
    chosen: formatReference(resolution.chosen),
    changed: resolution.changed,
    pinned: resolution.pinned,
    followsRevision: context.hasController !== false && resolution.mayFollowRevision,
    pullSecrets: context.pullSecrets,
    warnings: [...context.undecided, ...warningsFor(resolution, context.hosts)],
  }
}

/** Returns the element for a name that does not parse. */
export function invalidImage(
  image: string,
  { code, message }: Extract<ParseResult, { ok: false }>,
): Explanation {
  return { image, error: { code: 'invalid-reference', message: `${code}: ${message}` } }
}

function warningsFor(resolution: Resolution, hosts: readonly string[]): string[] {
  const { original, reason } = resolution
  const warnings: string[] = []
  const isUncertain = ['none-found', 'first-unproved'].includes(reason) || isDenied(resolution)
  const hasFailures = reason !== 'trusted' && failedSteps(resolution).length > 0
  if (isUncertain || hasFailures || resolution.unpinned !== null)
    warnings.push(describeResolution(resolution))
  for (const warning of hostWarnings(original)) warnings.push(warning)
  const [user = ''] = original.path.split('/', 1)
  const intended = hosts.find((host) => host.replace(/:[0-9]+$/, '') === user && host !== user)
  if (original.domain === 'docker.io' && intended !== undefined) {
    warnings.push(
      `${user} has no dot and no port, so it is a user on Docker Hub; did you mean ${intended}/${original.path.slice(user.length + 1)}?`,
    )
  }
  return warnings
}
