import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Webhook, startWebhook } from '../harness/webhook.ts'
import { type HangingWebhook, startHangingWebhook } from '../harness/hanging-webhook.ts'
import type { HttpsWebhook } from '../harness/https-webhook.ts'
import { kubectlOk, removeNamespaces } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { type Pod, podManifest } from '../harness/pods.ts'
import { startSidecarInjector } from '../harness/sidecar-injector.ts'
import { waitFor } from '../harness/wait.ts'

/** Four other webhooks hang until their timeouts, and a fifth one changes the pod so that Berth is called twice. */
const namespace = 'chain'
const injectorName = 'y-injector'
let registries: MirrorAndUpstream
let webhook: Webhook
let injector: HttpsWebhook
const hanging: HangingWebhook[] = []

beforeAll(async () => {
  registries = await startMirrorAndUpstream('chain')
  await registries.push(registries.mirror, 'library/app', '1')
  await registries.push(registries.mirror, 'library/sidecar', '1')
  webhook = await startWebhook({ name: 'chain', config: registries.config, canary: 'app:1' })
  await kubectlOk(['create', 'namespace', namespace])
  await kubectlOk(['label', 'namespace', namespace, `injected=${injectorName}`])
  injector = await startSidecarInjector(injectorName, 'sidecar:1')
  for (const name of ['a-hanging', 'b-hanging', 'x-hanging', 'z-hanging']) {
    hanging.push(await startHangingWebhook({ name, namespace, timeoutSeconds: 5 }))
  }
})

afterAll(async () => {
  for (const other of hanging) await other.stop()
  await injector?.stop()
  await webhook?.stop()
  await removeNamespaces(namespace)
  await registries?.stop()
})

test('both calls of Berth succeed next to four webhooks that take five seconds each', async () => {
  const create = async () =>
    JSON.parse(
      await kubectlOk(['create', '--dry-run=server', '-o', 'json', '-f', '-'], {
        input: JSON.stringify(podManifest({ name: 'app', image: 'app:1', namespace })),
      }),
    ) as Pod
  const pod = await waitFor(
    'a pod for which all webhooks were called',
    async () => {
      const before = hanging.map(({ calls }) => calls())
      const created = await create()
      return hanging.every(({ calls }, index) => calls() > (before[index] ?? 0)) && created
    },
    { timeoutMs: 300_000 },
  )

  expect(pod.spec.containers.map(({ image }) => image)).toEqual([
    'mirror.example/library/app:1',
    'mirror.example/library/sidecar:1',
  ])
})
