import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { untilLeftAlone, untilRewritten } from '../harness/berth.ts'
import { currentCluster } from '../harness/cluster.ts'
import { helmOk } from '../harness/helm.ts'
import {
  type ImageRegistry,
  makeCertificate,
  podsBehind,
  publishImage,
  rolledOut,
  whileCreatingPods,
} from '../harness/install.ts'
import { apply, kubectlOk, remove } from '../harness/kubectl.ts'
import { chart } from '../harness/manifests.ts'
import { type MirrorAndHub, startMirrorAndHub } from '../harness/mirror-and-hub.ts'
import { podManifest, podRunning } from '../harness/pods.ts'

/** The same by Helm, in a namespace of another name, and with a webhook that pods may not do without. */
const cluster = currentCluster()
const namespace = 'harbour'
let image: ImageRegistry
let registries: MirrorAndHub
let values: string

beforeAll(async () => {
  image = await publishImage('0.1.0')
  registries = await startMirrorAndHub('helm', cluster.podAddress)
  await registries.push(registries.mirror, 'library/app', 'latest')
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' }
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } })
  values = join(cluster.runDir, 'values.json')
  writeFileSync(
    values,
    JSON.stringify({
      config: parse(registries.config),
      policy: { mirrors: ['mirror.example'] },
      webhook: { failurePolicy: 'Fail' },
      certificate: { caBundle: await makeCertificate(namespace) },
    }),
  )
  await helmOk(['install', 'berth', chart, '-n', namespace, '-f', values])
  await rolledOut('berth-webhook', namespace)
  await rolledOut('berth-controller', namespace)
})

afterAll(async () => {
  await remove('pod', 'app')
  await remove('mutatingwebhookconfiguration', 'berth')
  await remove('namespace', namespace)
  await registries?.stop()
  await image?.stop()
})

test('helm install brings Berth up, and pods are rewritten through the Service', async () => {
  await untilRewritten('app')
  await apply(podManifest({ name: 'app', image: 'app' }))

  expect((await podRunning('app')).spec.containers[0]?.image).toMatch(
    /^mirror\.example\/library\/app:latest@sha256:/,
  )
})

test('helm upgrade with another table restarts nothing, and puts it in force', async () => {
  const before = await podsBehind('webhook', namespace)
  await helmOk([
    'upgrade',
    'berth',
    chart,
    '-n',
    namespace,
    '-f',
    values,
    '--set',
    'config.fallback=null',
    '--set',
    'config.pin=null',
  ])
  await untilLeftAlone('app')

  expect(await podsBehind('webhook', namespace)).toEqual(before)
})

test('helm uninstall takes the registration away before what it calls: not one pod is refused', async () => {
  const { created, failures } = await whileCreatingPods('app', () =>
    helmOk(['uninstall', 'berth', '-n', namespace, '--wait']),
  )

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
