/** Shows one AdmissionReview and its answer: the pod as a coloured diff, then the reason for each image. */
import { structuredPatch } from 'diff'
import { stringify } from 'yaml'
import { readRecords } from '../../decision/pod/images-annotation.ts'
import { applyPatch, type JsonPatch } from '../../decision/pod/patch.ts'
import { findSites } from '../../decision/pod/sites.ts'
import { member } from '../../json/json.ts'
import { painter } from '../output/explanation-table.ts'
import { type Io, print } from '../io.ts'

export interface ShownAdmission {
  readonly review: unknown
  readonly answer: unknown
  readonly milliseconds: number
}

/** Lines around a change: enough to see which container it is in. */
const contextLines = 2

export function showAdmission({ review, answer, milliseconds }: ShownAdmission, io: Io): void {
  const paint = painter(io)
  const before = member(member(review, 'request'), 'object')
  const response = member(answer, 'response')
  const encoded = member(response, 'patch')
  const patch =
    typeof encoded === 'string'
      ? (JSON.parse(Buffer.from(encoded, 'base64').toString()) as JsonPatch)
      : []
  const after = applyPatch(before, patch)
  print(io.stdout, `${paint('bold', 'the sample pod')}, admitted in ${Math.round(milliseconds)} ms`)
  for (const line of diffLines(yaml(before), yaml(after))) {
    const style = line.startsWith('+') ? 'green' : line.startsWith('-') ? 'red' : 'dim'
    print(io.stdout, `  ${paint(style, line)}`)
  }
  print(io.stdout, `\n${paint('bold', 'why')}`)
  const records = readRecords(after)
  for (const { name, image } of findSites(after)) {
    const record = records.get(name)
    const row = record === undefined || record.row === null ? 'no row matches' : `row ${record.row}`
    print(io.stdout, `  ${name}  ${paint('dim', record === undefined ? image : record.from)}`)
    print(
      io.stdout,
      `    ${record === undefined ? 'no row matches; image unchanged' : `${row}: ${record.why}`}`,
    )
  }
  const warnings = member(response, 'warnings')
  if (Array.isArray(warnings)) {
    print(io.stdout, `\n${paint('bold', 'kubectl would print')}`)
    for (const warning of warnings)
      print(io.stdout, `  ${paint('yellow', `Warning: ${String(warning)}`)}`)
  }
  print(io.stdout, '')
}

/** The annotation is shown as reasons below, so the diff leaves it out. */
function yaml(pod: unknown): string {
  const text = stringify(pod, { lineWidth: 0 })
  return text.replace(/^( *)berth\.dev\/images: .*\n/m, '$1berth.dev/images: …\n')
}

function diffLines(before: string, after: string): string[] {
  const { hunks } = structuredPatch('pod', 'pod', before, after, '', '', { context: contextLines })
  return hunks.flatMap((hunk, index) => [...(index === 0 ? [] : ['  …']), ...hunk.lines])
}
