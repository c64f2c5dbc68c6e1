/** `berth nodes check`: do the files of this machine send each image of the table where the table says? */
import { loadConfig } from '../../config/load.ts'
import { BerthError } from '../../errors.ts'
import {
  type RouteComparison,
  compareRoutes,
  sampleImages,
} from '../../nodes/check/compare-routes.ts'
import { detectTarget, inspectLocalNode } from '../../nodes/detect/local-node.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import type { Reference } from '../../decision/reference/reference.ts'
import { configFile, oneOf, type Parsed, readArguments, text } from '../options.ts'
import { type Command, print } from '../io.ts'

export const usage =
  'berth nodes check [IMAGE…] [--config FILE] [--target containerd|microk8s|k3s|rke2|crio] [--root DIR] [--dir DIR] [--air-gap] [-o table|json]'

const local = ['containerd', 'microk8s', 'k3s', 'rke2', 'crio'] as const

/** Exits with 1 when an image goes elsewhere, or a file is passed over in silence. */
export const nodesCheck: Command = async (args, io) => {
  const { values, positionals } = readArguments(
    args,
    {
      config: { type: 'string' },
      target: { type: 'string' },
      root: { type: 'string' },
      dir: { type: 'string' },
      'air-gap': { type: 'boolean' },
      output: { type: 'string', short: 'o' },
    },
    usage,
  )
  const output = oneOf(values, 'output', ['table', 'json'])
  const config = loadConfig(configFile(values))
  const images = positionals.length === 0 ? sampleImages(config) : positionals.map(readImage)
  const root = text(values, 'root') ?? '/'
  const machine = inspectLocalNode(root, targetOf(values, root), text(values, 'dir') ?? null)
  const airGap = values['air-gap'] === true
  const compared = compareRoutes(config, machine.state, images, { airGap })
  const { target, findings } = machine
  print(
    io.stdout,
    output === 'json'
      ? JSON.stringify({ target, images: compared, findings }, null, 2)
      : shown(compared),
  )
  if (output === 'table') for (const finding of findings) print(io.stderr, `berth: ${finding}`)
  return findings.length === 0 && compared.every(({ same }) => same) ? 0 : 1
}

/** The target that is given, or what is found. Throws `usage`, or `nodes-undetected`. */
export function targetOf(values: Parsed['values'], root: string): (typeof local)[number] {
  if (text(values, 'target') !== undefined) return oneOf(values, 'target', local)
  const found = detectTarget(root)
  if (found !== null) return found
  throw new BerthError(
    'nodes-undetected',
    `${root} has no sign of containerd, MicroK8s, K3s, RKE2 or CRI-O; give --target, or --root`,
  )
}

function readImage(image: string): Reference {
  const parsed = parseReference(image)
  if (parsed.ok) return parsed.reference
  throw new BerthError('invalid-reference', `${image}: ${parsed.code}: ${parsed.message}`)
}

function shown(compared: readonly RouteComparison[]): string {
  return compared
    .flatMap(({ image, table, node, same }) => {
      if (same)
        return [`ok    ${image}`, ...node.map((place, index) => `      ${index + 1}  ${place}`)]
      return [
        `DIFF  ${image}`,
        ...table.map((place, index) => `      table ${index + 1}  ${place}`),
        ...node.map((place, index) => `      node  ${index + 1}  ${place}`),
      ]
    })
    .join('\n')
}
