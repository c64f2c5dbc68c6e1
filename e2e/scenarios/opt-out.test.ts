import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Webhook, dryRunPod, startWebhook, waitUntilUnchanged } from '../harness/webhook.ts'
import { apply, kubectl, kubectlOk, remove, removeNamespaces } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { podManifest, waitForPodRunning } from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'

/** Pods that Berth does not rewrite, and pods that start while Berth does not run. */
let registries: MirrorAndUpstream
let webhook: Webhook

beforeAll(async () => {
  registries = await startMirrorAndUpstream('opt-out')
  await registries.push(registries.mirror, 'library/app', '1')
  await registries.push(registries.upstream, 'library/app', '1')
  webhook = await startWebhook({ name: 'opt-out', config: registries.config, canary: 'app:1' })
  for (const name of ['out', 'shadow', 'in']) await kubectlOk(['create', 'namespace', name])
})

afterAll(async () => {
  await webhook?.stop()
  await removeNamespaces('out', 'shadow', 'in')
  await remove('pod', 'app', 'kube-system')
  await registries?.stop()
})

test('pods of a namespace with the opt-out label are admitted unchanged and start', async () => {
  await kubectlOk(['label', 'namespace', 'out', 'berth.dev/rewrite=disabled'])
  await waitUntilUnchanged('app:1', 'out')
  await apply(podManifest({ name: 'app', image: 'app:1', namespace: 'out' }))

  expect((await waitForPodRunning('app', 'out')).spec.containers[0]?.image).toBe('app:1')
})

test('pods of kube-system are admitted unchanged', async () => {
  await apply(podManifest({ name: 'app', image: 'app:1', namespace: 'kube-system' }))

  expect((await waitForPodRunning('app', 'kube-system')).spec.containers[0]?.image).toBe('app:1')
})

test('pods of a namespace in observe mode are logged and admitted unchanged', async () => {
  await kubectlOk(['label', 'namespace', 'shadow', 'berth.dev/mode=observe'])
  await waitUntilUnchanged('app:1', 'shadow')
  await kubectl(['create', '--dry-run=server', '-f', '-'], {
    input: JSON.stringify(podManifest({ name: 'app', image: 'app:1', namespace: 'shadow' })),
  })

  expect(await webhook.metrics()).toMatch(
    /berth_admissions_total\{operation="CREATE",outcome="unchanged",mode="observe"\} [1-9]/,
  )
  expect(webhook.log()).toContainEqual(
    expect.objectContaining({
      mode: 'observe',
      namespace: 'shadow',
      images: [expect.objectContaining({ to: 'mirror.example/library/app:1' })],
    }),
  )
})

test('an invalid config is reported, and the last valid one stays in effect', async () => {
  await webhook.breakConfig()

  expect((await dryRunPod('app:1', 'in')).spec.containers[0]?.image).toBe(
    'mirror.example/library/app:1',
  )
  expect(await webhook.metrics()).toContain('berth_config_last_reload_successful 0')
})

test('pods start while Berth is stopped', async () => {
  await webhook.kill()
  await waitFor(
    'a call that fails open',
    async () =>
      (await dryRunPod('app:1', 'in')).metadata.annotations?.['berth.dev/images'] === undefined,
  )
  await apply(podManifest({ name: 'app', image: 'app:1', namespace: 'in' }))

  expect((await waitForPodRunning('app', 'in')).spec.containers[0]?.image).toBe('app:1')
})
