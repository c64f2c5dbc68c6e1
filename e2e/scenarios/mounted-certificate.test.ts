import { afterAll, beforeAll, expect, test } from 'vitest'
import { waitUntilRewritten } from '../harness/webhook.ts'
import { currentCluster } from '../harness/cluster.ts'
import {
  applyKustomization,
  type ImageRegistry,
  createServingCertificate,
  namespace,
  publishBerthImage,
  waitForRollout,
  setCaBundle,
  writeOverlay,
} from '../harness/install.ts'
import { apply, kubectl, kubectlOk } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'

/** The form that may write nothing: somebody else makes the certificate, and the webhook has no right and no token. */
const cluster = currentCluster()
let image: ImageRegistry
let registries: MirrorAndUpstream
let overlay: string
let caBundle: string

beforeAll(async () => {
  image = await publishBerthImage('0.1.0')
  registries = await startMirrorAndUpstream('mounted', cluster.podAddress)
  await registries.push(registries.mirror, 'library/app', 'latest')
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  caBundle = await createServingCertificate()
  overlay = writeOverlay('mounted', {
    base: 'deploy/base',
    files: { 'berth.yaml': registries.config },
    components: ['mounted-certificate'],
  })
  await applyKustomization(overlay)
  await setCaBundle(caBundle)
  await waitForRollout()
})

afterAll(async () => {
  await kubectlOk(['delete', '-k', overlay, '--ignore-not-found'])
  await registries?.stop()
  await image?.stop()
})

test('pods are rewritten by a webhook with the certificate of `berth certs`, which leaves the caBundles as they are', async () => {
  await waitUntilRewritten('app')
  const bundles = 'jsonpath={.webhooks[*].clientConfig.caBundle}'
  const live = await kubectlOk(['get', 'mutatingwebhookconfiguration', 'berth', '-o', bundles])

  expect(live).toBe(`${caBundle} ${caBundle}`)
})

test('its account may do nothing, and its pods have no token', async () => {
  const as = `--as=system:serviceaccount:${namespace}:berth-webhook`
  const may = (...what: string[]) => kubectl(['auth', 'can-i', ...what, '-n', namespace, as])
  const token = "fs.existsSync('/var/run/secrets/kubernetes.io/serviceaccount/token')"
  const pod = ['exec', '-n', namespace, 'deployment/berth-webhook', '--']
  const { stdout } = await kubectl([...pod, '/nodejs/bin/node', '-p', token])

  expect((await may('create', 'secrets')).stdout.trim()).toBe('no')
  expect((await may('patch', 'mutatingwebhookconfigurations/berth')).stdout.trim()).toBe('no')
  expect(stdout.trim()).toBe('false')
})
