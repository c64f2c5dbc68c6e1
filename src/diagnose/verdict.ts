/**
 * The verdict on a failing pull, from the message and the pod's credentials. A verdict starts as what the message says;
 * evidence changes its cause or raises its certainty to `proved`. Pure.
 */
import type { CredentialOrder } from '../credentials/credential-order.ts'
import type { FixFacts } from './fix/commands.ts'
import type { PodPlace } from './fix/pod-place.ts'
import type { SecretShape } from './fix/secret-shape.ts'
import { classify, fixOf, isKubeletText } from './rules/classify.ts'
import { type Cause, type Rule, ruleByCause } from './rules/table.ts'

export type Certainty = Rule['certainty'] | 'proved'

/** An observation and where it was made. `-o json` prints this shape. */
export interface Evidence {
  readonly from:
    'message' | 'pod' | 'secrets' | 'service account' | 'node' | 'registry' | 'openshift'
  readonly says: string
  /** Where Berth probed from; only for observations at a registry. */
  readonly vantage?: string
}

export interface PullVerdict {
  readonly rule: Rule
  readonly certainty: Certainty
  readonly errors: readonly string[]
  readonly evidence: readonly Evidence[]
  /** Evidence that could raise the certainty and that Berth could not get. */
  readonly missing: readonly string[]
  /** The secrets at fault, by name. */
  readonly secrets: readonly string[]
  /** The key that a secret for this image needs; null when the cause is not about credentials. */
  readonly wantedKey: string | null
  /** What a command that fixes the pod has to know; null when it could not be read. */
  readonly remedy: PullRemedy | null
  readonly fix: string
  /** What Berth did, could have done, or would do. */
  readonly berth: readonly string[]
}

/** Facts about the pod and its secrets that decide which commands help. */
export interface PullRemedy {
  readonly place: PodPlace
  readonly shapes: ReadonlyMap<string, SecretShape>
  readonly similarKey: FixFacts['similarKey']
}

export interface TokenExpiry {
  /** RFC 3339. */
  readonly at: string
  readonly hasPassed: boolean
  /** What says so. */
  readonly from: string
}

/** What the cluster says about a pod's credentials. */
export interface PodCredentials {
  /** Null when the image name does not parse. */
  readonly order: CredentialOrder | null
  /** Pull secrets that the service account has now and the pod does not have. */
  readonly notCopied: readonly string[]
  /** Annotations of the service account that people mistake for pull credentials. */
  readonly accountAnnotations: readonly string[]
  /** Pull secrets of the pod whose token for the image has an expiry time, by name. */
  readonly expiries?: ReadonlyMap<string, TokenExpiry>
  /** Pull secrets of the pod that were changed so recently that the kubelet may not have tried them, with the time. */
  readonly fresh?: ReadonlyMap<string, string>
  readonly place?: PodPlace
  /** The pull secrets of the pod that could be read, by name. */
  readonly shapes?: ReadonlyMap<string, SecretShape>
}

/** Returns the verdict on a kubelet message. `credentials` is null when they could not be read. */
export function diagnoseMessage(message: string, credentials: PodCredentials | null): PullVerdict {
  const verdict = judgeMessage(message, credentials)
  // The registry of the image decides between fixes too.
  const host = credentials?.order?.wantedKey ?? ''
  return { ...verdict, fix: fixOf(verdict.rule, message, host) }
}

function judgeMessage(message: string, credentials: PodCredentials | null): PullVerdict {
  const { rule, errors } = classify(message)
  const verdict: PullVerdict = {
    rule,
    certainty: rule.certainty,
    errors,
    evidence: [{ from: 'message', says: rule.means }],
    missing: [],
    secrets: [],
    wantedKey: null,
    remedy: remedyOf(credentials),
    fix: rule.fix,
    berth: [],
  }
  if (rule.provedByNode === undefined && isKubeletText(rule, message))
    return { ...verdict, certainty: 'proved' }
  const order = credentials?.order ?? null
  if (credentials === null || order === null) {
    const needsSecrets = rule.topic === 'access' || rule.provedBySecrets !== undefined
    return needsSecrets
      ? { ...verdict, missing: ["the pod's pull secrets could not be read"] }
      : verdict
  }
  return applyCredentials(verdict, order, credentials)
}

function remedyOf(credentials: PodCredentials | null): PullRemedy | null {
  if (credentials?.place === undefined) return null
  const { place, shapes = new Map<string, SecretShape>(), order } = credentials
  // The same user probably has one account for the other spelling, and a key of this form can be pasted into a shell.
  const similarKey = order?.ignoredKeys.find(
    ({ key, reason }) =>
      ['hub-name', 'other-port', 'not-a-url'].includes(reason) && /^[\w.:/-]{1,255}$/.test(key),
  )
  return { place, shapes, similarKey: similarKey ?? null }
}

function applyCredentials(
  verdict: PullVerdict,
  order: CredentialOrder,
  credentials: PodCredentials,
): PullVerdict {
  const { provedBySecrets, topic } = verdict.rule
  const [fault] = order.faults
  if (provedBySecrets === 'undecodable' && fault !== undefined) {
    const key = fault.key === null ? '' : `, key ${fault.key}`
    return conclude(verdict, verdict.rule.cause, 'proved', {
      secrets: [fault.secret],
      evidence: [{ from: 'secrets', says: `secret ${fault.secret}${key}: ${fault.fault}` }],
    })
  }
  const absent = absentSecrets(order)
  if (provedBySecrets === 'missing' && absent.length > 0)
    return {
      ...conclude(verdict, verdict.rule.cause, 'proved', { secrets: absent }),
      wantedKey: order.wantedKey,
    }
  if (topic !== 'access') return verdict
  const known: PullVerdict = {
    ...verdict,
    wantedKey: order.wantedKey,
    missing: order.isComplete ? [] : ['you may not read a pull secret of the pod'],
    evidence: [...verdict.evidence, ...credentialEvidence(order, credentials)],
  }
  return order.outcome === 'credentials'
    ? whenCredentialsMatch(known, order, credentials)
    : whenNoneMatches(known, order, credentials)
}

/** The kubelet sent credentials of the pod's secrets. */
function whenCredentialsMatch(
  verdict: PullVerdict,
  { candidates }: CredentialOrder,
  { expiries = new Map<string, TokenExpiry>(), fresh = new Map<string, string>() }: PodCredentials,
): PullVerdict {
  const secrets = [...new Set(candidates.map(({ secret }) => secret))]
  const expiredOnes = secrets.filter((secret) => expiries.get(secret)?.hasPassed === true)
  if (expiredOnes.length > 0)
    return conclude(verdict, 'token-expired', 'proved', {
      secrets: expiredOnes,
      evidence: expiredOnes.map((secret) => ({
        from: 'secrets',
        says: `the token in secret ${secret} expired at ${expiries.get(secret)?.at} (${expiries.get(secret)?.from})`,
      })),
    })
  const [valid] = secrets.filter((secret) => expiries.get(secret)?.hasPassed === false)
  // The other reason for a 403 of ECR.
  if (verdict.rule.cause === 'ecr-forbidden' && valid !== undefined)
    return conclude(verdict, 'ecr-access-denied', 'likely', {
      secrets,
      evidence: [
        {
          from: 'secrets',
          says: `the token in secret ${valid} is valid until ${expiries.get(valid)?.at} (${expiries.get(valid)?.from})`,
        },
      ],
    })
  const freshOnes = secrets.filter((secret) => fresh.has(secret))
  if (freshOnes.length > 0)
    return conclude(verdict, 'retry-pending', 'ambiguous', {
      secrets: freshOnes,
      evidence: freshOnes.map((secret) => ({
        from: 'secrets',
        says: `secret ${secret} was changed at ${fresh.get(secret)}`,
      })),
    })
  const { isAlsoSaidToAnonymous, causeIfSent } = verdict.rule
  const hasNoUser = candidates.every(({ isAnonymous }) => isAnonymous)
  if (hasNoUser && isAlsoSaidToAnonymous)
    return conclude(verdict, 'empty-credential', 'likely', { secrets })
  if (causeIfSent !== undefined) return conclude(verdict, causeIfSent, 'likely', { secrets })
  return { ...verdict, secrets }
}

/** No pull secret of the pod is for this image, so the answer to an anonymous request says more about the secrets than about the image. */
function whenNoneMatches(
  verdict: PullVerdict,
  order: CredentialOrder,
  { notCopied }: PodCredentials,
): PullVerdict {
  const { isAlsoSaidToAnonymous, isOnlyAboutCredential, causeIfNoneMatches } = verdict.rule
  if (!isAlsoSaidToAnonymous) return verdict
  const certainty = isOnlyAboutCredential ? 'proved' : 'likely'
  const absent = absentSecrets(order)
  if (absent.length > 0)
    return conclude(verdict, 'pull-secret-missing', certainty, { secrets: absent })
  const unusable = order.ignoredSecrets.filter(({ reason }) =>
    ['wrong-type', 'no-data', 'no-entries', 'helpers-only'].includes(reason),
  )
  if (unusable.length > 0) {
    const hasHelpersOnly = unusable.some(({ reason }) => reason === 'helpers-only')
    return conclude(
      verdict,
      hasHelpersOnly ? 'empty-credential' : 'pull-secret-ignored',
      certainty,
      { secrets: unusable.map(({ secret }) => secret) },
    )
  }
  const almostMatching = order.ignoredKeys.filter(({ reason }) =>
    ['hub-name', 'other-port', 'other-path', 'label-count', 'not-a-url'].includes(reason),
  )
  if (almostMatching.length > 0)
    return conclude(verdict, 'no-matching-credential', certainty, {
      secrets: [...new Set(almostMatching.map(({ secret }) => secret))],
    })
  if (notCopied.length > 0)
    return conclude(verdict, 'service-account-changed', 'likely', { secrets: notCopied })
  const concluded =
    causeIfNoneMatches === undefined
      ? verdict
      : conclude(verdict, causeIfNoneMatches, 'likely', { secrets: [] })
  return {
    ...concluded,
    missing: [
      ...concluded.missing,
      "the node's own credentials (its config.json, a credential provider), which the API does not show",
    ],
  }
}

/** Secrets that the pod names and that do not exist. */
function absentSecrets({ ignoredSecrets }: CredentialOrder): string[] {
  return ignoredSecrets.flatMap(({ secret, reason }) => (reason === 'missing' ? [secret] : []))
}

/** Sets the cause and the certainty, with the secrets at fault and the evidence for it. */
function conclude(
  verdict: PullVerdict,
  cause: Cause,
  certainty: Certainty,
  found: { readonly secrets: readonly string[]; readonly evidence?: readonly Evidence[] },
): PullVerdict {
  const rule = ruleByCause(cause)
  return {
    ...verdict,
    rule,
    fix: rule.fix,
    certainty,
    secrets: found.secrets,
    evidence: [...verdict.evidence, ...(found.evidence ?? [])],
  }
}

/** Describes what the kubelet does with the pod's secrets for this image; contains no password. */
function credentialEvidence(
  order: CredentialOrder,
  { notCopied, accountAnnotations }: PodCredentials,
): Evidence[] {
  const lines: Evidence[] = order.candidates.map(({ secret, key, isAnonymous }) => ({
    from: 'secrets',
    says: `secret ${secret}, key ${key}, is tried${isAnonymous ? ', and has no user' : ''}`,
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
      says: `names ${notCopied.join(', ')}, and the pod does not: the list is copied when a pod is created, and only to a pod without imagePullSecrets`,
    })
  for (const annotation of accountAnnotations)
    lines.push({
      from: 'service account',
      says: `its annotation ${annotation} is for running containers; pulls do not use it`,
    })
  return lines
}
