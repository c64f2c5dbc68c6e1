/** A DaemonSet that applies the files on every node of a cluster, or takes them back. */
import { createHash } from 'node:crypto'
import { stringify } from 'yaml'
import type { NodeFiles } from '../render.ts'

export interface DaemonSetOptions {
  readonly namespace: string
  /** Its entry point is `berth`. */
  readonly image: string
  readonly rollback: boolean
}

const name = 'berth-nodes'
const filesAt = '/etc/berth-nodes'
const stateAt = '/var/lib/berth'

/** ConfigMap and DaemonSet as YAML. `directory` of the files must not be null. */
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
  const verb = rollback
    ? ['--rollback', '--target', rendered.target]
    : ['--rendered', `${filesAt}/rendered.json`]
  const directory = mountOf(rendered)
  const labels = { 'app.kubernetes.io/name': name }
  const set = {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata,
    spec: {
      selector: { matchLabels: labels },
      // One node after the other, each up for a while: files that a node cannot take stop there.
      minReadySeconds: 5,
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1 } },
      template: {
        metadata: { labels, annotations: { 'berth.dev/nodes': hash([text, ...verb]) } },
        spec: podSpec({ image, args: [...args, ...verb], directory }),
      },
    },
  }
  return [configMap, set]
    .map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false }))
    .join('---\n')
}

/** No more of the node than the files need: certs.d alone where all of them are in it. */
function mountOf({ directory, files }: NodeFiles): string {
  const below = files.every(({ path }) => path.startsWith('certs.d/')) ? '/certs.d' : ''
  return `${directory ?? ''}${below}`
}

function hash(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16)
}

/** Root, because the files are root's; and nothing else that root may do. */
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
          { name: 'rendered', mountPath: filesAt, readOnly: true },
          { name: 'files', mountPath: `/host${directory}` },
          { name: 'state', mountPath: `/host${stateAt}` },
        ],
      },
    ],
    volumes: [
      { name: 'rendered', configMap: { name } },
      { name: 'files', hostPath: { path: directory, type: 'DirectoryOrCreate' } },
      { name: 'state', hostPath: { path: stateAt, type: 'DirectoryOrCreate' } },
    ],
  }
}
