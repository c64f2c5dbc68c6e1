/** The answer of the bare servers: one image rewritten, whatever the pod; or nothing changed. */
const patch = Buffer.from(
  JSON.stringify([
    { op: 'add', path: '/spec/containers/0/image', value: 'mirror.bench:5000/fixed:latest' },
  ]),
).toString('base64')

/** An AdmissionReview as text, with the uid of the one that was received. */
export function answerFor(review: unknown, patched: boolean): string {
  const { uid } = (review as { request: { uid: string } }).request
  const change = patched ? { patchType: 'JSONPatch', patch } : {}
  return JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid, allowed: true, ...change },
  })
}
