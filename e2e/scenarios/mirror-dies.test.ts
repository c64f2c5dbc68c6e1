import { afterAll, beforeAll, expect, test } from 'vitest'
import { apply, kubectlOk, remove } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { startPodStream } from '../harness/pod-stream.ts'
import { podManifest, waitForPodRunning } from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'
import { startWebhook, type Webhook } from '../harness/webhook.ts'

/** A mirror dies while pods are created: which pods still get its images, although they could run from upstream. */
const namespace = 'mirror-dies'
const names = ['a', 'b', 'c', 'd', 'e']
const images = names.map((name) => `docker.io/team/${name}:1`)

let registries: MirrorAndUpstream
let webhook: Webhook

beforeAll(async () => {
  registries = await startMirrorAndUpstream('dies')
  for (const name of names) {
    await registries.push(registries.mirror, `team/${name}`, '1')
    await registries.push(registries.upstream, `team/${name}`, '1')
  }
  await kubectlOk(['create', 'namespace', namespace])
  const { config } = registries
  webhook = await startWebhook({ name: 'dies', config, canary: images[0] ?? '' })
})

afterAll(async () => {
  await webhook?.stop()
  await remove('namespace', namespace)
  await registries?.stop()
})

test('new pods go to upstream soon after the mirror has died, and to the mirror when it is back', async () => {
  const created: { readonly isOnMirror: boolean; readonly at: number }[] = []
  const stream = await startPodStream(images, {
    perSecond: 20,
    onCreated: ({ spec }, at) => {
      const isOnMirror = spec.containers.every(({ image }) => image.startsWith('mirror.example/'))
      created.push({ isOnMirror, at })
    },
  })
  const lastPods = (count: number) => created.slice(-count)
  await stream.waitForPods(60)
  expect(lastPods(20).every(({ isOnMirror }) => isOnMirror)).toBe(true)

  const stoppedAt = performance.now()
  await registries.mirror.stop()
  await stream.waitForPods(100)
  const after = created.filter(({ at }) => at > stoppedAt)
  const lost = after.filter(({ isOnMirror }) => isOnMirror)
  const window = Math.max(0, ...lost.map(({ at }) => at - stoppedAt))
  console.log(
    `${lost.length} of ${after.length} pods got an image of the dead mirror, the last after ${Math.round(window)} ms`,
  )
  expect(lastPods(20).some(({ isOnMirror }) => isOnMirror)).toBe(false)

  const [image = ''] = images
  await apply(podManifest({ name: 'runs', image, namespace }))
  expect((await waitForPodRunning('runs', namespace)).spec.containers[0]?.image).toBe(image)

  await registries.mirror.start()
  await waitFor('pods from the mirror', () => lastPods(20).every(({ isOnMirror }) => isOnMirror))
  const { failures } = await stream.stop()
  expect(failures).toEqual([])
})
