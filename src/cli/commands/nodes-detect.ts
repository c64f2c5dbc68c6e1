/** `berth nodes detect`: what this machine, or each node of a cluster, runs, and which files count there. */
import { BerthError } from '../../errors.ts'
import { connect } from '../../kube/connect.ts'
import {
  type ClusterNode,
  readClusterNode,
  type NodeObject,
} from '../../nodes/detect/cluster-node.ts'
import { detectTarget, inspectLocalNode, type LocalNode } from '../../nodes/detect/local-node.ts'
import { targets } from '../../nodes/targets/targets.ts'
import { oneOf, type Parsed, readOptions, text } from '../options.ts'
import { type Command, type Io, print } from '../io.ts'

export const usage =
  'berth nodes detect [--cluster [--context NAME] [--kubeconfig FILE]] [--root DIR] [-o table|json]'

/** Exits with 1 when nothing is found, or something that the runtime passes over in silence. */
export const nodesDetect: Command = async (args, io) => {
  const values = readOptions(
    args,
    {
      cluster: { type: 'boolean' },
      context: { type: 'string' },
      kubeconfig: { type: 'string' },
      root: { type: 'string' },
      output: { type: 'string', short: 'o' },
    },
    usage,
  )
  const isJson = oneOf(values, 'output', ['table', 'json']) === 'json'
  if (values['cluster'] === true) {
    const nodes = await detectCluster(values, io)
    print(io.stdout, isJson ? JSON.stringify(nodes, null, 2) : nodeTable(nodes))
    return nodes.every(({ target }) => target !== null) ? 0 : 1
  }
  const root = text(values, 'root') ?? '/'
  const target = detectTarget(root)
  if (target === null)
    throw new BerthError(
      'nodes-undetected',
      `${root} has no sign of containerd, MicroK8s, K3s, RKE2 or CRI-O; give --root, or --cluster for the nodes of a cluster`,
    )
  const machine = inspectLocalNode(root, target)
  print(io.stdout, isJson ? JSON.stringify(shownAsJson(machine), null, 2) : machineText(machine))
  return machine.findings.length === 0 ? 0 : 1
}

async function detectCluster(values: Parsed['values'], io: Io): Promise<ClusterNode[]> {
  const cluster = await connect({
    kubeconfig: text(values, 'kubeconfig'),
    context: text(values, 'context'),
    env: io.env,
  })
  try {
    const nodes: ClusterNode[] = []
    for await (const node of cluster.api.list<NodeObject>({ apiVersion: 'v1', resource: 'nodes' }))
      nodes.push(readClusterNode(node))
    return nodes
  } finally {
    await cluster.close()
  }
}

function shownAsJson({ target, files, findings }: LocalNode): object {
  return { target, restart: targets[target].restart, files, findings }
}

function machineText({ target, files, findings }: LocalNode): string {
  const none = ['  no files: every pull goes straight to the registry that the image names']
  return [
    `${target}: ${targets[target].restart}`,
    'in force:',
    ...(files.length === 0 ? none : files.map((file) => `  ${file}`)),
    ...findings.map((finding) => `! ${finding}`),
  ].join('\n')
}

function nodeTable(nodes: readonly ClusterNode[]): string {
  const rows = nodes.map(({ node, target, runtime, kubelet, os }) => [
    node,
    target ?? 'unknown',
    runtime,
    kubelet,
    os,
  ])
  return columns([['NODE', 'TARGET', 'RUNTIME', 'KUBELET', 'OS'], ...rows])
}

/** As kubectl lines things up: two and more spaces between columns, nothing behind the last. */
function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, index) =>
    Math.max(...rows.map((row) => (row[index] ?? '').length)),
  )
  return rows
    .map((row) =>
      row
        .map((cell, index) => cell.padEnd((widths[index] ?? 0) + 3))
        .join('')
        .trimEnd(),
    )
    .join('\n')
}
