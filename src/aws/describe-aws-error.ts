/** Describes an error of AWS with its cause and its fix. */

/** The steps of fetching a token or creating a repository: a closed list, because it is a metric label. */
export type RoleChainStep = 'identity' | 'web-identity' | 'role' | 'token' | 'repository'

export interface EcrFailure {
  readonly step: RoleChainStep
  /** The error code of AWS, such as `AccessDenied`, or of Node.js for a failed connection. */
  readonly code: string
  /** For operators: the steps up to the failed one, the code, the message of AWS, and the fix. Contains no secret. */
  readonly message: string
  /** For users who create pods: the failed step and the code, without role names or the message of AWS. */
  readonly summary: string
}

export interface FailedStep {
  readonly step: RoleChainStep
  /** The names of all steps from the first to the failed one. */
  readonly path: readonly string[]
  /** The ARN of the caller, or another name for it. */
  readonly caller: string
  readonly region: string
  /** A message that contains one of these is not shown. */
  readonly secrets: readonly string[]
}

/** More than any STS message with two ARNs; cuts off encoded authorization messages. */
const maxMessageLength = 400

/** Returns messages such as `ECR token for us-east-1: web identity → role X: AccessDenied: …; FIX`. */
export function describeAwsError(error: unknown, failed: FailedStep): EcrFailure {
  const { step, path, region, secrets } = failed
  const code = codeOf(error)
  const awsMessage = messageOf(error, secrets)
  const reason = awsMessage === '' || awsMessage === code ? code : `${code}: ${awsMessage}`
  const goal = step === 'repository' ? 'ECR repository in' : 'ECR token for'
  return {
    step,
    code,
    message: `${goal} ${region}: ${path.join(' → ')}: ${reason}; ${fixFor(code, failed)}`,
    summary: `no ${goal} ${region}: ${stepName(failed)}: ${code}`,
  }
}

function stepName({ step, path }: FailedStep): string {
  if (step === 'identity') return "Berth's own identity"
  if (step === 'token') return 'ecr:GetAuthorizationToken'
  if (step === 'repository') return 'ecr:CreateRepository'
  // The first name of a path is the identity, and each further one is a role.
  return step === 'web-identity' ? 'web identity' : `role ${path.length - 1} of the chain`
}

const networkCodes: ReadonlySet<string> = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EPIPE',
])

/** The codes of Node.js for a certificate that is not trusted (node:tls, X509 certificate error codes). */
const tlsCode = /^(?:CERT_|UNABLE_TO_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_)[A-Z_]+$/

/** Removes the suffix of codes such as `ExpiredTokenException`: STS sends it for a web identity, and not for keys. */
function codeOf(error: unknown): string {
  const { code, name = '' } = (error ?? {}) as { readonly code?: unknown; readonly name?: unknown }
  if (typeof code === 'string' && (networkCodes.has(code) || tlsCode.test(code))) return code
  const text = typeof name === 'string' ? name.replace(/Exception$/, '') : ''
  if (text === 'AbortError' || text === 'TimeoutError') return 'Timeout'
  return /^[A-Za-z]{1,60}$/.test(text) ? text : 'Error'
}

/** Returns the message of AWS on one line; empty if it contains a secret, because anyone can run the configured endpoint. */
function messageOf(error: unknown, secrets: readonly string[]): string {
  const { message } = (error ?? {}) as { readonly message?: unknown }
  if (typeof message !== 'string') return ''
  if (secrets.some((secret) => secret !== '' && message.includes(secret))) return ''
  const line = message.replace(/[\s\p{Cc}]+/gu, ' ').trim()
  return line.length > maxMessageLength ? `${line.slice(0, maxMessageLength)}…` : line
}

/** Errors that pass without a change by the operator. */
const temporaryCode =
  /Throttl|TooManyRequests|RequestLimit|SlowDown|ServiceUnavailable|InternalFailure/

const invalidKeysCode =
  /InvalidClientTokenId|UnrecognizedClient|SignatureDoesNotMatch|InvalidSignature|AuthFailure/

function fixFor(code: string, { step, path, caller }: FailedStep): string {
  if (networkCodes.has(code) || code === 'Timeout') {
    return 'allow Berth to connect to this API, or set `ecr.endpoints` to a VPC endpoint'
  }
  if (code === 'ProxyError') return 'check HTTPS_PROXY, NO_PROXY and the `proxy` of the registry'
  if (tlsCode.test(code)) return 'for a private CA, set NODE_EXTRA_CA_CERTS to a file with it'
  if (temporaryCode.test(code)) return 'Berth retries later'
  if (code === 'EmptyResponse') return 'check that `endpoints` names the URL of this API'
  const role = path.at(-1) ?? ''
  if (step === 'identity') return identityFix(code)
  if (step === 'web-identity') return webIdentityFix(code, role, caller)
  if (step === 'role') return roleFix(code, role, caller)
  if (!/AccessDenied|UnauthorizedOperation/.test(code)) return keysFix(code)
  return step === 'repository'
    ? `allow ecr:CreateRepository to ${caller}; AWS does not allow it in another account`
    : `allow ecr:GetAuthorizationToken to ${caller}, on Resource "*" (it cannot be narrower)`
}

function identityFix(code: string): string {
  return code === 'CredentialsProviderError'
    ? 'give the service account of Berth a role, or set `webIdentity` or `staticKeys`'
    : 'fix the file or Secret that it is read from'
}

function webIdentityFix(code: string, role: string, caller: string): string {
  if (code === 'AccessDenied') {
    return `allow sts:AssumeRoleWithWebIdentity to the ${caller} in the trust policy of ${role}`
  }
  if (code === 'InvalidIdentityToken') {
    return `create an IAM OIDC provider in the account of ${role} for the issuer and audience of the ${caller}`
  }
  if (code === 'ExpiredToken') {
    return 'mount the token file as a projected service account token, which the kubelet renews'
  }
  return 'check the role and its trust policy'
}

function roleFix(code: string, role: string, caller: string): string {
  if (code !== 'AccessDenied') return keysFix(code)
  return `needs both a policy of ${caller} that allows sts:AssumeRole on ${role}, and a trust policy of ${role} that names that caller (and its external ID, if it requires one)`
}

function keysFix(code: string): string {
  if (invalidKeysCode.test(code)) return 'the keys are invalid; renew them where they are stored'
  if (code === 'ExpiredToken') return 'the session of the keys has expired; renew them'
  if (/RegionDisabled|OptInRequired/.test(code)) return 'enable the region for this account in IAM'
  return 'check the chain under `ecr`'
}
