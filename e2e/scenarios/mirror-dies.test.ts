import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Controller, createControllerAccount, startController } from '../harness/controller.ts'
import { apply, getJson, kubectlOk, remove, removeNamespaces } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { startPodStream } from '../harness/pod-stream.ts'
import { podManifest, waitForPodRunning, waitForPullFailure } from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'
import { startWebhook, waitUntilUnchanged, type Webhook } from '../harness/webhook.ts'

/**
 * A mirror dies while pods are created: which pods still get its images, although they could run from upstream. No other
 * scenario may use these images, because the node would have them.
 */
const namespace = 'mirror-dies'
const names = ['a', 'b', 'c', 'd', 'e']
const images = names.map((name) => `docker.io/dies/${name}:1`)

let registries: MirrorAndUpstream
let webhook: Webhook

beforeAll(async () => {
  registries = await startMirrorAndUpstream('dies')
  for (const name of names) {
    await registries.push(registries.mirror, `dies/${name}`, '1')
    await registries.push(registries.upstream, `dies/${name}`, '1')
  }
  await kubectlOk(['create', 'namespace', namespace])
  const { config } = registries
  webhook = await startWebhook({ name: 'dies', config, canary: images[0] ?? '' })
})

afterAll(async () => {
  await webhook?.stop()
  await removeNamespaces(namespace)
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

describe('stuckPods', () => {
  const stuck = 'mirror-dies-stuck'
  const image = 'mirror.example/dies/a:1'
  const record = {
    site: 'containers/main',
    from: 'docker.io/dies/a:1',
    to: image,
    row: 'hub',
    why: '',
  }
  const rbac = 'rbac.authorization.k8s.io/v1'
  /** The rights of the component `stuck-pods`. */
  const rules = [
    { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch'] },
    { apiGroups: [''], resources: ['pods/eviction'], verbs: ['create'] },
    { apiGroups: [''], resources: ['events'], verbs: ['create'] },
  ]
  const annotations = { 'berth.dev/images': JSON.stringify([record]) }
  let controller: Controller
  let config: string
  let kubeconfig: string

  beforeAll(async () => {
    await kubectlOk(['create', 'namespace', stuck])
    kubeconfig = await createControllerAccount(stuck)
    const metadata = { name: stuck }
    await apply([
      { apiVersion: rbac, kind: 'ClusterRole', metadata, rules },
      {
        apiVersion: rbac,
        kind: 'ClusterRoleBinding',
        metadata,
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: stuck },
        subjects: [{ kind: 'ServiceAccount', name: 'berth-controller', namespace: stuck }],
      },
    ])
    config = `${registries.config}stuckPods: recreate\npullFailures: { report: false }\n`
  })

  afterAll(async () => {
    await controller?.stop()
    for (const kind of ['clusterrole', 'clusterrolebinding']) await remove(kind, stuck)
    await removeNamespaces(stuck)
  })

  test('pods that were created in the window run from upstream soon, without the mirror', async () => {
    // The webhook does not see these pods: they stand for those that it sent to the mirror just before the mirror died.
    await kubectlOk(['label', 'namespace', stuck, 'berth.dev/rewrite=disabled'])
    await waitUntilUnchanged('docker.io/dies/a:1', stuck)
    await registries.mirror.stop()
    const spec = { terminationGracePeriodSeconds: 1, containers: [{ name: 'main', image }] }
    const labels = { app: 'web' }
    await apply([
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'web', namespace: stuck },
        spec: {
          replicas: 3,
          selector: { matchLabels: labels },
          template: { metadata: { labels, annotations }, spec },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'bare', namespace: stuck, annotations },
        spec,
      },
    ])
    await waitForPullFailure('bare', stuck)
    await kubectlOk(['label', 'namespace', stuck, 'berth.dev/rewrite-'])
    const sample = podManifest({ name: 'sample', namespace: stuck, image })
    const input = JSON.stringify({
      ...sample,
      metadata: { name: 'sample', namespace: stuck, annotations },
    })
    const args = ['create', '-f', '-', '--dry-run=server', '-o', 'jsonpath={.spec.containers[0].image}'] // prettier-ignore
    await waitFor('new pods from upstream', async () => (await kubectlOk(args, { input })) === 'docker.io/dies/a:1') // prettier-ignore
    controller = await startController({ name: 'stuck', namespace: stuck, config, kubeconfig })
    const startedAt = performance.now()
    await waitFor('three pods from upstream', async () => {
      const { status } = await getJson<{ status?: { readyReplicas?: number } }>(
        'deployment',
        'web',
        stuck,
      )
      return status?.readyReplicas === 3
    })
    console.log(`all pods ran after ${Math.round((performance.now() - startedAt) / 1_000)} s`)

    const messages = await waitFor('the Event of the bare pod', async () => {
      const args = ['get', 'events', '-n', stuck, '--field-selector=reason=StuckOnImage', '-o', 'jsonpath={range .items[*]}{.involvedObject.name} {.message}{"\\n"}{end}'] // prettier-ignore
      return (await kubectlOk(args)).split('\n').find((line) => line.startsWith('bare '))
    })
    expect(messages).toBe(
      `bare ${image} cannot be pulled, and a new pod gets docker.io/dies/a:1; the pod has no controller: delete and recreate it`,
    )
    expect(await controller.metrics()).toContain('berth_stuck_pods_evicted_total 3')
    await registries.mirror.start()
  })
})
