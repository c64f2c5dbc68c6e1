/**
 * Measures the controller in a large cluster: 1,000 nodes and 50,000 pods with 5,000 images in 500 namespaces on a real API
 * server, with kwok as their kubelets. Run `npm run build` first. Needs what `npm run e2e` needs, and takes a quarter of an
 * hour. `BERTH_BENCH_PODS=5000` makes a smaller cluster.
 */
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { startController } from '../e2e/harness/controller.ts'
import { startCluster, stopCluster } from '../e2e/harness/cluster-provider.ts'
import { waitFor } from '../e2e/harness/wait.ts'
import { connect } from '../src/kube/connect.ts'
import type { ResourceRef } from '../src/kube/object.ts'
import { createKubeClient } from './lib/kube-client.ts'
import { type Kwok, kwokNode, kwokVersion, startKwok } from './lib/kwok.ts'
import { median, megabytes } from './lib/numbers.ts'
import { peakResidentBytes, residentBytes } from './lib/process.ts'
import { printTable, progress } from './lib/report.ts'
import { createControllerAdmin, until } from './lib/scale-cluster.ts'

const pods = Number(process.env['BERTH_BENCH_PODS'] ?? 50_000)
const namespaces = pods / 100
const nodes = pods / 50
const images = pods / 10
const atOnce = 32
const changes = 20
const restMs = 60_000
const home = 'berth-bench'

const config = `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: mirror.example, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['mirror.example/{path}', 'docker.io/{path}'] }]
`

const cluster = await startCluster({ owned: true })
const { apply } = await import('../e2e/harness/kubectl.ts')
const connection = await connect({ kubeconfig: cluster.kubeconfig, env: {} })
const client = await createKubeClient(cluster, atOnce)

const nameOf = (index: number) => ({
  namespace: `scale-${index % namespaces}`,
  name: `pod-${index}`,
})

/** A pod as a Deployment makes it, with the size of a usual one: about 3 KB with its status. */
function pod(index: number): object {
  const mounts = [{ name: 'token', mountPath: '/var/run/secrets/token', readOnly: true }]
  const container = (name: string, image: string) => ({
    name,
    image,
    env: [{ name: 'TEAM', value: `team-${index % namespaces}` }],
    resources: { requests: { cpu: '10m', memory: '32Mi' } },
    volumeMounts: mounts,
  })
  const { namespace, name } = nameOf(index)
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace,
      name,
      labels: { app: `app-${index % 40}`, 'pod-template-hash': 'abc123' },
    },
    spec: {
      nodeName: `kwok-${index % nodes}`,
      automountServiceAccountToken: false,
      tolerations: [{ key: 'kwok.x-k8s.io/node', operator: 'Exists' }],
      containers: [
        container('app', `docker.io/team-${index % 50}/app-${index % images}:1.${index % 7}`),
        container('proxy', 'docker.io/library/proxy:1'),
      ],
      volumes: [{ name: 'token', emptyDir: {} }],
    },
  }
}

/** Runs a task for each index, `atOnce` at the same time. */
async function forEach(count: number, what: string, task: (index: number) => Promise<unknown>) {
  let next = 0
  const worker = async () => {
    while (next < count) {
      const index = next++
      if (index % 5_000 === 0) progress(`${what}: ${index} of ${count}`)
      await task(index)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}

const post = (path: string, body: object) => client.send('POST', path, body)

/** Reads one page at most: lists of 50,000 pods would slow the API server down. */
async function isAnyPending(): Promise<boolean> {
  const ref: ResourceRef = { apiVersion: 'v1', resource: 'pods' }
  const pending = { fieldSelector: 'status.phase=Pending', metadataOnly: true }
  for await (const _ of connection.api.list(ref, pending)) return true
  return false
}

async function fillCluster({ stopReason }: Kwok): Promise<void> {
  await forEach(nodes, 'nodes', (index) => post('/api/v1/nodes', kwokNode(`kwok-${index}`)))
  await forEach(namespaces, 'namespaces', async (index) => {
    const name = `scale-${index}`
    await post('/api/v1/namespaces', { metadata: { name } })
    await post(`/api/v1/namespaces/${name}/serviceaccounts`, {
      metadata: { name: 'default' },
    }).catch(
      // The controller manager was faster.
      () => undefined,
    )
  })
  await forEach(pods, 'pods', (index) =>
    post(`/api/v1/namespaces/${nameOf(index).namespace}/pods`, pod(index)),
  )
  await waitFor('all pods to run', async () => !(await isAnyPending()), {
    timeoutMs: 1_200_000,
    intervalMs: 2_000,
    stopReason,
  })
}

/** What the kubelet writes when a pull fails. */
async function failPull(index: number): Promise<void> {
  const { namespace, name } = nameOf(index)
  const image = `docker.io/team-${index % 50}/app-${index % images}:1.${index % 7}`
  const message = `failed to pull and unpack image "${image}": ${image}: not found`
  await connection.api.patch(
    { apiVersion: 'v1', resource: 'pods', namespace, name, subresource: 'status' },
    'merge',
    {
      status: {
        phase: 'Pending',
        containerStatuses: [
          {
            name: 'app',
            image,
            imageID: '',
            ready: false,
            restartCount: 0,
            state: { waiting: { reason: 'ErrImagePull', message } },
          },
        ],
      },
    },
  )
}

function failingPods(metrics: string): number {
  const values = metrics.matchAll(/^berth_pull_failures\{.*\} (\d+)$/gm)
  return [...values].reduce((sum, [, value]) => sum + Number(value), 0)
}

try {
  const kwok = await startKwok(cluster)
  progress(
    `controller: ${pods} pods, ${images} images, ${namespaces} namespaces, kwok ${kwokVersion}`,
  )
  const filled = performance.now()
  await fillCluster(kwok)
  progress(`controller: all pods run after ${Math.round((performance.now() - filled) / 1_000)} s`)
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: home } })
  const kubeconfig = await createControllerAdmin(cluster, home)
  const controller = await startController({
    name: 'bench',
    namespace: home,
    config,
    kubeconfig,
    // Half of the memory limit in deploy/base, as the entry point of the image sets it.
    nodeOptions: ['--max-old-space-size=192', '--max-semi-space-size=4'],
    program: fileURLToPath(new URL('../dist/main.cjs', import.meta.url)),
  })
  const seconds: number[] = []
  // The first change waits until the controller has read all pods, which is not what is measured.
  await failPull(0)
  await until(async () => failingPods(await controller.metrics()) > 0, 20)
  for (let index = 1; index <= changes; index++) {
    await failPull(index)
    const started = performance.now()
    await until(async () => failingPods(await controller.metrics()) > index, 20)
    seconds.push((performance.now() - started) / 1_000)
    await sleep(1_500)
  }
  // Each pod gets its Event 30 s after its pull has failed; then nothing is left to write.
  await sleep(45_000)
  const { settledAuditEvents } = await import('../e2e/harness/audit-log.ts')
  await sleep(restMs)
  const account = `system:serviceaccount:${home}:berth-controller`
  const writes = await settledAuditEvents(
    ({ verb, user, objectRef }) =>
      user?.username === account &&
      objectRef?.resource !== 'leases' &&
      ['create', 'update', 'patch', 'delete'].includes(verb),
  )
  printTable(
    [`controller, ${pods} pods`, ''],
    [
      ['RSS at rest', megabytes(residentBytes(controller.pid))],
      ['peak RSS', megabytes(peakResidentBytes(controller.pid))],
      ['a changed pod is counted after, median', `${median(seconds).toFixed(2)} s`],
      ['maximum', `${Math.max(...seconds).toFixed(2)} s`],
      [`writes in ${restMs / 1_000} s of rest`, String(writes.length)],
    ],
  )
  await controller.stop()
  await kwok.stop()
} finally {
  client.close()
  await connection.close()
  await stopCluster()
}
