import { type Admission, outcomeOf } from './admit.ts'
import type { AdmissionRequest } from './admission-review.ts'
import { member } from '../../json/json.ts'
import type { Logger } from '../../telemetry/log.ts'

export interface LoggedAdmission {
  readonly request: AdmissionRequest
  readonly admission: Admission
  readonly milliseconds: number
}

export type AdmissionLog = (logged: LoggedAdmission) => void

/** One line for each admission: which pod, what became of each image, by which row, and why. */
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
        pod: nameOf(request.object),
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

/** The name, or what the API server will make one of when it stores the pod. */
function nameOf(pod: unknown): string | null {
  const metadata = member(pod, 'metadata')
  const name = member(metadata, 'name') ?? member(metadata, 'generateName')
  return typeof name === 'string' ? name : null
}
