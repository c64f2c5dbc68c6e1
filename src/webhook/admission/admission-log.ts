import { member } from '../../json/json.ts'
import type { Logger } from '../../telemetry/log.ts'
import type { AdmissionRequest } from './admission-review.ts'
import { type Admission, outcomeOf } from './admit.ts'

export interface AdmissionLogEntry {
  readonly request: AdmissionRequest
  readonly admission: Admission
  readonly milliseconds: number
}

export type AdmissionLog = (entry: AdmissionLogEntry) => void

/** Returns a function that logs one line per admission: the pod, and for each image what it became, by which row, and why. */
export function createAdmissionLog(log: Logger): AdmissionLog {
  return ({ request, admission, milliseconds }) => {
    const images = admission.decisions.map(({ site, requested, image, resolution, why }) => ({
      site: site.name,
      from: requested,
      to: image,
      row: resolution?.row ?? null,
      why: why === '' ? 'left to another webhook' : why,
    }))
    log.info(
      {
        uid: request.uid,
        namespace: request.namespace,
        pod: podNameOf(request.object),
        operation: request.operation,
        dryRun: request.dryRun,
        mode: admission.mode,
        outcome: outcomeOf(admission),
        milliseconds: Math.round(milliseconds * 100) / 100,
        images,
      },
      'admission',
    )
  }
}

/** The name, or the prefix from which the API server generates one when it stores the pod. */
function podNameOf(pod: unknown): string | null {
  const metadata = member(pod, 'metadata')
  const name = member(metadata, 'name') ?? member(metadata, 'generateName')
  return typeof name === 'string' ? name : null
}
