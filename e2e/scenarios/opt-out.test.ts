import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Webhook, dryRunPod, startWebhook, waitUntilUnchanged } from '../harness/webhook.ts'
import { apply, kubectl, kubectlOk, remove } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { podManifest, waitForPodRunning } from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'

/** Where Berth has no say, and what happens when it is not there: pods start. */
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
  for (const name of ['out', 'shadow', 'in']) await remove('namespace', name)
  await remove('pod', 'app', 'kube-system')
  await registries?.stop()
})

test('a namespace with the label is left alone, and its pods start', async () => {
  await kubectlOk(['label', 'namespace', 'out', 'berth.dev/rewrite=disabled'])
  await waitUntilUnchanged('app:1', 'out')
  await apply(podManifest({ name: 'app', image: 'app:1', namespace: 'out' }))

  expect((await waitForPodRunning('app', 'out')).spec.containers[0]?.image).toBe('app:1')
})

test('kube-system is left alone', async () => {
  await apply(podManifest({ name: 'app', image: 'app:1', namespace: 'kube-system' }))

  expect((await waitForPodRunning('app', 'kube-system')).spec.containers[0]?.image).toBe('app:1')
})

test('a namespace in shadow mode is decided about, and nothing is changed', async () => {
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

test('a broken config changes nothing, and is told of', async () => {
  await webhook.breakConfig()

  expect((await dryRunPod('app:1', 'in')).spec.containers[0]?.image).toBe(
    'mirror.example/library/app:1',
  )
  expect(await webhook.metrics()).toContain('berth_config_last_reload_successful 0')
})

test('with Berth stopped, pods start', async () => {
  await webhook.kill()
  await waitFor(
    'a call to fail open',
    async () =>
      (await dryRunPod('app:1', 'in')).metadata.annotations?.['berth.dev/images'] === undefined,
  )
  await apply(podManifest({ name: 'app', image: 'app:1', namespace: 'in' }))

  expect((await waitForPodRunning('app', 'in')).spec.containers[0]?.image).toBe('app:1')
})
