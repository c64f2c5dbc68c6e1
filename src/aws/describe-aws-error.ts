/** What an error of AWS means for one link of a chain, and what mends it. */

/** Which kind of link broke: a closed list, for metrics. */
export type RoleChainStep = 'identity' | 'web-identity' | 'role' | 'token' | 'repository'

export interface EcrFailure {
  readonly step: RoleChainStep
  /** AWS's own code, for example `AccessDenied`, or Node.js's code of a connection that failed. */
  readonly code: string
  /** For operators: the chain up to the link that broke, the code, AWS's words and the fix. Holds no secret. */
  readonly message: string
  /** For whoever creates pods: which link, and the code. Tells no name of the chain, and nothing in AWS's words. */
  readonly summary: string
}

/** How a link is shown, and who tried to take it. */
export interface FailedStep {
  readonly step: RoleChainStep
  /** The links from the first to the one that broke, as people know them. */
  readonly path: readonly string[]
  /** Who made the call: an ARN, or what stands for it. */
  readonly caller: string
  readonly region: string
  /** Nothing that holds one of these may be told. */
  readonly secrets: readonly string[]
}

/** Longer than any message of STS that names two ARNs; encoded authorisation messages are cut off. */
const maxWords = 400

/** Puts a broken link into words: `ECR token for us-east-1: web identity → role X: AccessDenied: …; FIX`. */
export function describeAwsError(error: unknown, broken: FailedStep): EcrFailure {
  const { step, path, region, secrets } = broken
  const code = codeOf(error)
  const words = wordsOf(error, secrets)
  const said = words === '' || words === code ? code : `${code}: ${words}`
  const wanted = step === 'repository' ? 'repository of ECR in' : 'ECR token for'
  return {
    step,
    code,
    message: `${wanted} ${region}: ${path.join(' → ')}: ${said}; ${fixFor(code, broken)}`,
    summary: `no ${wanted} ${region}: ${placeOf(broken)}: ${code}`,
  }
}

function placeOf({ step, path }: FailedStep): string {
  if (step === 'identity') return "Berth's own identity"
  if (step === 'token') return 'ecr:GetAuthorizationToken'
  if (step === 'repository') return 'ecr:CreateRepository'
  // The first of a path is the identity, and each one behind it a role.
  return step === 'web-identity' ? 'web identity' : `role ${path.length - 1} of the chain`
}

const networkCodes = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EPIPE',
])

/** Node.js's codes of a certificate that is not trusted (node:tls, X509 certificate error codes). */
const tlsCode = /^(?:CERT_|UNABLE_TO_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_)[A-Z_]+$/

/** STS writes `ExpiredTokenException` for a web identity, and `ExpiredToken` for keys; the same is said here by one name. */
function codeOf(error: unknown): string {
  const { code, name = '' } = (error ?? {}) as { readonly code?: unknown; readonly name?: unknown }
  if (typeof code === 'string' && (networkCodes.has(code) || tlsCode.test(code))) return code
  const text = typeof name === 'string' ? name.replace(/Exception$/, '') : ''
  if (text === 'AbortError' || text === 'TimeoutError') return 'Timeout'
  return /^[A-Za-z]{1,60}$/.test(text) ? text : 'Error'
}

/** AWS's own words on one line, unless something secret stands in them: an endpoint may be anybody's. */
function wordsOf(error: unknown, secrets: readonly string[]): string {
  const { message } = (error ?? {}) as { readonly message?: unknown }
  if (typeof message !== 'string') return ''
  if (secrets.some((secret) => secret !== '' && message.includes(secret))) return ''
  const line = message.replace(/[\s\p{Cc}]+/gu, ' ').trim()
  return line.length > maxWords ? `${line.slice(0, maxWords)}…` : line
}

function fixFor(code: string, { step, path, caller }: FailedStep): string {
  if (isNetwork(code)) {
    return 'this API has to be within reach of Berth; `ecr.endpoints` names a VPC endpoint'
  }
  if (tlsCode.test(code)) return 'a CA of your own goes into a file under NODE_EXTRA_CA_CERTS'
  if (
    /Throttl|TooManyRequests|RequestLimit|SlowDown|ServiceUnavailable|InternalFailure/.test(code)
  ) {
    return 'it is asked again later'
  }
  if (code === 'EmptyAnswer') return 'the address under `endpoints` may not be the one of this API'
  const subject = path.at(-1) ?? ''
  if (step === 'identity') return identityFix(code)
  if (step === 'web-identity') return webIdentityFix(code, subject, caller)
  if (step === 'role') return roleFix(code, subject, caller)
  if (!/AccessDenied|UnauthorizedOperation/.test(code)) return keysFix(code)
  return step === 'repository'
    ? `allow ecr:CreateRepository to ${caller}; in another account than its own nobody can be allowed it`
    : `allow ecr:GetAuthorizationToken to ${caller}, on Resource "*": it has no narrower one`
}

function isNetwork(code: string): boolean {
  return networkCodes.has(code) || code === 'Timeout'
}

function identityFix(code: string): string {
  return code === 'CredentialsProviderError'
    ? 'give Berth a service account with a role, or write `webIdentity` or `staticKeys`'
    : 'mend the file or Secret that it is read from'
}

function webIdentityFix(code: string, role: string, caller: string): string {
  if (code === 'AccessDenied') {
    return `the trust policy of ${role} has to allow sts:AssumeRoleWithWebIdentity to the ${caller}`
  }
  if (code === 'InvalidIdentityToken') {
    return `the account of ${role} needs an IAM OIDC provider for the issuer and audience of the ${caller}`
  }
  if (code === 'ExpiredToken') {
    return 'the token file is not renewed; mount it as a projected service account token'
  }
  return 'see the role and its trust policy'
}

function roleFix(code: string, role: string, caller: string): string {
  if (code === 'AccessDenied') {
    return `both are needed: a policy of ${caller} that allows sts:AssumeRole on ${role}, and a trust policy of ${role} that names that caller (and the external ID, if it asks for one)`
  }
  return keysFix(code)
}

function keysFix(code: string): string {
  if (
    /InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch|InvalidSignature|AuthFailure/.test(
      code,
    )
  ) {
    return 'the keys are not, or no longer, valid; renew them where they are kept'
  }
  if (code === 'ExpiredToken') return 'the keys belong to a session that has ended; renew them'
  if (/RegionDisabled|OptInRequired/.test(code))
    return 'switch the region on for this account in IAM'
  return 'see the chain under `ecr`'
}
