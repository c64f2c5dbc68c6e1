/** Runs `berth nodes detect`: shows the container runtime of this machine, or of each node of a cluster. */
import { connect } from '../../kube/connect.ts'
import {
  type ClusterNode,
  readClusterNode,
  type NodeObject,
} from '../../nodes/detect/cluster-node.ts'
import { inspectLocalNode, type LocalNode } from '../../nodes/detect/local-node.ts'
import { targets } from '../../nodes/render/targets.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import { connectOptions } from '../connect-options.ts'
import { type Io, print, printMessage } from '../io.ts'
import { localTarget, parseTargetVersion } from '../local-target.ts'
import type { ConnectionOptions } from '../options.ts'
import { formatTable } from '../output/columns.ts'
import { createPainter } from '../output/colour.ts'
import { printRecord } from '../output/print-record.ts'

export interface NodesDetectOptions extends ConnectionOptions {
  readonly cluster?: boolean
  readonly root: string
  readonly targetVersion?: string
  readonly output: 'table' | 'json' | 'yaml'
}

/** Returns 0; 1 if a node has no target, or the runtime silently ignores something. Throws `nodes-undetected`. */
export async function nodesDetect(options: NodesDetectOptions, io: Io): Promise<number> {
  const { output, root } = options
  if (options.cluster === true) {
    const nodes = await readClusterNodes(options, io)
    if (output !== 'table') printRecord(nodes, output, io)
    else print(io.stdout, nodeTable(nodes, io))
    if (output === 'table') printInstead(nodes, io)
    return nodes.every(({ target }) => target !== null) ? 0 : 1
  }
  const node = inspectLocalNode(root, localTarget(undefined, root), {
    version: parseTargetVersion(options.targetVersion),
  })
  if (output !== 'table') printRecord(nodeRecord(node), output, io)
  else print(io.stdout, nodeText(node))
  return node.findings.length === 0 ? 0 : 1
}

async function readClusterNodes(options: ConnectionOptions, io: Io): Promise<ClusterNode[]> {
  const cluster = await connect(connectOptions(options, io))
  try {
    const nodes: ClusterNode[] = []
    for await (const node of cluster.api.list<NodeObject>({ apiVersion: 'v1', resource: 'nodes' }))
      nodes.push(readClusterNode(node))
    return nodes
  } finally {
    await cluster.close()
  }
}

function nodeTable(nodes: readonly ClusterNode[], io: Io): string {
  const rows = nodes.map(({ node, target, runtime, kubelet, os }) => [
    node,
    target ?? 'unknown',
    runtime,
    kubelet,
    os,
  ])
  const headings = ['node', 'target', 'runtime', 'kubelet', 'os']
  return formatTable(headings, rows, createPainter(io.stdout, io.env))
}

/** One line for each kind of node that `berth nodes apply` cannot configure. */
function printInstead(nodes: readonly ClusterNode[], io: Io): void {
  const byAdvice = Map.groupBy(nodes, ({ instead }) => instead)
  for (const [instead, [first, ...others]] of byAdvice) {
    if (instead === null || first === undefined) continue
    const more = others.length === 0 ? '' : ` and ${others.length} more`
    printMessage(
      io,
      escapeLine(`${first.node}${more}: berth nodes apply cannot configure this node; ${instead}`),
    )
  }
}

/** The contract of `-o json`. */
function nodeRecord({ target, files, findings }: LocalNode): object {
  return { target, restart: targets[target].restart, files, findings }
}

function nodeText({ target, files, findings }: LocalNode): string {
  const none = ['  no files: every pull goes to the registry that the image names']
  const lines = [
    `${target}: ${targets[target].restart}`,
    'files in use:',
    ...(files.length === 0 ? none : files.map((file) => `  ${file}`)),
    ...findings.map((finding) => `! ${finding}`),
  ]
  return lines.map((line) => escapeLine(line)).join('\n')
}
