/** Runs `berth nodes check`: compares the registry files of this machine with the fallback table. */
import { loadConfig } from '../../config/load.ts'
import { parseName } from '../../decision/reference/parse-name.ts'
import { BerthError } from '../../errors.ts'
import {
  compareRoutes,
  type RouteComparison,
  sampleImages,
} from '../../nodes/check/compare-routes.ts'
import { inspectLocalNode } from '../../nodes/detect/local-node.ts'
import type { NamedImage } from '../../nodes/read/node-route.ts'
import { findConfigFile } from '../config-file.ts'
import { type Io, print, printMessage } from '../io.ts'
import { localTarget, parseTargetVersion } from '../local-target.ts'
import type { LocalTarget } from '../node-options.ts'
import { formatColumns } from '../output/columns.ts'
import { printRecord } from '../output/print-record.ts'

export interface NodesCheckOptions {
  readonly config?: string
  readonly target?: LocalTarget
  readonly root: string
  readonly dir?: string
  readonly targetVersion?: string
  readonly airGap?: boolean
  readonly output: 'table' | 'json' | 'yaml'
}

/** Returns 0; 1 if an image goes to other registries than the table says, or the runtime silently ignores something. */
export async function nodesCheck(
  names: readonly string[],
  options: NodesCheckOptions,
  io: Io,
): Promise<number> {
  const { output, root, dir } = options
  const config = loadConfig(findConfigFile(options.config))
  const images = names.length === 0 ? sampleImages(config) : names.map(readImage)
  const version = parseTargetVersion(options.targetVersion)
  const target = localTarget(options.target, root)
  const node = inspectLocalNode(root, target, { directory: dir, version })
  const compared = compareRoutes(config, node.state, images, { airGap: options.airGap === true })
  const { findings } = node
  if (output !== 'table') printRecord({ target, images: compared, findings }, output, io)
  else {
    print(io.stdout, comparisonLines(compared).join('\n'))
    for (const finding of findings) printMessage(io, finding)
  }
  return findings.length === 0 && compared.every(({ same }) => same) ? 0 : 1
}

function readImage(image: string): NamedImage {
  const parsed = parseName(image)
  if (parsed.ok) return { reference: parsed.reference, text: image.replace(/^docker:\/\//, '') }
  throw new BerthError('invalid-reference', `${image}: ${parsed.code}: ${parsed.message}`)
}

function comparisonLines(compared: readonly RouteComparison[]): string[] {
  return compared.flatMap(({ image, table, node, same }) => [
    ...formatColumns([[same ? 'ok  ' : 'DIFF', image]]),
    ...formatColumns(
      same
        ? node.map((registry, index) => ['    ', String(index + 1), registry])
        : [
            ...table.map((registry, index) => ['    ', `table ${index + 1}`, registry]),
            ...node.map((registry, index) => ['    ', `node  ${index + 1}`, registry]),
          ],
    ),
  ])
}
