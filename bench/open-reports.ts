/**
 * Benchmarks OpenReports in a large cluster: the time to the first report and to the last one, the bytes that the reports take in
 * etcd, the writes while nothing changes, and the controller's memory. Needs what `npm run e2e` needs; takes five minutes.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startController } from '../e2e/harness/controller.ts'
import { startCluster, stopCluster } from '../e2e/harness/cluster-provider.ts'
import { crdFiles } from '../e2e/harness/crd-modules.ts'
import { kubectlOn } from '../e2e/harness/kubectl.ts'
import { connect } from '../src/kube/connect.ts'
import type { KubeObject, ResourceRef } from '../src/kube/object.ts'
import { buildBerth } from './lib/berth.ts'
import { megabytes } from './lib/numbers.ts'
import { peakResidentBytes, residentBytes } from './lib/process.ts'
import { printTable, progress } from './lib/report.ts'
import { createControllerAdmin, until } from './lib/scale-cluster.ts'
import { makeWorkspace } from './lib/workspace.ts'

const { values } = parseArgs({
  options: {
    namespaces: { type: 'string', default: '500' },
    /** Pods in each namespace, each with its own image without a digest. */
    pods: { type: 'string', default: '4' },
    /** Seconds in which nothing changes that a report contains. */
    rest: { type: 'string', default: '90' },
  },
})
const namespaces = Number(values.namespaces)
const podsEach = Number(values.pods)
const home = 'berth-bench'
const atOnce = 16

const config = `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pin: { tags: [latest] }
pullFailures: { report: false }
conflicts: ignore
reports: { openReports: true }
`

const workspace = await makeWorkspace()
const program = buildBerth(workspace)
// Not the directory of the end-to-end tests, whose cluster may still run.
process.env['BERTH_E2E_DIR'] ??= '/tmp/berth-bench-cluster'
const cluster = await startCluster({ owned: true })
// Imported here, because they need a running cluster.
const { settledAuditEvents } = await import('../e2e/harness/audit-log.ts')
const connection = await connect({ kubeconfig: cluster.kubeconfig, env: {} })
const { api } = connection
const of = (resource: string, namespace?: string, name?: string): ResourceRef => ({
  apiVersion: 'v1',
  resource,
  ...(namespace === undefined ? {} : { namespace }),
  ...(name === undefined ? {} : { name }),
})
const reports = { apiVersion: 'openreports.io/v1alpha1', resource: 'reports' }

/** Creates pods that run nowhere, with the status of pods that run. */
async function fill(index: number): Promise<void> {
  const namespace = `team-${index}`
  await api.create(of('namespaces'), { metadata: { name: namespace } })
  await api.create(of('serviceaccounts', namespace), { metadata: { name: 'default' } }).catch(() => undefined) // prettier-ignore
  for (let pod = 0; pod < podsEach; pod++) {
    const name = `service-${pod}-7d9c5b6f4-x2x4z`
    const image = `registry.example.com/team-${index}/service-${pod}:latest`
    await api.create(of('pods', namespace), {
      metadata: { name },
      spec: {
        schedulingGates: [{ name: 'bench.example/never' }],
        containers: [{ name: 'main', image }],
      },
    })
    const containerStatuses = [
      { name: 'main', image, imageID: `sha256:${'a'.repeat(64)}`, ready: true, restartCount: 0 },
    ]
    const ref = { ...of('pods', namespace, name), subresource: 'status' }
    await api.patch(ref, 'merge', { status: { containerStatuses } })
  }
}

/** The JSON of each report, which is what the API server stores of a custom resource. */
async function reportSizes(): Promise<number[]> {
  const sizes: number[] = []
  for await (const report of api.list<KubeObject>(reports))
    sizes.push(JSON.stringify(report).length)
  return sizes
}

/** The size of the database of etcd, in bytes. */
async function databaseSize(): Promise<number> {
  const { stdout } = await kubectlOn(cluster, ['get', '--raw', '/metrics'])
  return Number(/^apiserver_storage_size_bytes\{.*\} (\S+)$/m.exec(stdout)?.[1] ?? Number.NaN)
}

/** The writes of reports since a time. */
const writesSince = (since: number) =>
  settledAuditEvents(
    ({ objectRef, verb, requestReceivedTimestamp }) =>
      objectRef?.resource === 'reports' &&
      ['create', 'update', 'patch', 'delete'].includes(verb) &&
      Date.parse(requestReceivedTimestamp) >= since,
  )

const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`

try {
  progress(`open-reports: ${namespaces} namespaces, ${namespaces * podsEach} pods`)
  const crd = (await crdFiles()).find((file) => file.includes('openreports.io_reports')) ?? ''
  await kubectlOn(cluster, ['apply', '--server-side', '-f', crd])
  await api.create(of('namespaces'), { metadata: { name: home } })
  const indexes = Array.from({ length: namespaces }, (_, index) => index)
  for (let start = 0; start < namespaces; start += atOnce)
    await Promise.all(indexes.slice(start, start + atOnce).map(fill))
  const kubeconfig = await createControllerAdmin(cluster, home)
  const databaseBefore = await databaseSize()
  progress('open-reports: the first reports')
  const startedAt = Date.now()
  const controller = await startController({
    name: 'bench',
    namespace: home,
    config,
    kubeconfig,
    // Without a limit the heap of V8 keeps growing; in a cluster the container's limit bounds it.
    nodeOptions: ['--max-old-space-size=96', '--max-semi-space-size=1'],
    program,
  })
  const leadsAt = Date.now()
  await until(async () => (await reportSizes()).length === namespaces, 1_000)
  const times = (await writesSince(startedAt)).map((event) =>
    Date.parse(event.requestReceivedTimestamp),
  )
  const [first, last] = [Math.min(...times), Math.max(...times)]
  const sizes = await reportSizes()
  const databaseAfter = await databaseSize()
  progress('open-reports: at rest')
  const restedAt = Date.now()
  // Changes that no report contains.
  const endsAt = restedAt + Number(values.rest) * 1_000
  for (let index = 0; Date.now() < endsAt; index = (index + 1) % namespaces) {
    const pod = of('pods', `team-${index}`, 'service-0-7d9c5b6f4-x2x4z')
    await api.patch(pod, 'merge', { metadata: { labels: { seen: String(Date.now()) } } })
    await sleep(200)
  }
  const atRest = await writesSince(restedAt)
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  printTable(
    ['OpenReports', ''],
    [
      ['namespaces, pods', `${namespaces}, ${namespaces * podsEach}`],
      ['first report, after the controller became leader', seconds(first - leadsAt)],
      ['last report, after the first', seconds(last - first)],
      ['writes until then', String(times.length)],
      ['bytes of all reports', megabytes(bytes)],
      ['bytes of one report, on average', String(Math.round(bytes / sizes.length))],
      ['growth of the database of etcd', megabytes(databaseAfter - databaseBefore)],
      [
        `writes in ${values.rest} s at rest, with five changed labels a second`,
        String(atRest.length),
      ],
      ['RSS at rest', megabytes(residentBytes(controller.pid))],
      ['peak RSS', megabytes(peakResidentBytes(controller.pid))],
    ],
  )
  await controller.stop()
} finally {
  await connection.close()
  await stopCluster()
  workspace.remove()
}
