/** Reads the file of `berth dev --review`: an AdmissionReview, a Pod, or a workload with a pod template. */
import { randomUUID } from 'node:crypto'
import { member } from '../../json/json.ts'
import { BerthError } from '../../errors.ts'
import { readLimitedFile, TooLargeError } from '../../files/read-limited.ts'
import { readManifests } from '../../manifests/manifests.ts'
import { podLocationsIn } from '../../manifests/pod-locations.ts'
import { manifestLimits } from '../../yaml/limits.ts'
import { describeFileError } from '../../files/describe-file-error.ts'

export interface ReviewText {
  readonly file: string
  /** An AdmissionReview as JSON. */
  readonly body: string
  /** True if the file has exactly this text, so that users can send the file themselves. */
  readonly isFromFile: boolean
}

/** Returns the AdmissionReview in the file, or one for the first pod in it. Throws `usage`. */
export function readReview(file: string): ReviewText {
  const text = readText(file)
  const read = readManifests(text)
  if (!read.ok)
    throw rejected(file, `${read.line === null ? '' : `line ${read.line}: `}${read.message}`)
  const objects = read.manifests.objects.map(({ value }) => value)
  const review = objects.find((value) => member(value, 'kind') === 'AdmissionReview')
  if (review !== undefined) {
    // The text of a JSON file stays as it is, with all digits of its numbers.
    const isJson = text.trimStart().startsWith('{')
    return { file, body: isJson ? text : JSON.stringify(review), isFromFile: isJson }
  }
  for (const value of objects) {
    const location = podLocationsIn(value, []).find(({ isPod }) => isPod)
    if (location === undefined) continue
    const { pod, namespace } = location
    const name = member(member(value, 'metadata'), 'name')
    const body = JSON.stringify(
      reviewOf(pod, namespace ?? 'default', typeof name === 'string' ? name : 'pod'),
    )
    return { file, body, isFromFile: false }
  }
  throw rejected(file, 'it has no AdmissionReview, no Pod, and no workload such as a Deployment')
}

/** Returns the review that an API server sends for a new pod. */
function reviewOf(pod: unknown, namespace: string, name: string): unknown {
  const metadata = { name, ...(member(pod, 'metadata') as object | undefined), namespace }
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: randomUUID(),
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      name: metadata.name,
      namespace,
      operation: 'CREATE',
      object: { ...(pod as object), apiVersion: 'v1', kind: 'Pod', metadata },
      oldObject: null,
      dryRun: false,
    },
  }
}

function readText(file: string): string {
  try {
    return readLimitedFile(file, manifestLimits.length).toString('utf8')
  } catch (cause) {
    if (cause instanceof TooLargeError) throw rejected(file, cause.message, cause)
    throw rejected(file, `it cannot be read: ${describeFileError(cause)}`, cause)
  }
}

function rejected(file: string, why: string, cause?: unknown): BerthError {
  const message = `${file}: ${why}; --review takes a file with an AdmissionReview, a Pod, or a workload`
  return new BerthError('usage', message, { cause })
}
