import { member } from '../../json/json.ts'
import type { SiteDecision } from '../../decision/pod/decide-sites.ts'
import { jsonMember, type LineLog } from '../../telemetry/log.ts'
import { cutText } from '../../text/cut-text.ts'
import type { AdmissionRequest } from './admission-review.ts'
import { type Admission, outcomeOf } from './admit.ts'

/** Characters for all images of one line. Container runtimes divide longer lines at 16 KiB. */
const maxImagesLength = 12 * 1024

/** A `why` has one part for each candidate of the row. */
const maxWhyLength = 1_024

export interface AdmissionLogEntry {
  readonly request: AdmissionRequest
  readonly admission: Admission
  readonly milliseconds: number
}

export type AdmissionLog = (entry: AdmissionLogEntry) => void

/** Returns a function that logs one line per admission: the pod, and for each image what it became, by which row, and why. */
export function createAdmissionLog(log: LineLog): AdmissionLog {
  return ({ request, admission, milliseconds }) => {
    const { mode, verdict } = admission
    const { texts } = verdict
    const images = texts?.logged ?? imagesMembers(admission)
    if (texts !== undefined) texts.logged = images
    const members = [
      jsonMember('uid', cutText(request.uid)),
      jsonMember('namespace', cutText(request.namespace)),
      jsonMember('pod', podNameOf(request.object)),
      `"operation":"${request.operation}","dryRun":${request.dryRun},"mode":"${mode}"`,
      `"outcome":"${outcomeOf(admission)}","milliseconds":${Math.round(milliseconds * 100) / 100}`,
      images,
    ]
    log.info(members.join(), 'admission')
  }
}

/** Returns the members with the images of a pod, and the number of those that do not fit into a line. */
function imagesMembers({ decisions, rest }: Admission): string {
  const images = loggedImages(decisions)
  const omitted = decisions.length + (rest?.fields ?? 0) - images.length
  const members = jsonMember('images', images)
  return omitted === 0 ? members : `${members},"omitted":${omitted}`
}

interface LoggedImage {
  readonly site: string
  readonly from: string
  readonly to: string
  readonly row: string | null
  readonly why: string
}

/** Returns the first images of a pod, with names cut, as many as fit into a line. */
function loggedImages(decisions: readonly SiteDecision[]): LoggedImage[] {
  const images: LoggedImage[] = []
  let length = 0
  for (const { site, requested, image, resolution, why } of decisions) {
    const entry = {
      site: cutText(site.name),
      from: cutText(requested),
      to: cutText(image),
      row: resolution?.row ?? null,
      why: why === '' ? 'left to another webhook' : cutText(why, maxWhyLength),
    }
    length += entry.site.length + entry.from.length + entry.to.length + entry.why.length
    if (length > maxImagesLength) break
    images.push(entry)
  }
  return images
}

/** The name, or the prefix from which the API server generates one when it stores the pod. */
function podNameOf(pod: unknown): string | null {
  const metadata = member(pod, 'metadata')
  const name = member(metadata, 'name') ?? member(metadata, 'generateName')
  return typeof name === 'string' ? cutText(name) : null
}
