/** The response of the bare servers, the same for every pod. */

/** What the patch changes: the first image; the first image and Berth's annotation; nothing. */
export type FixedChange = 'image' | 'image and annotation' | 'nothing'

const image = 'mirror.bench:5000/fixed:latest'
const record = {
  site: 'containers/main',
  from: 'team/app:1.0.0',
  to: image,
  row: 'docker-hub',
  why: 'found on mirror.bench:5000',
}
const changeImage = { op: 'add', path: '/spec/containers/0/image', value: image }
const annotate = {
  op: 'add',
  path: '/metadata/annotations',
  value: { 'berth.dev/images': JSON.stringify([record]) },
}

/** Built once, so that the patch costs the bare servers nothing. */
const patches: Readonly<Record<FixedChange, object>> = {
  image: patchOf([changeImage]),
  'image and annotation': patchOf([changeImage, annotate]),
  nothing: {},
}

/** The AdmissionReview as text, with the uid of the request. */
export function answerFor(review: unknown, change: FixedChange): string {
  const { uid } = (review as { request: { uid: string } }).request
  return JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid, allowed: true, ...patches[change] },
  })
}

function patchOf(operations: readonly object[]): object {
  return {
    patchType: 'JSONPatch',
    patch: Buffer.from(JSON.stringify(operations)).toString('base64'),
  }
}
