/** Prints the images that `berth rewrite` does not rewrite, and makes its records for `-o json`. */
import { templateNamespace } from '../../decision/fallback/pod-context.ts'
import {
  countByPlace,
  type ElsewhereInFile,
  elsewhereLines,
} from '../../manifests/elsewhere-summary.ts'
import type { ImageChange } from '../../manifests/decided-pod.ts'
import type { RewrittenFile } from '../../manifests/rewrite-files.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import { type Io, print, printMessage } from '../io.ts'

export function elsewhereInFiles(files: readonly RewrittenFile[]): ElsewhereInFile[] {
  return files.flatMap(({ file, elsewhere }) =>
    elsewhere.map((image) => ({ ...image, file: file.name })),
  )
}

/** Prints how many images are in which places, and an example of each kind. */
export function printElsewhere(images: readonly ElsewhereInFile[], io: Io): void {
  if (images.length === 0) return
  const verb = images.length === 1 ? 'image is' : 'images are'
  printMessage(io, `${images.length} ${verb} not rewritten: ${countByPlace(images)}`)
  for (const line of elsewhereLines(images)) print(io.stderr, escapeLine(line))
}

/** The contract of `-o json`. An image that is only reported has the `place` where it is. */
type ImageRecord = ImageChange & {
  readonly file: string
  readonly changed: boolean
  readonly place?: string
  /** The entry of `workloads` that makes Berth rewrite it; null if no entry can. */
  readonly workload?: string | null
}

/** Returns the records of a file: its decided images, then those that are only reported. */
export function rewriteRecords(rewritten: RewrittenFile): ImageRecord[] {
  const { file, images, elsewhere } = rewritten
  return [
    ...images.map((image) => ({ file: file.name, ...image, changed: image.from !== image.to })),
    ...elsewhere.map(({ line, object, pod, site, image, row, place, workload }) => ({
      file: file.name,
      line,
      object,
      namespace: templateNamespace(pod),
      site,
      from: image,
      to: image,
      row,
      why: 'only reported, because Berth does not rewrite this field',
      pinned: image.includes('@'),
      left: false,
      undecidedRows: [],
      changed: false,
      place,
      workload,
    })),
  ]
}
