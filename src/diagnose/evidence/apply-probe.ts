/**
 * Applies a probe report to a verdict. The probe proves the cause, changes it, or contradicts it; after a contradiction
 * the verdict is `ambiguous`, because the node sees something else than this machine. Pure.
 */
import type { EndpointFault } from '../../registry/probe/endpoint-probe.ts'
import type { ProbeSign } from '../rules/rule.ts'
import { type Cause, type Rule, ruleByCause } from '../rules/table.ts'
import type { Evidence, PullVerdict } from '../verdict.ts'
import type { ProbeAttempt, ProbeReport } from './probe-report.ts'

/** The vantage of every probe; the node may see something else. */
const vantage = 'this machine, not the node'

const faultText: Readonly<Record<EndpointFault, string>> = {
  dns: 'its name does not resolve',
  'off-limits': 'not probed: its address belongs to this machine or its link, where a node would reach another host; set its endpoint in the config to probe it',
  refused: 'nothing listens there',
  timeout: 'no answer',
  unroutable: 'no route',
  cut: 'the connection was closed',
  'not-tls': 'the server does not speak TLS',
  'client-certificate': 'the server refuses the TLS handshake; it may require a client certificate',
  proxy: 'no connection through the proxy',
  other: 'no connection',
} // prettier-ignore

export function applyProbe(verdict: PullVerdict, report: ProbeReport): PullVerdict {
  const evidence = [...verdict.evidence, ...evidenceOf(report)]
  const judged = judge({ ...verdict, evidence }, report)
  return { ...judged, fix: fixFor(judged, report) }
}

function judge(verdict: PullVerdict, report: ProbeReport): PullVerdict {
  const { provedByProbe = [], topic, isExact } = verdict.rule
  const signs = signsOf(report)
  if (provedByProbe.some((sign) => signs.has(sign))) return proved(verdict)
  if (report.fault !== null) return verdict
  const expired = report.attempts.filter(({ by, isExpired }) => by === 'pod' && isExpired === true)
  if (topic === 'access' && expired.length > 0)
    return proved(verdict, 'token-expired', secretsOf(expired, 'no-right'))
  if (topic === 'missing-image') return judgeMissingImage(verdict, report)
  if (topic === 'pull-secret' || (topic === 'access' && !isExact))
    return judgeAccess(verdict, report)
  return verdict
}

type FaultWithoutSign = 'off-limits' | 'client-certificate' | 'proxy' | 'other'

/** Faults that prove no rule. */
function isNoSign(fault: EndpointFault | null): fault is FaultWithoutSign {
  return fault !== null && ['off-limits', 'client-certificate', 'proxy', 'other'].includes(fault)
}

/** Returns what the connection, the certificate and the statuses show whatever the credential. */
function signsOf(report: ProbeReport): ReadonlySet<ProbeSign> {
  const { fault, certificate, endpoint, attempts, blobs } = report
  if (isNoSign(fault)) return new Set()
  if (fault !== null) return new Set([fault])
  const hasOutcome = (outcome: ProbeAttempt['outcome']) =>
    attempts.some((each) => each.outcome === outcome)
  const statuses = attempts.flatMap(({ status }) => status ?? [])
  const observed: readonly (readonly [ProbeSign, boolean])[] = [
    ['plain-http', endpoint.startsWith('http://') && statuses.length > 0],
    ['limited', hasOutcome('limited')],
    ['timeout', hasOutcome('timeout')],
    ['invalid-answer', hasOutcome('invalid')],
    ['server-error', statuses.some((status) => status >= 500)],
    ['missing-blob', (blobs?.missing.length ?? 0) > 0],
  ]
  return new Set([
    ...(certificate?.problems ?? []),
    ...observed.flatMap(([sign, isObserved]) => (isObserved ? [sign] : [])),
  ])
}

function judgeMissingImage(verdict: PullVerdict, report: ProbeReport): PullVerdict {
  if (report.attempts.some(({ outcome }) => outcome === 'found')) return contradicted(verdict)
  return isAbsent(report) ? provedMissing(verdict, report) : verdict
}

function judgeAccess(verdict: PullVerdict, report: ProbeReport): PullVerdict {
  const [anonymous, ofPod, ofOthers] = (['anonymous', 'pod', 'other'] as const).map((by) =>
    report.attempts.filter((each) => each.by === by),
  ) as [ProbeAttempt[], ProbeAttempt[], ProbeAttempt[]]
  const has = (attempts: readonly ProbeAttempt[], outcome: ProbeAttempt['outcome']) =>
    attempts.some((each) => each.outcome === outcome)
  const isFoundByOthers = has(ofOthers, 'found')
  const { isProvedByWorkingSecret } = verdict.rule
  if (has(ofPod, 'found')) return isProvedByWorkingSecret ? proved(verdict) : contradicted(verdict)
  if (has(ofPod, 'refused'))
    return proved(verdict, 'credential-refused', secretsOf(ofPod, 'refused'))
  if (isAbsent(report)) return provedMissing(verdict, report)
  if (has(anonymous, 'found')) return contradicted(verdict)
  if (has(ofPod, 'no-right'))
    return isFoundByOthers
      ? proved(verdict, 'forbidden', secretsOf(ofPod, 'no-right'))
      : undecided(verdict)
  const needsPassword = anonymous.some(
    ({ outcome, scheme }) => outcome === 'refused' && scheme === 'basic',
  )
  if (!isFoundByOthers && !needsPassword) return undecided(verdict)
  // The fault of the pod's secrets is known; the probe adds that the registry needs a credential.
  if (verdict.rule.topic === 'pull-secret')
    return isProvedByWorkingSecret ? verdict : proved(verdict)
  if (ofPod.length > 0) return verdict
  // The credentials of the node itself stay unknown and are the next thing to check.
  return { ...proved(verdict, 'no-credential', []), missing: verdict.missing }
}

/** True if the registry let one identity in and answered 404, and no identity found the image. */
function isAbsent({ attempts }: ProbeReport): boolean {
  return (
    attempts.some(({ outcome }) => outcome === 'absent') &&
    attempts.every(({ outcome }) => outcome !== 'found')
  )
}

function provedMissing(verdict: PullVerdict, { tags }: ProbeReport): PullVerdict {
  if (tags === 'absent') return proved(verdict, 'repository-missing', [])
  return proved(verdict, tags !== null && tags.length > 0 ? 'tag-missing' : 'not-found', [])
}

function proved(
  verdict: PullVerdict,
  cause: Cause = verdict.rule.cause,
  secrets: readonly string[] = verdict.secrets,
): PullVerdict {
  const rule: Rule = ruleByCause(cause)
  return {
    ...verdict,
    rule,
    fix: rule === verdict.rule ? verdict.fix : rule.fix,
    certainty: 'proved',
    secrets,
    missing: [],
  }
}

function contradicted(verdict: PullVerdict): PullVerdict {
  return {
    ...verdict,
    certainty: 'ambiguous',
    missing: [
      ...verdict.missing,
      'which registry the node asks, and with which credential: from this machine the image exists; it may have been pushed since, or the node uses another registry (hosts.toml, registries.conf)',
    ],
  }
}

function undecided(verdict: PullVerdict): PullVerdict {
  return {
    ...verdict,
    missing: [
      ...verdict.missing,
      'a credential that may read the repository: without one, the registry does not tell a private image from a missing one',
    ],
  }
}

function secretsOf(attempts: readonly ProbeAttempt[], outcome: ProbeAttempt['outcome']): string[] {
  const names = attempts.flatMap((each) =>
    each.outcome === outcome && each.secret !== null ? [each.secret] : [],
  )
  return [...new Set(names)]
}

function evidenceOf(report: ProbeReport): Evidence[] {
  const { repository, certificate, attempts, tags, similarTags, quota, platforms, blobs } = report // prettier-ignore
  const lines = connectionLines(report)
  if (certificate !== null)
    lines.push(
      `certificate issued by ${certificate.issuer} for ${certificate.names.join(', ') || 'no name'}, valid from ${certificate.validFrom} to ${certificate.validTo}${certificate.problems.length === 0 ? '' : `: ${certificate.problems.join(', ')}`}`,
    )
  for (const each of attempts) lines.push(`${each.source}: ${each.outcome} (${each.detail})`)
  if (tags === 'absent')
    lines.push(`repository ${repository} does not exist: it has no list of tags`)
  else if (tags !== null)
    lines.push(`${repository} has ${tags.length === 1 ? '1 tag' : `${tags.length} tags`}`)
  for (const tag of similarTags) lines.push(`${repository}:${tag} exists`)
  if (quota !== null)
    lines.push(`pull limit of this machine: ${quota.remaining} of ${quota.limit} left`)
  if (platforms !== null) lines.push(`${repository} has the platforms ${platforms.join(', ')}`)
  if (blobs !== null)
    lines.push(
      blobs.missing.length === 0
        ? `all ${blobs.asked} blobs exist`
        : `${blobs.missing.length} of ${blobs.asked} blobs are missing: ${blobs.missing.join(', ')}`,
    )
  return lines.map((says) => ({ from: 'registry', says, vantage }))
}

function connectionLines({ endpoint, proxy, proxyError, addresses, fault }: ProbeReport): string[] {
  const faultLine = fault === null ? null : `${endpoint}: ${faultText[fault]}`
  return [
    proxy === null ? null : `${endpoint} was probed through the proxy ${proxy}`,
    addresses.length === 0 ? null : `${endpoint} is at ${addresses.join(', ')}`,
    proxyError ?? faultLine,
  ].filter((line) => line !== null)
}

/** Returns the rule's advice, or a more specific one that the probe supports. */
function fixFor({ rule, fix }: PullVerdict, { similarTags, attempts }: ProbeReport): string {
  if (rule.suggestion === 'tag-map' && similarTags.length > 0)
    return `use a tag that exists: ${similarTags.join(', ')}; or push this one`
  const isPublic = attempts.some(({ by, outcome }) => by === 'anonymous' && outcome === 'found')
  if (rule.cause === 'credential-refused' && isPublic)
    return 'remove the secret from the pod, or renew it: the image is public and needs no credential'
  return fix
}
