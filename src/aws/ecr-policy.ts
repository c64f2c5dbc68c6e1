/**
 * Would these policies let this caller pull? Read offline, from the JSON of the policies, as IAM evaluates them (IAM User Guide,
 * "Policy evaluation logic"): what is missing is named by its action and by the side that has to grant it. Pure.
 * Service control policies and VPC endpoint policies are not seen here; given as `boundaries` they are.
 */

/** A policy document as AWS gives it, parsed from JSON; one that is none allows nothing. */
export type PolicyDocument = string | number | boolean | object | null | undefined

export interface PullQuestion {
  /** The role or user that asks: `arn:aws:iam::ACCOUNT:role/NAME`; of a chain, its last role. */
  readonly callerArn: string
  /** `arn:aws:ecr:REGION:ACCOUNT:repository/NAME`. */
  readonly repositoryArn: string
  readonly identityPolicies: readonly PolicyDocument[]
  /** Null: the repository has none. */
  readonly repositoryPolicy: PolicyDocument
  /** Each of these has to allow as well, and grants nothing. */
  readonly boundaries?: readonly PolicyDocument[]
  /** True for the first pull of an image through a pull-through cache, which makes its repository. */
  readonly pullThrough?: boolean
}

export type PolicySide = 'identity' | 'repository' | 'boundary'

export interface PolicyFault {
  readonly action: string
  /** Whose policy has to change. */
  readonly side: PolicySide
  /**
   * `missing`: nothing allows it. `denied`: a statement denies it, which no other can outweigh. `conditional`: what allows or
   * denies it has a condition, which cannot be judged from here. `never-matches`: it is allowed on an ARN, and has none.
   */
  readonly kind: 'missing' | 'denied' | 'conditional' | 'never-matches'
  readonly message: string
}

const tokenAction = 'ecr:GetAuthorizationToken'

/** What a runtime calls for one image (ECR User Guide, "Repository policy examples", pull). */
const pullActions = [
  'ecr:BatchCheckLayerAvailability',
  'ecr:GetDownloadUrlForLayer',
  'ecr:BatchGetImage',
]

/** What the first pull through a cache calls beside them (ECR User Guide, "IAM permissions required to … pull through cache"). */
const pullThroughActions = ['ecr:CreateRepository', 'ecr:BatchImportUpstreamImage']

/** Every reason for which a pull would be refused, the token's first; none when it would not. */
export function checkPull(question: PullQuestion): readonly PolicyFault[] {
  const { callerArn, repositoryArn, pullThrough = false } = question
  const actions = [tokenAction, ...pullActions, ...(pullThrough ? pullThroughActions : [])]
  return actions.flatMap((action) => {
    const sides = judge(question, action)
    return sides.map(({ side, kind }) => ({
      action,
      side,
      kind,
      message: messageOf(action, side, kind, { callerArn, repositoryArn }),
    }))
  })
}

type Verdict = 'allowed' | 'denied' | 'conditional' | 'silent'
type Finding = Pick<PolicyFault, 'side' | 'kind'>

function judge(question: PullQuestion, action: string): Finding[] {
  const { callerArn, repositoryArn, identityPolicies, repositoryPolicy, boundaries = [] } = question
  const isToken = action === tokenAction
  const resource = isToken ? '*' : repositoryArn
  const identity = verdictOf(identityPolicies, { action, resource })
  // A repository's policy says nothing of tokens, which belong to no repository.
  const documents = isToken || repositoryPolicy === null ? [] : [repositoryPolicy]
  const named = verdictOf(documents, { action, resource, principals: [callerArn, '*'] })
  const throughAccount = verdictOf(documents, {
    action,
    resource,
    principals: accountOf(callerArn),
  })
  const repository = strongest(named, throughAccount)
  const bounds = boundaries.flatMap((boundary) =>
    findingOf('boundary', verdictOf([boundary], { action, resource })),
  )
  if (isToken && identity === 'silent' && allowsOnArn(identityPolicies)) {
    return [{ side: 'identity', kind: 'never-matches' }, ...bounds]
  }
  if (isToken) return [...findingOf('identity', identity), ...bounds]
  const isForeign = accountIn(callerArn) !== accountIn(repositoryArn)
  const sides = isForeign
    ? [...findingOf('identity', identity), ...findingOf('repository', repository)]
    : ownFindings(identity, { named, repository })
  return [...sides, ...bounds]
}

/** Within one account either side is enough; the account as principal only lets the identity's side speak. */
function ownFindings(
  identity: Verdict,
  { named, repository }: { readonly named: Verdict; readonly repository: Verdict },
): Finding[] {
  if (identity === 'denied') return findingOf('identity', identity)
  if (repository === 'denied') return findingOf('repository', repository)
  return named === 'allowed' ? [] : findingOf('identity', identity)
}

function findingOf(side: PolicySide, verdict: Verdict): Finding[] {
  if (verdict === 'allowed') return []
  return [{ side, kind: verdict === 'silent' ? 'missing' : verdict }]
}

interface Ask {
  readonly action: string
  readonly resource: string
  /** Left out for a policy of an identity, which names no principal. */
  readonly principals?: readonly string[]
}

function verdictOf(documents: readonly PolicyDocument[], ask: Ask): Verdict {
  const statements = documents.flatMap(statementsOf).filter((each) => applies(each, ask))
  const has = (effect: string, isConditional: boolean) =>
    statements.some((each) => each['Effect'] === effect && 'Condition' in each === isConditional)
  if (has('Deny', false)) return 'denied'
  if (has('Deny', true)) return 'conditional'
  if (has('Allow', false)) return 'allowed'
  return has('Allow', true) ? 'conditional' : 'silent'
}

/** Denied before all, then allowed, then what cannot be judged. */
function strongest(one: Verdict, other: Verdict): Verdict {
  const order: readonly Verdict[] = ['denied', 'allowed', 'conditional', 'silent']
  return order.find((verdict) => verdict === one || verdict === other) ?? 'silent'
}

type Statement = Readonly<Record<string, unknown>>

function statementsOf(document: PolicyDocument): Statement[] {
  return listOf(isRecord(document) ? document['Statement'] : []).filter(isRecord)
}

function applies(statement: Statement, { action, resource, principals }: Ask): boolean {
  const names = (key: string, text: string) =>
    textsOf(statement[key]).some((each) => matches(each, text))
  const hasAction = 'NotAction' in statement ? !names('NotAction', action) : names('Action', action)
  // A repository's policy is about its repository, and need not say so.
  const hasResource =
    'NotResource' in statement
      ? !names('NotResource', resource)
      : !('Resource' in statement) || names('Resource', resource)
  return (
    hasAction && hasResource && (principals === undefined || hasPrincipal(statement, principals))
  )
}

function hasPrincipal(statement: Statement, principals: readonly string[]): boolean {
  const has = (value: unknown) =>
    textsOf(isRecord(value) ? value['AWS'] : value).some((each) => principals.includes(each))
  return 'NotPrincipal' in statement ? !has(statement['NotPrincipal']) : has(statement['Principal'])
}

/** Allowed on something narrower than `*`: that looks right, and has no effect. */
function allowsOnArn(policies: readonly PolicyDocument[]): boolean {
  return policies
    .flatMap(statementsOf)
    .some(
      (each) =>
        each['Effect'] === 'Allow' &&
        textsOf(each['Action']).some((action) => matches(action, tokenAction)) &&
        !textsOf(each['Resource']).includes('*'),
    )
}

/** An account as a principal: by its number, or by its root, which stands for all of it. */
function accountOf(arn: string): readonly string[] {
  const account = accountIn(arn)
  const [, partition = 'aws'] = arn.split(':')
  return [account, `arn:${partition}:iam::${account}:root`]
}

function accountIn(arn: string): string {
  return arn.split(':')[4] ?? ''
}

/** IAM's wildcards, `*` and `?`; actions are compared without regard to case, and ARNs have no two that differ by it alone. */
function matches(pattern: string, text: string): boolean {
  const source = pattern
    .replace(/\*+/g, '*')
    .replace(/[\\^$.+()|[\]{}]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`, 'i').test(text)
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value]
}

function textsOf(value: unknown): string[] {
  return listOf(value).filter((each) => typeof each === 'string')
}

function isRecord(value: unknown): value is Statement {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function messageOf(
  action: string,
  side: PolicySide,
  kind: PolicyFault['kind'],
  { callerArn, repositoryArn }: Pick<PullQuestion, 'callerArn' | 'repositoryArn'>,
): string {
  const holder = {
    identity: `a policy of ${callerArn}`,
    repository: `the policy of ${repositoryArn}`,
    boundary: `a boundary above ${callerArn}`,
  }[side]
  if (kind === 'never-matches')
    return `${holder} allows ${action} on an ARN, which never matches; allow it on Resource "*"`
  if (kind === 'denied') return `${holder} denies ${action}; no other policy outweighs that`
  if (kind === 'conditional')
    return `${holder} makes ${action} depend on a condition; see whether it holds`
  if (side === 'repository')
    return `${holder} has to allow ${action} to ${callerArn}, or to its account`
  return `${holder} has to allow ${action} on ${action === tokenAction ? 'Resource "*"' : repositoryArn}`
}
