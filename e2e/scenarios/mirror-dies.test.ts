import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { type Controller, createControllerAccount, startController } from '../harness/controller.ts'
import { apply, getJson, kubectlOk, remove, removeNamespaces } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { repository } from '../harness/paths.ts'
import { startPodStream } from '../harness/pod-stream.ts'
import { type Pod, podManifest, waitForPodRunning, waitForPullFailure } from '../harness/pods.ts'
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

describe('unprocessed', () => {
  const away = 'mirror-dies-away'
  const image = 'docker.io/dies/away:1'
  const onMirror = 'mirror.example/dies/away:1'
  const file = join(repository, 'deploy/components/unprocessed-pods/role.yaml')
  const role = parseAllDocuments(readFileSync(file, 'utf8'))[0]?.toJS() as { rules: object[] }
  const metadata = { name: away }
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  let config: string
  let controller: Controller

  /** A workload whose pods have the label `app` with its name. */
  function workload(kind: string, name: string, spec: object = {}): object {
    const labels = { app: name }
    const podSpec = {
      terminationGracePeriodSeconds: 1,
      // One pod of the DaemonSet, however many nodes there are.
      nodeSelector: { 'kubernetes.io/hostname': currentCluster().nodes[0]?.name },
      containers: [{ name: 'main', image }],
    }
    const template = { metadata: { labels }, spec: podSpec }
    return {
      apiVersion: 'apps/v1',
      kind,
      metadata: { name, namespace: away },
      spec: { selector: { matchLabels: labels }, template, ...spec },
    }
  }

  async function podsOf(app: string): Promise<Pod[]> {
    const args = ['get', 'pods', '-n', away, '-l', `app=${app}`, '-o', 'json']
    return (JSON.parse(await kubectlOk(args)) as { items: Pod[] }).items
  }

  const isRunning = ({ status }: Pod) =>
    status.phase === 'Running' && (status.containerStatuses ?? []).every(({ ready }) => ready)

  beforeAll(async () => {
    for (const each of [registries.mirror, registries.upstream])
      await registries.push(each, 'dies/away', '1')
    const row = '{ name: left, when: { pods: { matchLabels: { app: left } } }, leave: true }'
    const rows = registries.config.replace('fallback:\n', `fallback:\n  - ${row}\n`)
    config = `${rows}pullFailures: { report: false }\nconflicts: ignore\n`
    await kubectlOk(['create', 'namespace', away])
    await apply([
      { apiVersion, kind: 'ClusterRole', metadata, rules: role.rules },
      {
        apiVersion,
        kind: 'ClusterRoleBinding',
        metadata,
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: away },
        subjects: [{ kind: 'ServiceAccount', name: 'berth-controller', namespace: away }],
      },
    ])
    const kubeconfig = await createControllerAccount(away)
    await webhook.kill()
    const bare = podManifest({ name: 'bare', image, namespace: away })
    await apply([
      workload('Deployment', 'web', { replicas: 2 }),
      workload('Deployment', 'left'),
      workload('StatefulSet', 'sts', { serviceName: 'sts', updateStrategy: { type: 'OnDelete' } }),
      workload('DaemonSet', 'ds', { updateStrategy: { type: 'OnDelete' } }),
      { ...bare, metadata: { name: 'bare', namespace: away, labels: { app: 'bare' } } },
    ])
    await waitFor('the pods that were created without Berth', async () => {
      const pods = await Promise.all(['web', 'left', 'sts', 'ds', 'bare'].map(podsOf))
      return pods.flat().filter(isRunning).length === 6
    })
    webhook = await startWebhook({ name: 'dies-again', config, canary: images[0] ?? '' })
    const unprocessed = `${config}unprocessed: report\n`
    controller = await startController({ name: 'away', namespace: away, config: unprocessed, kubeconfig }) // prettier-ignore
  })

  afterAll(async () => {
    await controller?.stop()
    for (const kind of ['clusterrole', 'clusterrolebinding']) await remove(kind, away)
    await remove('namespace', away)
  })

  test('pods that were created without Berth are counted and listed', async () => {
    await waitFor('the count', async () =>
      (await controller.metrics()).includes(`berth_unprocessed_pods{namespace="${away}"} 5`),
    )
    const configFile = join(currentCluster().runDir, 'unprocessed.yaml')
    writeFileSync(configFile, config)
    const args = ['report', '--unprocessed', '-n', away, '--config', configFile]
    const { stdout, code } = await runBerth([...args, '-o', 'json'])
    const report = JSON.parse(stdout) as { images: Record<string, unknown>[]; summary: object }

    expect(report.summary).toEqual({ pods: 5, restartable: 4, unknown: 0 })
    expect(report.images.find(({ pod }) => pod === 'bare')).toEqual({
      namespace: away,
      pod: 'bare',
      owner: null,
      image,
      becomes: onMirror,
      row: 'hub',
      obstacle: 'the pod has no controller: delete and recreate it',
    })
    expect((await runBerth(args)).stdout).toContain('5 pods that Berth has not processed')
    expect(code).toBe(0)
  })

  test('`restart` replaces the pods of the Deployment, once Berth has processed a pod, and no others', async () => {
    const others = ['left', 'sts', 'ds', 'bare']
    const uids = async () =>
      (await Promise.all(others.map(podsOf))).flat().map(({ metadata: { uid } }) => uid)
    const before = await uids()
    controller.configure(`${config}unprocessed: restart\n`)
    await waitFor('the missing proof', () => controller.log().some(({ msg }) => msg === 'restarts paused')) // prettier-ignore
    expect(await controller.metrics()).toContain('berth_unprocessed_pods_evicted_total 0')

    await apply(podManifest({ name: 'proof', image, namespace: away }))
    await waitFor('the pods of the Deployment on the mirror', async () => {
      const pods = (await podsOf('web')).filter(isRunning)
      return pods.length === 2 && pods.every(({ spec }) => spec.containers[0]?.image === onMirror)
    })
    await waitFor('the update strategies', () =>
      ['StatefulSet sts', 'DaemonSet ds'].every((name) =>
        controller.log().some(({ msg, owner }) => msg === 'owner not restarted' && owner === name),
      ),
    )

    expect(await uids()).toEqual(before)
    expect(await controller.metrics()).toContain('berth_unprocessed_pods_evicted_total 2')
    await waitFor('the count', async () =>
      (await controller.metrics()).includes(`berth_unprocessed_pods{namespace="${away}"} 3`),
    )
  })
})
