import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { waitUntilRewritten } from '../harness/webhook.ts'
import { currentCluster } from '../harness/cluster.ts'
import {
  applyKustomization,
  type ImageRegistry,
  namespace,
  publishBerthImage,
  waitForRollout,
  writeOverlay,
} from '../harness/install.ts'
import { getJson, kubectlOk } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { type PodStream, startPodStream, type StreamCount } from '../harness/pod-stream.ts'
import { killContainer } from '../harness/local-cluster/containers.ts'
import { waitFor } from '../harness/wait.ts'

/**
 * Three replicas without which no pod is created, a steady stream of pods, and everything that happens to a Deployment.
 * BERTH_UPGRADES=20 is the long form, of half an hour.
 */
const rounds = Number(process.env['BERTH_UPGRADES'] ?? '4')
const cluster = currentCluster()
let image: ImageRegistry
let registries: MirrorAndUpstream
let overlay: string
let stream: PodStream

beforeAll(async () => {
  image = await publishBerthImage('0.1.0')
  registries = await startMirrorAndUpstream('upgrades', cluster.podAddress)
  await registries.push(registries.mirror, 'library/app', 'latest')
  await registries.push(registries.upstream, 'library/only-hub', '1')
  overlay = writeOverlay('upgrades', {
    base: 'deploy/base',
    files: { 'berth.yaml': registries.config },
    components: ['fail-closed'],
    extra: `patches:
  - target: { kind: Deployment, name: berth-webhook }
    patch: |
      - { op: add, path: /spec/template/spec/containers/0/args/-, value: --settle-seconds=5 }
`,
  })
  await applyKustomization(overlay)
  await waitForRollout()
  await waitUntilRewritten('app')
  stream = await startPodStream(['app', 'only-hub:1', 'mirror.example/library/app:latest'])
})

afterAll(async () => {
  await stream?.stop()
  await kubectlOk(['delete', '-k', overlay, '--ignore-not-found'])
  await registries?.stop()
  await image?.stop()
})

/** What came of the stream meanwhile, and a line about it for whoever runs this for the figures. */
function told(what: string): StreamCount {
  const count = stream.take()
  const rate = (count.created / count.seconds).toFixed(0)
  console.log(
    `e2e: ${what}: ${count.created} pods created, ${rate} a second, ${count.failures.length} refused, the longest took ${count.longest.toFixed(0)} ms`,
  )
  return count
}

const half = Math.ceil(rounds / 2)

type Container = { containerID: string; ready: boolean }

/** Pods that nobody has asked to go, each with its container once it has one. */
async function livePods(): Promise<{ name: string; container: Container | undefined }[]> {
  const selector = 'app.kubernetes.io/name=berth,app.kubernetes.io/component=webhook'
  const { items } = JSON.parse(
    await kubectlOk(['get', 'pods', '-n', namespace, '-l', selector, '-o', 'json']),
  ) as {
    items: {
      metadata: { name: string; deletionTimestamp?: string }
      status: { containerStatuses?: Container[] }
    }[]
  }
  return items
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map(({ metadata, status }) => ({
      name: metadata.name,
      container: status.containerStatuses?.[0],
    }))
}

async function aPod() {
  const [pod] = await livePods()
  if (pod?.container === undefined) throw new Error('no pod has a container')
  return { name: pod.name, container: pod.container }
}

/** Waits until three pods are ready and this one's container is gone; a Deployment's own status lags behind. */
function replaced({ containerID }: Container): Promise<unknown> {
  return waitFor('another container', async () => {
    const containers = (await livePods()).map(({ container }) => container)
    const isGone = containers.every((each) => each?.containerID !== containerID)
    return isGone && containers.length === 3 && containers.every((each) => each?.ready === true)
  })
}

const minutes = (each: number) => 60_000 + rounds * each * 60_000

test(
  'rolling restarts refuse not one pod',
  async () => {
    stream.take()
    for (let round = 0; round < rounds; round += 1) {
      await kubectlOk(['rollout', 'restart', 'deployment/berth-webhook', '-n', namespace])
      await waitForRollout()
    }
    const { created, failures } = told(`${rounds} rolling restarts`)

    expect(failures).toEqual([])
    expect(created).toBeGreaterThan(rounds * 20)
  },
  minutes(2),
)

test(
  'pods that are deleted take none with them',
  async () => {
    stream.take()
    for (let round = 0; round < rounds; round += 1) {
      const { name, container } = await aPod()
      await kubectlOk(['delete', 'pod', name, '-n', namespace])
      await replaced(container)
    }
    const { created, failures } = told(`${rounds} pods deleted`)

    expect(failures).toEqual([])
    expect(created).toBeGreaterThan(rounds * 20)
  },
  minutes(2),
)

test('another CA is trusted before it signs: its rotation is not noticed', async () => {
  stream.take()
  const issuer = async () => {
    const { data } = await getJson<{ data: Record<string, string> } & object>(
      'secret',
      'berth-own-certificate',
      namespace,
    )
    return new X509Certificate(Buffer.from(data['tls.crt'] ?? '', 'base64')).issuer
  }
  const before = await issuer()
  const secret = ['secret', 'berth-own-certificate', '-n', namespace]
  await kubectlOk(['annotate', ...secret, 'berth.dev/rotate=now'])
  await waitFor('a certificate of another CA', async () => (await issuer()) !== before)
  // Connections live on with the certificate that they began with: new pods are asked over new ones.
  await kubectlOk(['rollout', 'restart', 'deployment/berth-webhook', '-n', namespace])
  await waitForRollout()
  const { created, failures } = told('a rotation of the CA')

  expect(failures).toEqual([])
  expect(created).toBeGreaterThan(20)
})

test(
  'pods that are deleted by force take none with them either: the kubelet lets them answer for two seconds',
  async () => {
    stream.take()
    for (let round = 0; round < half; round += 1) {
      const now = ['--grace-period=0', '--force']
      const { name, container } = await aPod()
      await kubectlOk(['delete', 'pod', name, '-n', namespace, ...now])
      await replaced(container)
    }
    const { created, failures } = told(`${half} pods deleted by force`)

    expect(failures).toEqual([])
    expect(created).toBeGreaterThan(half * 20)
  },
  minutes(2),
)

test.runIf(cluster.provider === 'local')(
  'a process that is killed refuses at the most what is asked of it until the cluster knows',
  async () => {
    stream.take()
    const killedAt: number[] = []
    for (let round = 0; round < half; round += 1) {
      const { container } = await aPod()
      killedAt.push(performance.now())
      await killContainer(container.containerID.replace('containerd://', ''))
      await replaced(container)
    }
    const { created, failures } = told(`${half} processes killed`)
    const late = failures.filter(
      ({ at }) => !killedAt.some((kill) => at > kill && at < kill + 5_000),
    )

    expect(late).toEqual([])
    // Two of three replicas answer meanwhile, and connections to them are open.
    expect(failures.length).toBeLessThan(created / 10)
  },
  minutes(2),
)
