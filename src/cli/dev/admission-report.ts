/** Prints an AdmissionReview and its answer: the pod as a diff, then the reason for each image. */
import { structuredPatch } from 'diff'
import { stringify } from 'yaml'
import { readRecords } from '../../decision/pod/images-annotation.ts'
import { applyPatch, type JsonPatch } from '../../decision/pod/patch.ts'
import { findSites } from '../../decision/pod/sites.ts'
import { member } from '../../json/json.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import { type Io, print } from '../io.ts'
import { createPainter, type Painter } from '../output/colour.ts'
import type { SentReview } from './send-review.ts'

/** Lines around a change: enough to see which container it is in. */
const contextLines = 2

/** Prints the pod before and after admission, why each image changed, and the warnings. */
export function showAdmission({ review, answer, milliseconds }: SentReview, io: Io): void {
  const paint = createPainter(io.stdout, io.env)
  const before = member(member(review, 'request'), 'object')
  const response = member(answer, 'response')
  const after = applyPatch(before, patchOf(response))
  print(io.stdout, `${paint('bold', 'the sample pod')}, admitted in ${Math.round(milliseconds)} ms`)
  for (const line of diffLines(yaml(before), yaml(after))) {
    const style = line.startsWith('+') ? 'green' : line.startsWith('-') ? 'red' : 'dim'
    print(io.stdout, `  ${paint(style, escapeLine(line))}`)
  }
  print(io.stdout, `\n${paint('bold', 'why')}`)
  for (const line of reasonLines(after, paint)) print(io.stdout, `  ${line}`)
  const warnings = member(response, 'warnings')
  if (Array.isArray(warnings)) {
    print(io.stdout, `\n${paint('bold', 'kubectl would print')}`)
    for (const warning of warnings)
      print(io.stdout, `  ${paint('yellow', escapeLine(`Warning: ${String(warning)}`))}`)
  }
  print(io.stdout, '')
}

function patchOf(response: unknown): JsonPatch {
  const encoded = member(response, 'patch')
  if (typeof encoded !== 'string') return []
  return JSON.parse(Buffer.from(encoded, 'base64').toString()) as JsonPatch
}

/** Two lines for each image: the image that was asked for, and the reason for what it became. */
function reasonLines(pod: unknown, paint: Painter): string[] {
  const records = readRecords(pod)
  return findSites(pod).flatMap(({ name, image }) => {
    const record = records.get(name)
    const asked = escapeLine(record === undefined ? image : record.from)
    return [
      `${escapeLine(name)}  ${paint('dim', asked)}`,
      `  ${record === undefined ? 'no row matches; image unchanged' : reason(record)}`,
    ]
  })
}

function reason({ row, why }: { readonly row: string | null; readonly why: string }): string {
  return escapeLine(`${row === null ? 'no row matches' : `row ${row}`}: ${why}`)
}

/** Leaves out the annotation, whose reasons are printed below the diff. */
function yaml(pod: unknown): string {
  const text = stringify(pod, { lineWidth: 0 })
  return text.replace(/^( *)berth\.dev\/images: .*\n/m, '$1berth.dev/images: …\n')
}

function diffLines(before: string, after: string): string[] {
  const { hunks } = structuredPatch('pod', 'pod', before, after, '', '', { context: contextLines })
  return hunks.flatMap((hunk, index) => [...(index === 0 ? [] : ['  …']), ...hunk.lines])
}
