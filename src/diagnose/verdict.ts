/**
 * What a failing pull comes to, when the message is held against what the cluster says of the pod's credentials.
 * A verdict starts as the message's; evidence may change its cause, or raise it to `proved`. Pure.
 */
import type { PullOrder } from '../credentials/pull-order.ts'
import type { Rule } from './rules/rule.ts'
import { ruleOf, classify } from './rules/classify.ts'

export type Certainty = Rule['certainty'] | 'proved'

/** Something that was seen, and where. */
export interface Evidence {
  readonly from:
    'message' | 'pod' | 'secrets' | 'service account' | 'node' | 'registry' | 'openshift'
  readonly says: string
  /** Where it was asked from; only of what was asked of a registry. */
  readonly vantage?: string
}

export interface PullVerdict {
  readonly cause: Rule
  readonly certainty: Certainty
  readonly leaves: readonly string[]
  readonly evidence: readonly Evidence[]
  /** What would have made it surer, and was not seen. */
  readonly missing: readonly string[]
  /** Names of the secrets that it is about. */
  readonly secrets: readonly string[]
  /** The key that a secret for this image needs; null when it matters to nobody. */
  readonly wantedKey: string | null
  /** Whether each of the secrets holds one key alone. */
  readonly isReplaceable: boolean
  /** What to do. */
  readonly fix: string
  /** What Berth did about it, could have done, or would do. */
  readonly berth: readonly string[]
}

/** What the cluster tells of a pod's credentials; each is null when it could not be read. */
export interface Credentials {
  readonly order: PullOrder | null
  /** Pull secrets that the service account has by now and the pod has not. */
  readonly notCopied: readonly string[]
  /** Annotations of the service account that people take for pull credentials. */
  readonly accountAnnotations: readonly string[]
  /** Pull secrets of the pod whose token has ended, by their own annotation. */
  readonly expired?: readonly string[]
}

/** Causes that the pod's own credentials may explain. */
const aboutAccess: ReadonlySet<string> = new Set([
  'D21',
  'D22',
  'D23',
  'D25',
  'D26',
  'D27',
  'D28',
  'D29',
  'D30',
])

export function isAboutAccess(rule: string): boolean {
  return aboutAccess.has(rule)
}

/** Without a credential these answers are what a registry gives to a stranger; containerd words a bare 401 like a token that was not taken. */
const toStrangers: ReadonlySet<string> = new Set(['D22', 'D26', 'D27', 'D28', 'D29'])

/** Answers that speak of the credential alone: they are the same for an image that is not there. */
const wantsCredential: ReadonlySet<string> = new Set(['D22', 'D29'])

export function judge(message: string, credentials: Credentials | null): PullVerdict {
  const { cause, leaves } = classify(message)
  const verdict: PullVerdict = {
    cause,
    certainty: cause.certainty,
    leaves,
    evidence: [{ from: 'message', says: cause.means }],
    missing: [],
    secrets: [],
    wantedKey: null,
    isReplaceable: false,
    fix: cause.fix,
    berth: [],
  }
  if (cause.rule === 'D01' || cause.rule === 'D14') return { ...verdict, certainty: 'proved' }
  const order = credentials?.order ?? null
  if (credentials === null || order === null) {
    const wanted = aboutAccess.has(cause.rule) || cause.rule === 'D04' || cause.rule === 'D05'
    return wanted ? { ...verdict, missing: ["the pod's pull secrets could not be read"] } : verdict
  }
  return withCredentials(verdict, order, credentials)
}

function withCredentials(
  verdict: PullVerdict,
  order: PullOrder,
  credentials: Credentials,
): PullVerdict {
  const rule = verdict.cause.rule
  const [fault] = order.faults
  if (rule === 'D04' && fault !== undefined) {
    const where = fault.key === null ? '' : `, key ${fault.key}`
    return raise(verdict, 'D04', 'proved', {
      secrets: [fault.secret],
      evidence: [{ from: 'secrets', says: `secret ${fault.secret}${where}: ${fault.fault}` }],
    })
  }
  const missing = order.ignoredSecrets.filter(({ reason }) => reason === 'missing')
  if (rule === 'D05' && missing.length > 0) return ofMissing(verdict, missing, 'proved')
  if (!aboutAccess.has(rule)) return verdict
  const known: PullVerdict = {
    ...verdict,
    wantedKey: order.wantedKey,
    missing: order.isComplete ? [] : ['a pull secret of the pod may not be read by you'],
    evidence: [...verdict.evidence, ...seen(order, credentials)],
  }
  return order.outcome === 'credentials'
    ? whenTried(known, order, credentials)
    : whenNothingMatches(known, order, credentials)
}

/** The kubelet had credentials to try. */
function whenTried(
  before: PullVerdict,
  { candidates, ignoredKeys }: PullOrder,
  { expired = [] }: Credentials,
): PullVerdict {
  const secrets = [...new Set(candidates.map(({ secret }) => secret))]
  const keys = [...candidates, ...ignoredKeys].filter(({ secret }) => secrets.includes(secret))
  const verdict = { ...before, isReplaceable: keys.length === secrets.length }
  const ended = secrets.filter((secret) => expired.includes(secret))
  if (ended.length > 0)
    return raise(verdict, 'D21', 'proved', {
      secrets: ended,
      evidence: ended.map((secret) => ({
        from: 'secrets',
        says: `secret ${secret} says that its token has ended (berth.dev/expires-at)`,
      })),
    })
  const empty = candidates.every(({ isAnonymous }) => isAnonymous)
  if (empty && toStrangers.has(verdict.cause.rule))
    return raise(verdict, 'D09', 'likely', { secrets })
  if (verdict.cause.rule === 'D27' || verdict.cause.rule === 'D29')
    return raise(verdict, 'D25', 'likely', { secrets })
  return { ...verdict, secrets }
}

/** No pull secret is for this image: what a stranger was told says little of the image, and much of the secrets. */
function whenNothingMatches(
  verdict: PullVerdict,
  order: PullOrder,
  { notCopied }: Credentials,
): PullVerdict {
  if (!toStrangers.has(verdict.cause.rule)) return verdict
  const certainty = wantsCredential.has(verdict.cause.rule) ? 'proved' : 'likely'
  const missing = order.ignoredSecrets.filter(({ reason }) => reason === 'missing')
  if (missing.length > 0) return ofMissing(verdict, missing, certainty)
  const ignored = order.ignoredSecrets.filter(({ reason }) =>
    ['wrong-type', 'no-data', 'no-entries', 'helpers-only'].includes(reason),
  )
  if (ignored.some(({ reason }) => reason === 'helpers-only'))
    return raise(verdict, 'D09', certainty, { secrets: ignored.map(({ secret }) => secret) })
  if (ignored.length > 0)
    return raise(verdict, 'D06', certainty, { secrets: ignored.map(({ secret }) => secret) })
  const near = order.ignoredKeys.filter(({ reason }) =>
    ['hub-name', 'other-port', 'other-path', 'label-count', 'not-a-url'].includes(reason),
  )
  if (near.length > 0)
    return raise(verdict, 'D07', certainty, {
      secrets: [...new Set(near.map(({ secret }) => secret))],
    })
  if (notCopied.length > 0) return raise(verdict, 'D08', 'likely', { secrets: notCopied })
  const alone =
    verdict.cause.rule === 'D29' ? raise(verdict, 'D22', 'likely', { secrets: [] }) : verdict
  return {
    ...alone,
    missing: [
      ...alone.missing,
      "the node's own credentials (its config.json, a credential provider), which nobody can see through the API",
    ],
  }
}

function ofMissing(
  verdict: PullVerdict,
  missing: readonly { readonly secret: string }[],
  certainty: Certainty,
): PullVerdict {
  return raise(verdict, 'D05', certainty, { secrets: missing.map(({ secret }) => secret) })
}

/** Another cause, or the same and surer, with what shows it. */
function raise(
  verdict: PullVerdict,
  rule: string,
  certainty: Certainty,
  more: { readonly secrets: readonly string[]; readonly evidence?: readonly Evidence[] },
): PullVerdict {
  return {
    ...verdict,
    cause: ruleOf(rule),
    fix: ruleOf(rule).fix,
    certainty,
    secrets: more.secrets,
    evidence: [...verdict.evidence, ...(more.evidence ?? [])],
  }
}

/** Says in words what the kubelet does with the pod's secrets for this image; never a password. */
function seen(order: PullOrder, { notCopied, accountAnnotations }: Credentials): Evidence[] {
  const lines: Evidence[] = order.candidates.map(({ secret, key, isAnonymous }) => ({
    from: 'secrets',
    says: `secret ${secret}, key ${key}, is tried${isAnonymous ? ', and holds no user' : ''}`,
  }))
  if (order.outcome === 'no-credentials')
    lines.push({ from: 'secrets', says: `no pull secret of the pod is for ${order.wantedKey}` })
  for (const { secret, reason, type } of order.ignoredSecrets)
    lines.push({
      from: 'secrets',
      says: `secret ${secret || '(no name)'} is not used: ${reason}${type === null ? '' : ` (${type})`}`,
    })
  for (const { secret, key, reason } of order.ignoredKeys)
    lines.push({
      from: 'secrets',
      says: `secret ${secret}, key ${key}, is not for this image: ${reason}`,
    })
  if (notCopied.length > 0)
    lines.push({
      from: 'service account',
      says: `has ${notCopied.join(', ')} by now, which the pod has not: the list is copied when a pod is made, and only into one without a list of its own`,
    })
  for (const annotation of accountAnnotations)
    lines.push({
      from: 'service account',
      says: `its annotation ${annotation} is for containers that run; a pull does not use it`,
    })
  return lines
}
