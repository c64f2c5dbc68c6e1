/** Interprets HTTP statuses of registries, and describes them in messages. */
import type { FailedOutcome } from '../../decision/resolve/manifest-source.ts'
import { failed, type RequestFailure } from './network-error.ts'
import type { HttpResponse } from './messages.ts'
import { displayHost } from './urls.ts'

/** Returns the failure that a status other than 200 means. Only 404 means that the image does not exist. */
export function failureForStatus(response: HttpResponse, now: () => number): RequestFailure {
  const problem = certificateProblem(response)
  if (problem !== null) return failed('denied', `${displayHost(response.url)} ${problem}`)
  const failure = failed(outcomeOf(response.status), describeStatus(response, now))
  const seconds = retryAfterSeconds(response, now)
  return seconds === null ? failure : { ...failure, retryAfterMs: seconds * 1000 }
}

function outcomeOf(status: number): FailedOutcome {
  if (status === 404) return 'absent'
  if (status === 401 || status === 403) return 'denied'
  if (status === 429) return 'limited'
  return status >= 500 ? 'unreachable' : 'invalid'
}

/** Returns a status for messages: `404 MANIFEST_UNKNOWN`, or `429, retry after 60 s`. */
export function describeStatus(response: HttpResponse, now: () => number): string {
  const code = errorCode(response.body)
  const text = code === null ? String(response.status) : `${response.status} ${code}`
  const seconds = retryAfterSeconds(response, now)
  const isOfProxy =
    response.status >= 500 && response.proxy !== null && response.url.protocol === 'http:'
  const from = isOfProxy ? ` through the proxy ${response.proxy.name}` : ''
  const status = `${text}${seconds === null ? '' : `, retry after ${seconds} s`}${from}`
  const problem = certificateProblem(response)
  if (problem !== null) return `${status}, ${displayHost(response.url)} ${problem}`
  if (response.isFromRegistry) return status
  const isDenied = response.status === 401 || response.status === 403
  const note = isDenied ? ', which gets no credentials' : ''
  return `${status} (after a redirect to ${displayHost(response.url)}${note})`
}

/**
 * nginx completes the handshake, and says in a web page what is wrong (ngx_http_special_response.c, errors 495 and 496, which it
 * sends as 400).
 */
function certificateProblem({ status, body }: HttpResponse): string | null {
  if (status !== 400 || body === null) return null
  if (body.includes('No required SSL certificate was sent')) return 'requires a client certificate'
  return body.includes('The SSL certificate error') ? 'rejects the client certificate' : null
}

/** Returns the error code in a body (distribution-spec, Error Codes), or null. The error's message is untrusted and not used. */
export function errorCode(body: Buffer | null): string | null {
  if (body === null || body.length === 0) return null
  try {
    const document = JSON.parse(body.toString('utf8')) as {
      readonly errors?: readonly { readonly code?: unknown }[]
    } | null
    const code = document?.errors?.[0]?.code
    return typeof code === 'string' && /^[A-Z_]{1,40}$/.test(code) ? code : null
  } catch {
    return null
  }
}

/** Returns the seconds of `Retry-After`, a number or a date (RFC 9110, 10.2.3); null unless the status is 429 or 503. */
export function retryAfterSeconds(
  { status, header }: HttpResponse,
  now: () => number,
): number | null {
  const [value = ''] = header('retry-after')
  if (status !== 429 && status !== 503) return null
  // Nine digits are 30 years.
  if (/^[0-9]{1,9}$/.test(value)) return Number(value)
  const date = value.endsWith('GMT') ? Date.parse(value) : Number.NaN
  return Number.isNaN(date) ? null : Math.max(0, Math.ceil((date - now()) / 1000))
}
