import { afterAll, beforeAll, expect, test } from 'vitest'
import { currentCluster } from '../harness/cluster.ts'
import {
  applyKustomization,
  readCaBundles,
  setCaBundle,
  waitForRollout,
} from '../harness/install.ts'
import { apply, getJson, kubectlOk, remove, type KubeObject } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { namespace, writeOverlay } from '../harness/overlay.ts'
import { startPodStream } from '../harness/pod-stream.ts'
import { podManifest, waitForPullFailure } from '../harness/pods.ts'
import {
  apiServerAddresses,
  type SecondApiServer,
  startSecondApiServer,
} from '../harness/second-api-server.ts'
import { waitFor } from '../harness/wait.ts'

/** Two API servers behind the Service `kubernetes`, one of which crashes while Berth is connected to it. */
const cluster = currentCluster()
const accounts = ['berth-webhook', 'berth-controller'].map(
  (name) => `system:serviceaccount:${namespace}:${name}`,
)
let registries: MirrorAndUpstream
let second: SecondApiServer
let overlay: string

beforeAll(async () => {
  registries = await startMirrorAndUpstream('two-api-servers', cluster.podAddress)
  await registries.push(registries.mirror, 'library/app', '1')
  second = await startSecondApiServer(cluster)
  overlay = writeOverlay('two-api-servers', {
    base: 'deploy/base',
    files: { 'berth.yaml': registries.config },
    components: ['pull-failures'],
  })
  await applyKustomization(overlay)
  await waitForRollout()
  await waitForRollout('berth-controller')
  // kube-proxy chooses an API server for each connection. Pods that start again choose again.
  await waitFor(
    'Berth to use the second API server',
    async () => {
      const users = second.users()
      if (accounts.every((account) => users.has(account))) return true
      await kubectlOk(['rollout', 'restart', 'deployment', '-n', namespace])
      await waitForRollout()
      await waitForRollout('berth-controller')
      throw new Error(`it is used by ${[...users].join(', ')}`)
    },
    { timeoutMs: 500_000 },
  )
})

afterAll(async () => {
  await kubectlOk(['delete', '-k', overlay, '--ignore-not-found'])
  await second?.stop()
  await registries?.stop()
})

type Lease = KubeObject & { spec: { holderIdentity: string; renewTime: string } }

const lease = () => getJson<Lease>('lease', 'berth-controller', namespace)

async function eventOf(pod: string): Promise<boolean> {
  const selector = `--field-selector=involvedObject.name=${pod},source=berth-controller`
  return (await kubectlOk(['get', 'events', selector, '-o', 'name'])).includes('event')
}

test('pods are rewritten while an API server crashes', async () => {
  const images: (string | undefined)[] = []
  const stream = await startPodStream(['docker.io/library/app:1'], {
    perSecond: 10,
    onCreated: ({ spec }) => images.push(spec.containers[0]?.image),
  })
  await stream.waitForPods(20)
  await second.kill()
  await stream.waitForPods(100)
  const { failures } = await stream.stop()

  expect(failures).toEqual([])
  expect(new Set(images)).toEqual(new Set(['mirror.example/library/app:1']))
})

test('the watches of the webhook and of the controller, and the Lease, outlive the API server', async () => {
  const crashedAt = Date.now()
  const before = await readCaBundles()
  await setCaBundle(Buffer.from('another CA').toString('base64'))
  await waitFor('the caBundles', async () => (await readCaBundles()) === before)
  await apply(podManifest({ name: 'absent', image: 'mirror.example/library/absent:1' }))
  await waitForPullFailure('absent')
  await waitFor('the Event of the controller', () => eventOf('absent'))
  await remove('pod', 'absent')
  await waitFor('a renewal of the Lease', async () => {
    const { spec } = await lease()
    // Longer than any holder that has lost its connection can keep it.
    return Date.parse(spec.renewTime) > crashedAt + 20_000
  })

  expect(await apiServerAddresses()).toHaveLength(1)
})
