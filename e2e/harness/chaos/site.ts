/** An installation of Berth for chaos tests: three webhook replicas, a mirror behind a gate, and a stream of pods. */
import type { KubeApi } from '../../../src/kube/api-client.ts'
import { connect } from '../../../src/kube/connect.ts'
import { currentCluster } from '../cluster.ts'
import { failOpenCount } from '../fail-open-count.ts'
import { pushImage } from '../images.ts'
import { applyKustomization, waitForRollout } from '../install.ts'
import { createPullSecret, kubectlOk } from '../kubectl.ts'
import { namespace } from '../overlay.ts'
import { type PodStream, startPodStream } from '../pod-stream.ts'
import { type Account, type Registry, startRegistry } from '../registry.ts'
import { waitUntilRewritten } from '../webhook.ts'
import { processesOf } from './berth-process.ts'
import { type Canaries, createCanaries } from './canaries.ts'
import { type FaultGate, startFaultGate } from './fault-gate.ts'
import { createLedger, type Ledger } from './ledger.ts'
import { type LogDisk, mountLogDisk } from './log-disk.ts'
import { writeChaosOverlay } from './overlay.ts'

export type Site = {
  api: KubeApi
  mirror: Registry
  gate: FaultGate
  stream: PodStream
  ledger: Ledger
  canaries: Canaries
  logDisk: LogDisk
  /** The API server's count of failed calls when the stream began. */
  failOpenBefore: number
  /** The name of the webhook pod that no fault stops, so that its memory can be compared over the whole run. */
  witness: string
  /** Writes a config whose row has this name. */
  configure(row: string): Promise<void>
  /** Writes a config with an error. */
  breakConfig(): Promise<void>
  /** The row of the last valid config. */
  row(): string
  stop(): Promise<void>
}

const repositories = ['one', 'two', 'three', 'four', 'five'].map((name) => `chaos/${name}`)

/** Many images, so that the replicas probe all the time: they remember an answer for 30 seconds. */
const tags = Array.from({ length: 20 }, (_, index) => `${index + 1}`)
const secret = 'chaos-mirror'

/** Installs Berth with `failurePolicy: Ignore` and this timeout of the webhook, and starts the stream. */
export async function startSite(timeoutSeconds: number): Promise<Site> {
  const cluster = currentCluster()
  const home = { ...cluster, address: cluster.podAddress }
  const connection = await connect({ kubeconfig: cluster.kubeconfig, env: {} })
  const canaries = createCanaries()
  const { account } = canaries
  const mirror = await startRegistry(home, { name: 'chaos-mirror', htpasswd: account })
  const upstream = await startRegistry(home, { name: 'chaos-upstream' })
  await Promise.all(
    repositories.map((each) =>
      pushEverywhere(each, [{ url: mirror.url, auth: account }, { url: upstream.url }]),
    ),
  )
  const gate = await startFaultGate(cluster.podAddress, mirror.port)
  const config = (row: string) => configOf(row, gate.url, upstream.url)
  const logDisk = await mountLogDisk()
  const overlay = writeChaosOverlay({ config: config('row-0'), secret, timeoutSeconds })
  await applyKustomization(overlay)
  await createPullSecret(secret, { namespace, server: 'mirror.example', account })
  await waitForRollout()
  await waitForRollout('berth-controller')
  const images = repositories.flatMap((each) => tags.map((tag) => `docker.io/${each}:${tag}`))
  await waitUntilRewritten(images[0] ?? '')
  const allowed = images.flatMap((image) => [image, image.replace('docker.io', 'mirror.example')])
  const ledger = createLedger(new Set(allowed), canaries.isIn)
  const failOpenBefore = await failOpenCount()
  const stream = await startPodStream(images, { perSecond: 15, onCreated: ledger.onCreated })
  const [witness] = await processesOf(connection.api, 'webhook')
  let row = 'row-0'
  return {
    api: connection.api,
    failOpenBefore,
    mirror,
    gate,
    stream,
    ledger,
    canaries,
    logDisk,
    witness: witness?.pod ?? '',
    configure: (name) => {
      row = name
      return writeConfig(config(name))
    },
    breakConfig: () => writeConfig('kind: Nothing\n'),
    row: () => row,
    stop: async () => {
      await stream.stop()
      await kubectlOk(['delete', '-k', overlay, '--ignore-not-found'])
      await connection.close()
      await logDisk.unmount()
      await gate.close()
      await Promise.all([mirror.stop(), upstream.stop()])
    },
  }
}

async function pushEverywhere(
  repository: string,
  registries: readonly { url: string; auth?: Account }[],
): Promise<void> {
  for (const { url: registry, auth } of registries)
    for (const tag of tags)
      await pushImage({ registry, repository, tag, content: repository, ...(auth && { auth }) })
}

async function writeConfig(text: string): Promise<void> {
  const patch = ['--type=merge', '-p', JSON.stringify({ data: { 'berth.yaml': text } })]
  await kubectlOk(['patch', 'configmap', 'berth-config', '-n', namespace, ...patch])
}

function configOf(row: string, mirror: string, upstream: string): string {
  return `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - host: mirror.example
    endpoint: '${mirror}'
    mirror: true
    allowPlainHttpAuth: true
    credentials: { secret: ${secret} }
  - { host: docker.io, endpoint: '${upstream}' }
fallback:
  - { name: ${row}, images: ['docker.io/chaos/**'], try: ['mirror.example/{path}', 'docker.io/{path}'] }
pullSecrets: [{ registries: [mirror.example], secret: ${secret} }]
`
}
