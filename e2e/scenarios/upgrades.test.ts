import { X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { waitUntilRewritten } from '../harness/webhook.ts'
import { currentCluster } from '../harness/cluster.ts'
import { applyKustomization, waitForRollout } from '../harness/install.ts'
import { getJson, kubectlOk } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { type PodStream, startPodStream, type StreamCount } from '../harness/pod-stream.ts'
import { namespace, writeOverlay } from '../harness/overlay.ts'
import { killContainerOnNode } from '../harness/kind-cluster.ts'
import { killContainer } from '../harness/local-cluster/containers.ts'
import { log } from '../harness/log.ts'
import { waitFor } from '../harness/wait.ts'

/**
 * Three replicas with failurePolicy Fail, a steady stream of pods, and every disruption of a Deployment. With
 * BERTH_UPGRADES=20 the tests take half an hour.
 */
const rounds = Number(process.env['BERTH_UPGRADES'] ?? '4')
const cluster = currentCluster()
let registries: MirrorAndUpstream
let overlay: string
let stream: PodStream

beforeAll(async () => {
  registries = await startMirrorAndUpstream('upgrades', cluster.podAddress)
  await registries.push(registries.mirror, 'library/app', 'latest')
  await registries.push(registries.upstream, 'library/only-hub', '1')
  overlay = writeOverlay('upgrades', {
    base: 'deploy/base',
    files: { 'berth.yaml': registries.config },
    components: ['fail-closed'],
    // The longest timeout that an API server takes: on a busy machine, a review that waits for the processor is not a fault.
    extra: `patches:
  - target: { kind: MutatingWebhookConfiguration, name: berth }
    patch: |
      - { op: replace, path: /webhooks/0/timeoutSeconds, value: 30 }
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
})

/** Takes the counts of the stream and prints them. */
function reportCount(disruption: string): StreamCount {
  const count = stream.takeCount()
  const rate = (count.created / count.seconds).toFixed(0)
  log(
    `${disruption}: ${count.created} pods created, ${rate} per second, ${count.failures.length} rejected, slowest ${count.longestMs.toFixed(0)} ms`,
  )
  return count
}

const half = Math.ceil(rounds / 2)

type Container = { containerID: string; ready: boolean }

/** Returns the pods of the webhook that are not terminating, each with its container once it has one. */
async function livePods(): Promise<
  { name: string; node: string; container: Container | undefined }[]
> {
  const selector = 'app.kubernetes.io/name=berth,app.kubernetes.io/component=webhook'
  const { items } = JSON.parse(
    await kubectlOk(['get', 'pods', '-n', namespace, '-l', selector, '-o', 'json']),
  ) as {
    items: {
      metadata: { name: string; deletionTimestamp?: string }
      spec: { nodeName?: string }
      status: { containerStatuses?: Container[] }
    }[]
  }
  return items
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map(({ metadata, spec, status }) => ({
      name: metadata.name,
      node: spec.nodeName ?? '',
      container: status.containerStatuses?.[0],
    }))
}

async function firstPod() {
  const [pod] = await livePods()
  if (pod?.container === undefined) throw new Error('no pod has a container')
  return { name: pod.name, node: pod.node, container: pod.container }
}

/** Waits until three pods are ready without this container. The status of the Deployment lags behind. */
function waitForReplacement({ containerID }: Container): Promise<unknown> {
  return waitFor('another container', async () => {
    const containers = (await livePods()).map(({ container }) => container)
    const isGone = containers.every((each) => each?.containerID !== containerID)
    return isGone && containers.length === 3 && containers.every((each) => each?.ready === true)
  })
}

const minutes = (perRound: number) => 60_000 + rounds * perRound * 60_000

/** By then the kubelet has reported a killed container and the API server has removed its endpoint. */
const noticedAfterMs = 15_000

test(
  'rolling restarts reject no pod',
  async () => {
    stream.takeCount()
    for (let round = 0; round < rounds; round += 1) {
      await kubectlOk(['rollout', 'restart', 'deployment/berth-webhook', '-n', namespace])
      await waitForRollout()
    }
    const { created, failures } = reportCount(`${rounds} rolling restarts`)

    expect(failures).toEqual([])
    expect(created).toBeGreaterThan(rounds * 5)
  },
  minutes(5),
)

test(
  'deleting a replica rejects no pod',
  async () => {
    stream.takeCount()
    for (let round = 0; round < rounds; round += 1) {
      const { name, container } = await firstPod()
      await kubectlOk(['delete', 'pod', name, '-n', namespace])
      await waitForReplacement(container)
    }
    const { created, failures } = reportCount(`${rounds} pods deleted`)

    expect(failures).toEqual([])
    expect(created).toBeGreaterThan(rounds * 5)
  },
  minutes(5),
)

test('rotating the CA rejects no pod', async () => {
  stream.takeCount()
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
  // Open connections keep their certificate; new replicas get new connections.
  await kubectlOk(['rollout', 'restart', 'deployment/berth-webhook', '-n', namespace])
  await waitForRollout()
  const { created, failures } = reportCount('a rotation of the CA')

  expect(failures).toEqual([])
  expect(created).toBeGreaterThan(5)
})

test(
  'deleting a replica by force rejects no pod, because the kubelet gives it two seconds',
  async () => {
    stream.takeCount()
    for (let round = 0; round < half; round += 1) {
      const now = ['--grace-period=0', '--force']
      const { name, container } = await firstPod()
      await kubectlOk(['delete', 'pod', name, '-n', namespace, ...now])
      await waitForReplacement(container)
    }
    const { created, failures } = reportCount(`${half} pods deleted by force`)

    expect(failures).toEqual([])
    expect(created).toBeGreaterThan(half * 5)
  },
  minutes(5),
)

test(
  'killing a process rejects only pods until the cluster has noticed',
  async () => {
    stream.takeCount()
    const killedAt: number[] = []
    for (let round = 0; round < half; round += 1) {
      const { node, container } = await firstPod()
      killedAt.push(performance.now())
      const id = container.containerID.replace('containerd://', '')
      await (cluster.provider === 'kind' ? killContainerOnNode(node, id) : killContainer(id))
      await waitForReplacement(container)
    }
    const { created, failures } = reportCount(`${half} processes killed`)
    const late = failures.filter(
      ({ at }) => !killedAt.some((kill) => at > kill && at < kill + noticedAfterMs),
    )

    expect(late).toEqual([])
    // The other two replicas answer over open connections.
    expect(failures.length).toBeLessThan(created / 10)
  },
  minutes(5),
)
