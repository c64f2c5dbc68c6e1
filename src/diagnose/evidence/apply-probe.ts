/**
 * Holds a verdict against what the registry was seen to say. A probe raises it to `proved`, changes its cause, or speaks
 * against it, and then it is `ambiguous`: the node sees something else than this machine does. Pure.
 */
import { ruleOf } from '../rules/classify.ts'
import type { Fault, Seen, Try } from './probe-evidence.ts'
import type { Evidence, PullVerdict } from '../verdict.ts'

/** The vantage of every probe: what the node sees may differ. */
const vantage = 'this machine, not the node'

const missingRules: ReadonlySet<string> = new Set(['D37', 'D38', 'D40'])
const accessRules: ReadonlySet<string> = new Set(['D22', 'D25', 'D26', 'D27', 'D28', 'D29', 'D30'])
/** About the pod's secrets: that the registry lets nobody in without one is what is left to prove. */
const secretRules: ReadonlySet<string> = new Set(['D05', 'D06', 'D07', 'D08', 'D09'])

/** Which rules the same failure from here confirms. */
const confirms: Readonly<Record<Fault, readonly string[]>> = {
  dns: ['D50'],
  'off-limits': [],
  refused: ['D51', 'D52'],
  timeout: ['D53'],
  unroutable: ['D53'],
  cut: ['D55'],
  'not-tls': ['D46'],
  other: [],
}

const faultText: Readonly<Record<Fault, string>> = {
  dns: 'its name has no address',
  'off-limits': 'not asked: its address is of this machine or its link, where a node would find another; a config with its endpoint says where to ask',
  refused: 'nothing listens there',
  timeout: 'no answer',
  unroutable: 'no route',
  cut: 'the connection was closed',
  'not-tls': 'what answers does not speak TLS',
  other: 'no connection',
} // prettier-ignore

/** Applies what was seen to one verdict. */
export function applyProbe(verdict: PullVerdict, seen: Seen): PullVerdict {
  const known = { ...verdict, evidence: [...verdict.evidence, ...evidenceOf(seen)] }
  const judged = judgeSeen(known, seen)
  return { ...judged, fix: fixFor(judged, seen) }
}

function judgeSeen(verdict: PullVerdict, seen: Seen): PullVerdict {
  const { rule } = verdict.cause
  if (seen.fault !== null) return confirms[seen.fault].includes(rule) ? proved(verdict) : verdict
  if (isSeenInTransport(rule, seen)) return proved(verdict)
  if (missingRules.has(rule)) return ofMissing(verdict, seen)
  if (accessRules.has(rule) || secretRules.has(rule)) return ofAccess(verdict, seen)
  return verdict
}

/** What a connection, a certificate or a status shows without regard to who asks. */
function isSeenInTransport(rule: string, { certificate, endpoint, tries, blobs }: Seen): boolean {
  const has = (problem: 'unknown-ca' | 'wrong-name' | 'out-of-date') =>
    certificate?.problems.includes(problem) === true
  const hasAnswer = tries.some(({ status }) => status !== null)
  switch (rule) {
    case 'D45':
      return endpoint.startsWith('http://') && hasAnswer
    case 'D47':
      return has('unknown-ca')
    case 'D48':
      return has('wrong-name') || has('out-of-date')
    case 'D20':
      return tries.some(({ outcome }) => outcome === 'limited')
    case 'D39':
      return (blobs?.missing.length ?? 0) > 0
    case 'D53':
      return tries.some(({ outcome }) => outcome === 'timeout')
    case 'D56':
      return tries.some(({ status }) => status !== null && status >= 500)
    case 'D36':
    case 'D69':
      return tries.some(({ outcome }) => outcome === 'invalid')
    default:
      return false
  }
}

function ofMissing(verdict: PullVerdict, seen: Seen): PullVerdict {
  if (seen.tries.some(({ outcome }) => outcome === 'found')) return contradicted(verdict)
  return isAbsent(seen) ? missing(verdict, seen) : verdict
}

function ofAccess(verdict: PullVerdict, seen: Seen): PullVerdict {
  const { rule } = verdict.cause
  const [anonymous, ofPod, ofOther] = (['anonymous', 'pod', 'other'] as const).map((by) =>
    seen.tries.filter((each) => each.by === by),
  ) as [Try[], Try[], Try[]]
  const has = (tries: readonly Try[], outcome: Try['outcome']) =>
    tries.some((each) => each.outcome === outcome)
  const isThere = has(ofOther, 'found')
  if (has(ofPod, 'found')) return contradicted(verdict)
  if (has(ofPod, 'refused')) return proved(verdict, 'D25', secretsOf(ofPod, 'refused'))
  if (isAbsent(seen)) return missing(verdict, seen)
  if (has(anonymous, 'found')) return contradicted(verdict)
  if (has(ofPod, 'no-right'))
    return isThere ? proved(verdict, 'D30', secretsOf(ofPod, 'no-right')) : undecided(verdict)
  const isLocked = anonymous.some(
    ({ outcome, scheme }) => outcome === 'refused' && scheme === 'basic',
  )
  if (!isThere && !isLocked) return undecided(verdict)
  if (secretRules.has(rule)) return proved(verdict)
  if (ofPod.length > 0) return verdict
  // What the node itself has stays unseen, and is what there is to look at next.
  return { ...proved(verdict, 'D22', []), missing: verdict.missing }
}

/** Somebody was let in, and it is not there; nobody has found it. */
function isAbsent({ tries }: Seen): boolean {
  return (
    tries.some(({ outcome }) => outcome === 'absent') &&
    tries.every(({ outcome }) => outcome !== 'found')
  )
}

function missing(verdict: PullVerdict, { tags }: Seen): PullVerdict {
  if (tags === 'absent') return proved(verdict, 'D38', [])
  return proved(verdict, tags !== null && tags.length > 0 ? 'D37' : 'D40', [])
}

function proved(verdict: PullVerdict, rule?: string, secrets?: readonly string[]): PullVerdict {
  const cause = rule === undefined ? verdict.cause : ruleOf(rule)
  return {
    ...verdict,
    cause,
    fix: cause.rule === verdict.cause.rule ? verdict.fix : cause.fix,
    certainty: 'proved',
    secrets: secrets ?? verdict.secrets,
    missing: [],
  }
}

function contradicted(verdict: PullVerdict): PullVerdict {
  return {
    ...verdict,
    certainty: 'ambiguous',
    missing: [
      ...verdict.missing,
      'what the node itself asks and with what: from here the image is there; it may have come since, or the node is sent to another registry (hosts.toml, registries.conf)',
    ],
  }
}

function undecided(verdict: PullVerdict): PullVerdict {
  return {
    ...verdict,
    missing: [
      ...verdict.missing,
      'a credential that may read the repository: only what the registry says to it tells private from missing',
    ],
  }
}

function secretsOf(tries: readonly Try[], outcome: Try['outcome']): string[] {
  const names = tries.flatMap((each) =>
    each.outcome === outcome && each.secret !== null ? [each.secret] : [],
  )
  return [...new Set(names)]
}

function evidenceOf(seen: Seen): Evidence[] {
  const {
    endpoint,
    repository,
    addresses,
    fault,
    certificate,
    tries,
    tags,
    near,
    quota,
    platforms,
    blobs,
  } = seen
  const lines: string[] = []
  if (addresses.length > 0) lines.push(`${endpoint} is at ${addresses.join(', ')}`)
  if (fault !== null) lines.push(`${endpoint}: ${faultText[fault]}`)
  if (certificate !== null)
    lines.push(
      `certificate by ${certificate.issuer}, for ${certificate.names.join(', ') || 'no name'}, from ${certificate.validFrom} to ${certificate.validTo}${certificate.problems.length === 0 ? '' : `: ${certificate.problems.join(', ')}`}`,
    )
  for (const each of tries) lines.push(`${each.source}: ${each.outcome} (${each.detail})`)
  if (tags === 'absent')
    lines.push(`${repository} has no list of tags: there is no such repository`)
  else if (tags !== null)
    lines.push(`${repository} has ${tags.length === 1 ? '1 tag' : `${tags.length} tags`}`)
  for (const tag of near) lines.push(`${repository}:${tag} is there`)
  if (quota !== null)
    lines.push(`limit of whoever asks from here: ${quota.remaining} left of ${quota.limit}`)
  if (platforms !== null) lines.push(`${repository} is for ${platforms.join(', ')}`)
  if (blobs !== null)
    lines.push(
      blobs.missing.length === 0
        ? `all ${blobs.asked} blobs are there`
        : `${blobs.missing.length} of ${blobs.asked} blobs are missing: ${blobs.missing.join(', ')}`,
    )
  return lines.map((says) => ({ from: 'registry', says, vantage }))
}

/** The rule's own advice, or a better one where something was found. */
function fixFor({ cause, fix }: PullVerdict, { near, tries }: Seen): string {
  if (cause.rule === 'D37' && near.length > 0)
    return `use a tag that is there (each was asked for): ${near.join(', ')}; or push this one`
  const isPublic = tries.some(({ by, outcome }) => by === 'anonymous' && outcome === 'found')
  if (cause.rule === 'D25' && isPublic)
    return 'take the secret away from the pod, or renew it: the image is public, and comes without any'
  return fix
}
