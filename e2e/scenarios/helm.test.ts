import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { waitUntilUnchanged, waitUntilRewritten } from '../harness/webhook.ts'
import { currentCluster } from '../harness/cluster.ts'
import { helmOk } from '../harness/helm.ts'
import {
  type ImageRegistry,
  podsOfComponent,
  publishBerthImage,
  waitForRollout,
} from '../harness/install.ts'
import { apply, kubectlOk, remove } from '../harness/kubectl.ts'
import { chart } from '../harness/manifests.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { startPodStream } from '../harness/pod-stream.ts'
import { podManifest, waitForPodRunning } from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'

/** The same by Helm, in a namespace of another name, and with a webhook that pods may not do without. */
const cluster = currentCluster()
const namespace = 'harbour'
let image: ImageRegistry
let registries: MirrorAndUpstream
/** Writes the values for one table, and returns the file. */
let values: (config: unknown) => string

beforeAll(async () => {
  image = await publishBerthImage('0.1.0')
  registries = await startMirrorAndUpstream('helm', cluster.podAddress)
  await registries.push(registries.mirror, 'library/app', 'latest')
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' }
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } })
  values = (config) => {
    const file = join(cluster.runDir, 'values.json')
    const policy = { mirrors: ['mirror.example'] }
    const webhook = { failurePolicy: 'Fail' }
    writeFileSync(file, JSON.stringify({ config, policy, webhook }))
    return file
  }
  const file = values(parse(registries.config))
  await helmOk(['install', 'berth', chart, '-n', namespace, '-f', file])
  await waitForRollout('berth-webhook', namespace)
  await waitForRollout('berth-controller', namespace)
})

afterAll(async () => {
  await remove('pod', 'app')
  await remove('mutatingwebhookconfiguration', 'berth')
  await remove('namespace', namespace)
  await registries?.stop()
  await image?.stop()
})

test('helm install brings Berth up, and pods are rewritten through the Service', async () => {
  await waitUntilRewritten('app')
  await apply(podManifest({ name: 'app', image: 'app' }))

  expect((await waitForPodRunning('app')).spec.containers[0]?.image).toMatch(
    /^mirror\.example\/library\/app:latest@sha256:/,
  )
})

test('helm upgrade with another table restarts nothing, and puts it in force', async () => {
  const before = await podsOfComponent('webhook', namespace)
  const file = values({ apiVersion: 'berth.dev/v1alpha1', kind: 'BerthConfig' })
  await helmOk(['upgrade', 'berth', chart, '-n', namespace, '-f', file])
  await waitUntilUnchanged('app')

  expect(await podsOfComponent('webhook', namespace)).toEqual(before)
})

test('helm uninstall takes the registration away before what it calls: not one pod is refused', async () => {
  const pods = await startPodStream(['app'])
  await helmOk(['uninstall', 'berth', '-n', namespace])
  await waitFor('the last pod to go', async () => {
    return (await podsOfComponent('webhook', namespace)).length === 0
  })
  const { created, failures } = await pods.stop()

  expect(failures).toEqual([])
  expect(created).toBeGreaterThan(20)
  expect(
    await kubectlOk([
      'get',
      'mutatingwebhookconfigurations',
      '-l',
      'app.kubernetes.io/name=berth',
      '-o',
      'name',
    ]),
  ).toBe('')
})
