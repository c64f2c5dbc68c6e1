import type { AdmissionRequest } from '../../src/webhook/admission/admission-review.ts'

/** A pod with one container for each image. */
export function podOf(
  images: readonly string[],
  more: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default' },
    spec: { containers: images.map((image, index) => ({ name: `c${index}`, image })), ...more },
  }
}

export function requestOf(object: unknown, more: Partial<AdmissionRequest> = {}): AdmissionRequest {
  return {
    uid: 'u1',
    operation: 'CREATE',
    subResource: '',
    namespace: 'default',
    isPod: true,
    dryRun: false,
    object,
    oldObject: undefined,
    ...more,
  }
}

/** The same as the API server sends it. */
export function reviewOf(object: unknown, more: Readonly<Record<string, unknown>> = {}): object {
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      namespace: 'default',
      operation: 'CREATE',
      object,
      ...more,
    },
  }
}
