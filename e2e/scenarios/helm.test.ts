import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { createTestCertificate } from '../../test/support/registry-tls.ts'
import { waitUntilUnchanged, waitUntilRewritten } from '../harness/webhook.ts'
import { currentCluster } from '../harness/cluster.ts'
import { helmOk } from '../harness/helm.ts'
import { podsOfComponent, waitForRollout } from '../harness/install.ts'
import { apply, kubectlOk, remove, removeNamespaces } from '../harness/kubectl.ts'
import { chart } from '../harness/manifests.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { startPodStream } from '../harness/pod-stream.ts'
import { podManifest, waitForPodRunning } from '../harness/pods.ts'
import { startTinyproxy, type Tinyproxy } from '../harness/tinyproxy.ts'
import { waitFor } from '../harness/wait.ts'

/** Berth installed by Helm, in a namespace with another name, with failurePolicy Fail, and behind a forward proxy. */
const cluster = currentCluster()
const namespace = 'harbour'
let registries: MirrorAndUpstream
let forward: Tinyproxy
let certificate: string

/** Writes a values file with this config and returns its path. */
function writeValues(config: unknown): string {
  const file = join(cluster.runDir, 'values.json')
  const policy = { mirrors: ['mirror.example'] }
  const webhook = { failurePolicy: 'Fail' }
  const proxy = { secret: 'forward-proxy' }
  const configFiles = { 'ca.crt': certificate }
  writeFileSync(
    file,
    JSON.stringify({ config, configFiles, caBundle: certificate, policy, webhook, proxy }),
  )
  return file
}

beforeAll(async () => {
  certificate = (await createTestCertificate()).cert
  registries = await startMirrorAndUpstream('helm', cluster.podAddress)
  await registries.push(registries.mirror, 'library/app', 'latest')
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' }
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } })
  const { runDir, podAddress } = cluster
  forward = await startTinyproxy({ runDir, address: podAddress }, { name: 'helm', hosts: [] })
  await apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'forward-proxy', namespace },
    stringData: { HTTP_PROXY: `http://${forward.user}:${forward.password}@${forward.host}` },
  })
  const config = parse(registries.config) as { registries: { host: string }[] }
  // The mirror's own certificate would be from this CA. Berth does not start with a CA that it cannot read.
  const list = config.registries.map((each) =>
    each.host === 'mirror.example' ? { ...each, ca: 'ca.crt' } : each,
  )
  const file = writeValues({ ...config, registries: list })
  await helmOk(['install', 'berth', chart, '-n', namespace, '-f', file])
  await waitForRollout('berth-webhook', namespace)
  await waitForRollout('berth-controller', namespace)
})

afterAll(async () => {
  await remove('pod', 'app')
  await remove('mutatingwebhookconfiguration', 'berth')
  await removeNamespaces(namespace)
  await registries?.stop()
  await forward?.stop()
})

test('helm install starts Berth, and pods are rewritten through its Service, and registries asked through the proxy', async () => {
  await waitUntilRewritten('app')
  await apply(podManifest({ name: 'app', image: 'app' }))

  expect((await waitForPodRunning('app')).spec.containers[0]?.image).toMatch(
    /^mirror\.example\/library\/app:latest@sha256:/,
  )
  expect(await forward.requests()).toContainEqual(
    expect.stringMatching(/^HEAD http:\/\/\S+\/v2\/library\/app\/manifests\/latest$/),
  )
})

test('helm test passes: the config is valid in a pod, and the webhook answers', async () => {
  const output = await helmOk(['test', 'berth', '-n', namespace, '--timeout', '120s'])

  expect(output).toMatch(/Phase:\s+Succeeded/)
})

test('helm upgrade with another table takes effect without a restart', async () => {
  const before = await podsOfComponent('webhook', namespace)
  const file = writeValues({ apiVersion: 'berth.dev/v1alpha1', kind: 'BerthConfig' })
  await helmOk(['upgrade', 'berth', chart, '-n', namespace, '-f', file])
  await waitUntilUnchanged('app')

  expect(await podsOfComponent('webhook', namespace)).toEqual(before)
})

test('helm uninstall removes the registration first, so that no pod is rejected', async () => {
  const pods = await startPodStream(['app'])
  await pods.waitForPods(10)
  await helmOk(['uninstall', 'berth', '-n', namespace])
  await waitFor('the last pod to go', async () => {
    return (await podsOfComponent('webhook', namespace)).length === 0
  })
  await pods.waitForPods(10)
  const { failures } = await pods.stop()

  expect(failures).toEqual([])
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
