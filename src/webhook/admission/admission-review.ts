/** From the bytes of an AdmissionReview to a request that the rest can work with (k8s.io/api/admission/v1, types.go). */
import type { PodRequest } from '../../decision/pod/decide-sites.ts'
import { isObject, member } from '../../json/json.ts'

export interface AdmissionRequest extends PodRequest {
  readonly uid: string
  readonly isPod: boolean
  readonly dryRun: boolean
}

export type ReadReview =
  | { readonly ok: true; readonly request: AdmissionRequest }
  | { readonly ok: false; readonly message: string }

/** The one version that is spoken: the API server sends what the webhook configuration lists. */
const reviewVersion = 'admission.k8s.io/v1'

/** Reads a review. Nothing that a tenant can put into a pod makes it fail: only what the API server itself writes is demanded. */
export function readReview(body: Buffer): ReadReview {
  let review: unknown
  try {
    // JSON.parse keeps `__proto__` as an own member of plain data; it is never assigned from.
    review = JSON.parse(body.toString('utf8'))
  } catch {
    return { ok: false, message: 'the body is not JSON; send an AdmissionReview' }
  }
  if (
    member(review, 'kind') !== 'AdmissionReview' ||
    member(review, 'apiVersion') !== reviewVersion
  ) {
    return { ok: false, message: `the body is not an AdmissionReview of ${reviewVersion}` }
  }
  const request = member(review, 'request')
  const uid = member(request, 'uid')
  if (!isObject(request) || typeof uid !== 'string' || uid === '') {
    return {
      ok: false,
      message: 'the review has no request with a uid, so no answer could name it',
    }
  }
  return {
    ok: true,
    request: {
      uid,
      operation: operationOf(member(request, 'operation')),
      subResource: text(member(request, 'subResource')),
      namespace: text(member(request, 'namespace')),
      isPod: isPod(member(request, 'resource')),
      dryRun: member(request, 'dryRun') === true,
      object: member(request, 'object'),
      oldObject: member(request, 'oldObject'),
    },
  }
}

function operationOf(value: unknown): AdmissionRequest['operation'] {
  return value === 'CREATE' || value === 'UPDATE' ? value : 'other'
}

function isPod(resource: unknown): boolean {
  return member(resource, 'group') === '' && member(resource, 'resource') === 'pods'
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
