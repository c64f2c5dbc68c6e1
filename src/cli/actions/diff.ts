/** Runs `berth diff`: compares the image decisions of two configs. */
import {
  compareDecisions,
  type DecisionDifference,
  sampleImages,
  type StaticDecision,
} from '../../config/compare-decisions.ts'
import { loadConfig } from '../../config/load.ts'
import { readImageUses } from '../../manifests/image-uses.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import { imageSources } from '../image-sources.ts'
import { type Io, print } from '../io.ts'
import type { ImageSourceOptions } from '../options.ts'
import { createPainter, type Painter } from '../output/colour.ts'
import { printRecord } from '../output/print-record.ts'

export interface DiffOptions extends ImageSourceOptions {
  readonly output: 'table' | 'json' | 'yaml'
}

export interface ComparedFiles {
  readonly oldFile: string
  readonly newFile: string
}

/** Returns 0 if every image is decided alike, else 1. */
export async function diff(
  { oldFile, newFile }: ComparedFiles,
  options: DiffOptions,
  io: Io,
): Promise<number> {
  const oldConfig = loadConfig(oldFile)
  const newConfig = loadConfig(newFile)
  const isGiven = options.filename.length > 0 || options.fromCluster === true
  const sources = imageSources(options, io)
  const images = isGiven
    ? await readImageUses(sources, newConfig, oldConfig)
    : sampleImages([oldConfig, newConfig])
  const differences = compareDecisions(oldConfig, newConfig, images)
  const paint = createPainter(io.stdout, io.env)
  if (options.output !== 'table') printRecord(differences, options.output, io)
  else for (const difference of differences) print(io.stdout, describe(difference, paint))
  print(io.stderr, `${differences.length} of ${images.length} images are decided differently`)
  sources.unread.throwInvalid()
  return differences.length === 0 ? 0 : 1
}

function describe(difference: DecisionDifference, paint: Painter): string {
  const [image, namespace, by] = [difference.image, difference.namespace, difference.by].map(
    (text) => escapeLine(text),
  )
  return [
    `${paint('bold', image ?? '')}  in ${namespace}  ${paint('dim', by ?? '')}`,
    paint('red', `  - ${decisionText(difference.old)}`),
    paint('green', `  + ${decisionText(difference.new)}`),
  ].join('\n')
}

function decisionText(decision: StaticDecision): string {
  const { row, candidates, left, undecidedRows, pinned, pullPolicy, pullSecrets } = decision
  const notes = [
    `row ${row ?? 'none'}`,
    ...(left ? ['left unchanged'] : []),
    ...undecidedRows.map((name) => `row ${name} may apply`),
    ...(pinned ? ['pinned'] : []),
    ...(pullPolicy === null ? [] : [`pull policy ${pullPolicy}`]),
    ...(pullSecrets.length === 0 ? [] : [`pull secrets ${pullSecrets.join(', ')}`]),
  ]
  return escapeLine(`${candidates.join(', ')}  (${notes.join('; ')})`)
}
