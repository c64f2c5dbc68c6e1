/** Reads the bytes of an AdmissionReview into a request (k8s.io/api/admission/v1, types.go). */
import type { PodRequest } from '../../decision/pod/decide-sites.ts'
import { isObject, member } from '../../json/json.ts'

export interface AdmissionRequest extends PodRequest {
  readonly uid: string
  readonly isPod: boolean
  readonly dryRun: boolean
}

export type ReadReviewResult =
  | { readonly ok: true; readonly request: AdmissionRequest }
  | { readonly ok: false; readonly message: string }

/** The only version that webhook-config asks the API server to send. */
const reviewVersion = 'admission.k8s.io/v1'

/** An API server sends at most 63 characters. Berth keeps namespaces in its caches. */
const maxNamespaceLength = 253

/** Reads a review. Only fields that the API server itself writes are required, so a tenant cannot make it fail with a pod. */
export function readReview(body: Buffer): ReadReviewResult {
  let review: unknown
  try {
    // JSON.parse makes `__proto__` an own property, and nothing is ever assigned from it.
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
  if (!isObject(request) || typeof uid !== 'string' || uid === '')
    return { ok: false, message: 'the AdmissionReview has no request.uid, which an answer needs' }
  const namespace = stringOf(member(request, 'namespace'))
  if (namespace.length > maxNamespaceLength)
    return {
      ok: false,
      message: `request.namespace has more than ${maxNamespaceLength} characters, so it is not the name of a namespace`,
    }
  return {
    ok: true,
    request: {
      uid,
      operation: operationOf(member(request, 'operation')),
      subResource: stringOf(member(request, 'subResource')),
      namespace,
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

function stringOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
