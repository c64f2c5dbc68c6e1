/**
 * Benchmarks copies of a pull secret in a large cluster: the time of a rotation, the highest rate of writes, the wait of
 * a new namespace meanwhile, and the controller's memory. Needs what `npm run e2e` needs; takes four minutes with the
 * defaults, and ten with `--namespaces 2000 --accounts 5 --rate 50`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startController } from '../e2e/harness/controller.ts'
import { startCluster, stopCluster } from '../e2e/harness/cluster-provider.ts'
import { kubectlOn } from '../e2e/harness/kubectl.ts'
import { connect } from '../src/kube/connect.ts'
import { hasStatus } from '../src/kube/error.ts'
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
    /** Service accounts in each namespace. One of them gets the copy. */
    accounts: { type: 'string', default: '4' },
    /** `writesPerSecond` */
    rate: { type: 'string', default: '10' },
  },
})
const namespaces = Number(values.namespaces)
const accountsEach = Number(values.accounts)
/** Unrelated Secrets, one in each namespace, whose data must not enter the process. */
const foreignBytes = 25_000_000 / namespaces
const home = 'berth-bench'
const atOnce = 16

const config = `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullSecretCopies:
  writesPerSecond: ${values.rate}
  copies:
    - { name: pull, from: [${home}/source], namespaces: ['scale-*'], serviceAccounts: [default, new] }
`

type Account = KubeObject & { imagePullSecrets?: { name: string }[] }

const workspace = await makeWorkspace()
const program = buildBerth(workspace)
// Not the directory of the end-to-end tests, whose cluster may still run.
process.env['BERTH_E2E_DIR'] ??= '/tmp/berth-bench-cluster'
const cluster = await startCluster({ owned: true })
// Imported here, because they need a running cluster.
const { auditEvents } = await import('../e2e/harness/audit-log.ts')
const connection = await connect({ kubeconfig: cluster.kubeconfig, env: {} })
const { api } = connection
const of = (resource: string, namespace?: string, name?: string): ResourceRef => ({
  apiVersion: 'v1',
  resource,
  ...(namespace === undefined ? {} : { namespace }),
  ...(name === undefined ? {} : { name }),
})

function source(password: string): object {
  const auth = Buffer.from(`u:${password}`).toString('base64')
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'source', namespace: home, labels: { 'berth.dev/copy': 'allowed' } },
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': JSON.stringify({ auths: { 'x.example': { auth } } }) },
  }
}

async function fill(index: number): Promise<void> {
  const namespace = `scale-${index}`
  await api.create(of('namespaces'), { metadata: { name: namespace } })
  const names = Array.from({ length: accountsEach - 1 }, (_, account) => `account-${account + 1}`)
  // The cluster creates `default` too, but only 20 in a second.
  for (const name of ['default', ...names])
    await api.create(of('serviceaccounts', namespace), { metadata: { name } }).catch(ignoreExisting)
  const data = { big: Buffer.alloc(foreignBytes, 'x').toString('base64') }
  await api.create(of('secrets', namespace), { metadata: { name: 'theirs' }, data })
}

function ignoreExisting(error: unknown): void {
  if (!hasStatus(error, 409)) throw error
}

/** Requests that API Priority and Fairness refused with 429. */
async function refusedRequests(): Promise<number> {
  const { stdout } = await kubectlOn(cluster, ['get', '--raw', '/metrics'])
  const counts = stdout.matchAll(/^apiserver_flowcontrol_rejected_requests_total\{.*\} (\S+)$/gm)
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0)
}

/** The content hash of each copy, and the number of its writes. */
async function hashes(): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  const selection = { labelSelector: 'berth.dev/copied', metadataOnly: true }
  for await (const { metadata } of api.list(of('secrets'), selection)) {
    const hash = metadata.annotations?.['berth.dev/content-hash'] ?? ''
    found.set(hash, (found.get(hash) ?? 0) + 1)
  }
  return found
}

async function linked(): Promise<number> {
  let count = 0
  for await (const { imagePullSecrets = [] } of api.list<Account>(of('serviceaccounts')))
    if (imagePullSecrets.some(({ name }) => name === 'pull')) count += 1
  return count
}

const hasName = (namespace: string, name: string) => async () =>
  (await api.get<Account>(of('serviceaccounts', namespace, name)))?.imagePullSecrets?.some(
    (entry) => entry.name === 'pull',
  ) === true

const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`

try {
  progress(`secrets: ${namespaces} namespaces, ${namespaces * accountsEach} service accounts`)
  await api.create(of('namespaces'), { metadata: { name: home } })
  await api.create(of('secrets', home), source('one'))
  const indexes = Array.from({ length: namespaces }, (_, index) => index)
  for (let start = 0; start < namespaces; start += atOnce)
    await Promise.all(indexes.slice(start, start + atOnce).map(fill))
  progress('secrets: the first copies and links')
  const kubeconfig = await createControllerAdmin(cluster, home)
  const refusedBefore = await refusedRequests()
  const controller = await startController({
    name: 'bench',
    namespace: home,
    config,
    kubeconfig,
    // Without a limit the heap of V8 keeps growing; in a cluster the container's limit bounds it.
    nodeOptions: ['--max-old-space-size=96', '--max-semi-space-size=1'],
    program,
  })
  const first = await until(async () => (await linked()) === namespaces, 1_000)
  const atRest = residentBytes(controller.pid)
  progress('secrets: a rotation, and a new namespace and account in the middle of it')
  const [before = ''] = [...(await hashes()).keys()]
  const rotated = performance.now()
  await api.patch(of('secrets', home, 'source'), 'merge', source('two'))
  const followed = until(async () => !(await hashes()).has(before), 500).then(
    () => performance.now() - rotated,
  )
  await sleep(5_000)
  await api.create(of('namespaces'), { metadata: { name: 'scale-new' } })
  await until(hasName('scale-new', 'default'), 20)
  await api.create(of('serviceaccounts', 'scale-1'), { metadata: { name: 'new' } })
  const newAccount = await until(hasName('scale-1', 'new'), 20)
  const rotation = await followed
  const most = peakResidentBytes(controller.pid)
  await sleep(2_000)
  const events = auditEvents(({ objectRef }) => objectRef?.resource !== 'leases')
  const timeOf = (event: { requestReceivedTimestamp: string }) =>
    Date.parse(event.requestReceivedTimestamp)
  const inNew = events.filter(
    ({ verb, objectRef }) =>
      objectRef?.namespace === 'scale-new' &&
      objectRef.name === 'default' &&
      ['create', 'patch'].includes(verb),
  )
  const [accountMade, accountLinked] = inNew.map(timeOf)
  const newNamespace = (accountLinked ?? 0) - (accountMade ?? 0)
  const writes = events
    .filter(
      ({ verb, objectRef, requestURI }) =>
        requestURI.includes('fieldManager=berth') &&
        objectRef?.namespace !== home &&
        // The others are objects that this script created.
        (verb === 'patch' || (verb === 'create' && objectRef?.name === 'pull')),
    )
    .map(timeOf)
  const sorted = writes.sort((one, other) => one - other)
  const busiest = Math.max(
    ...sorted.map(
      (at, index) => sorted.slice(index, index + 200).filter((each) => each < at + 1_000).length,
    ),
  )
  printTable(
    ['pull secrets', ''],
    [
      ['all copied and linked after', seconds(first)],
      ['a rotation has reached all after', seconds(rotation)],
      ["a new namespace's account is linked, meanwhile, after", seconds(newNamespace)],
      ['a new service account, after', seconds(newAccount)],
      ['writes', String(sorted.length)],
      ['writes in the busiest second', String(busiest)],
      ['refused with 429', String((await refusedRequests()) - refusedBefore)],
      ['RSS at rest', megabytes(atRest)],
      ['peak RSS', megabytes(most)],
    ],
  )
  await controller.stop()
} finally {
  await connection.close()
  await stopCluster()
  workspace.remove()
}
