/** Renders a DaemonSet that applies the files on every node of a cluster, or rolls them back. */
import { createHash } from 'node:crypto'
import { stringify } from 'yaml'
import type { NodeFiles } from '../render/render.ts'

export interface DaemonSetOptions {
  readonly namespace: string
  /** An image with `berth` as its entry point. */
  readonly image: string
  readonly rollback: boolean
}

const name = 'berth-nodes'
const renderedDirectory = '/etc/berth-nodes'
const stateDirectory = '/var/lib/berth'

/** Returns a ConfigMap and a DaemonSet as YAML. The target must have a directory. */
export function daemonSet(
  rendered: NodeFiles,
  { namespace, image, rollback }: DaemonSetOptions,
): string {
  const text = JSON.stringify({ target: rendered.target, files: rendered.files }, null, 2)
  const metadata = { name, namespace, labels: { 'app.kubernetes.io/name': name } }
  const configMap = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata,
    data: { 'rendered.json': text },
  }
  const args = ['nodes', 'apply', '--root', '/host', '--stay', '-o', 'json']
  const modeArgs = rollback
    ? ['--rollback', '--target', rendered.target]
    : ['--rendered', `${renderedDirectory}/rendered.json`]
  const directory = mountedDirectory(rendered)
  const labels = { 'app.kubernetes.io/name': name }
  const daemonSetObject = {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata,
    spec: {
      selector: { matchLabels: labels },
      // One node at a time, each ready for a while: if a node fails with the files, the rollout stops there.
      minReadySeconds: 5,
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
      template: {
        metadata: { labels, annotations: { 'berth.dev/nodes': hash([text, ...modeArgs]) } },
        spec: podSpec({ image, args: [...args, ...modeArgs], directory }),
      },
    },
  }
  return [configMap, daemonSetObject]
    .map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }))
    .join('---\n')
}

/** The smallest directory that contains the files: certs.d if all of them are in it. */
function mountedDirectory({ directory, files }: NodeFiles): string {
  const subdirectory = files.every(({ path }) => path.startsWith('certs.d/')) ? '/certs.d' : ''
  return `${directory ?? ''}${subdirectory}`
}

function hash(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16)
}

/** Runs as root, because the files belong to root, and without any capability. */
function podSpec({
  image,
  args,
  directory,
}: {
  image: string
  args: string[]
  directory: string
}): object {
  return {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    priorityClassName: 'system-node-critical',
    tolerations: [{ operator: 'Exists' }],
    terminationGracePeriodSeconds: 5,
    containers: [
      {
        name: 'apply',
        image,
        args,
        env: [{ name: 'NODE_NAME', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
        terminationMessagePolicy: 'FallbackToLogsOnError',
        resources: { requests: { cpu: '10m', memory: '64Mi' }, limits: { memory: '256Mi' } },
        securityContext: {
          runAsUser: 0,
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
          seccompProfile: { type: 'RuntimeDefault' },
        },
        volumeMounts: [
          { name: 'rendered', mountPath: renderedDirectory, readOnly: true },
          { name: 'files', mountPath: `/host${directory}` },
          { name: 'state', mountPath: `/host${stateDirectory}` },
        ],
      },
    ],
    volumes: [
      { name: 'rendered', configMap: { name } },
      { name: 'files', hostPath: { path: directory, type: 'DirectoryOrCreate' } },
      { name: 'state', hostPath: { path: stateDirectory, type: 'DirectoryOrCreate' } },
    ],
  }
}
