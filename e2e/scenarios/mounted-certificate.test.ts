import { afterAll, beforeAll, expect, test } from 'vitest'
import { waitUntilRewritten } from '../harness/webhook.ts'
import { currentCluster } from '../harness/cluster.ts'
import {
  applyKustomization,
  createServingCertificate,
  readCaBundles,
  waitForRollout,
  setCaBundle,
} from '../harness/install.ts'
import { apply, kubectl, kubectlOk } from '../harness/kubectl.ts'
import { namespace, writeOverlay } from '../harness/overlay.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'

/** The component mounted-certificate: another tool creates the certificate, and the webhook has neither rights nor a token. */
const cluster = currentCluster()
let registries: MirrorAndUpstream
let overlay: string
let caBundle: string

beforeAll(async () => {
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
})

test('a webhook with a certificate of `berth certs` rewrites pods and does not change the caBundles', async () => {
  await waitUntilRewritten('app')

  expect(await readCaBundles()).toBe(`${caBundle} ${caBundle}`)
})

test('the service account has no rights, and the pods have no token', async () => {
  const as = `--as=system:serviceaccount:${namespace}:berth-webhook`
  const canI = (...what: string[]) => kubectl(['auth', 'can-i', ...what, '-n', namespace, as])
  const token = "fs.existsSync('/var/run/secrets/kubernetes.io/serviceaccount/token')"
  const pod = ['exec', '-n', namespace, 'deployment/berth-webhook', '--']
  const { stdout } = await kubectl([...pod, '/nodejs/bin/node', '-p', token])

  expect((await canI('create', 'secrets')).stdout.trim()).toBe('no')
  expect((await canI('patch', 'mutatingwebhookconfigurations/berth')).stdout.trim()).toBe('no')
  expect(stdout.trim()).toBe('false')
})
