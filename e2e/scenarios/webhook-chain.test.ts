import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Webhook, startWebhook } from '../harness/webhook.ts'
import { currentCluster } from '../harness/cluster.ts'
import { type SidecarInjector, startSidecarInjector } from '../harness/sidecar-injector.ts'
import { kubectlOk, remove } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { type Pod, podManifest } from '../harness/pods.ts'
import { type HangingWebhook, startHangingWebhook } from '../harness/hanging-webhook.ts'
import { waitFor } from '../harness/wait.ts'

/** Other webhooks take their time before and after Berth, and one changes the pod so that Berth is asked twice. */
const namespace = 'chain'
const injectorName = 'y-injector'
let registries: MirrorAndUpstream
let webhook: Webhook
let injector: SidecarInjector
const silent: HangingWebhook[] = []

beforeAll(async () => {
  registries = await startMirrorAndUpstream('chain')
  await registries.push(registries.mirror, 'library/app', '1')
  await registries.push(registries.mirror, 'library/sidecar', '1')
  webhook = await startWebhook({ name: 'chain', config: registries.config, canary: 'app:1' })
  await kubectlOk(['create', 'namespace', namespace])
  await kubectlOk(['label', 'namespace', namespace, `injected=${injectorName}`])
  const { address } = currentCluster()
  injector = await startSidecarInjector(address, injectorName, 'sidecar:1')
  // Webhooks are called in the order of their names.
  for (const name of ['a-silent', 'b-silent', 'x-silent', 'z-silent']) {
    silent.push(await startHangingWebhook(address, { name, namespace, timeoutSeconds: 5 }))
  }
})

afterAll(async () => {
  for (const hook of silent) await hook.stop()
  await injector?.stop()
  await webhook?.stop()
  await remove('namespace', namespace)
  await registries?.stop()
})

test(
  'two rounds fit beside four webhooks that use up five seconds each',
  { timeout: 180_000 },
  async () => {
    const create = async () =>
      JSON.parse(
        await kubectlOk(['create', '--dry-run=server', '-o', 'json', '-f', '-'], {
          input: JSON.stringify(podManifest({ name: 'app', image: 'app:1', namespace })),
        }),
      ) as Pod
    const pod = await waitFor(
      'a pod that went past all of them',
      async () => {
        const before = silent.map(({ calls }) => calls())
        const made = await create()
        return silent.every(({ calls }, index) => calls() > (before[index] ?? 0)) && made
      },
      { timeoutMs: 150_000 },
    )

    expect(pod.spec.containers.map(({ image }) => image)).toEqual([
      'mirror.example/library/app:1',
      'mirror.example/library/sidecar:1',
    ])
  },
)
