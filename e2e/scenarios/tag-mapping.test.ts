import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Webhook, dryRunPod, startWebhook, waitUntilUnchanged } from '../harness/webhook.ts'
import { currentCluster } from '../harness/cluster.ts'
import { deleteManifest, pushImage } from '../harness/images.ts'
import { apply, createPullSecret, kubectlOk, remove, removeNamespaces } from '../harness/kubectl.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { getPod, waitForPodRunning, statefulSetManifest } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { waitFor } from '../harness/wait.ts'

/**
 * A StatefulSet names a tag that does not exist. Berth maps the tag, and the pod runs from the node's registry while the
 * StatefulSet stays unchanged.
 */
const cluster = currentCluster()
const binary = cluster.pauseBinary
const namespace = 'tag-mapping'
const dockerHubAccount = { username: 'me', password: 'secret' }
const requested = 'freeipa/freeipa-server:latest'

let mirror: Registry
let quay: Registry
let hub: Registry
let webhook: Webhook
let onMirror: string
let onQuay: string

beforeAll(async () => {
  mirror = await startRegistry(cluster, { name: 'freeipa-mirror' })
  quay = await startRegistry(cluster, { name: 'freeipa-quay' })
  hub = await startRegistry(cluster, {
    name: 'freeipa-hub',
    htpasswd: dockerHubAccount,
  })
  setNodeHost(cluster, 'localhost:5000', [mirror.url])
  setNodeHost(cluster, 'quay.io', [quay.url])
  setNodeHost(cluster, 'docker.io', [hub.url])
  const image = { tag: 'almalinux-9', binary }
  onMirror = await pushImage({
    ...image,
    registry: mirror.url,
    repository: 'freeipa-server',
    marker: 'mirror',
  })
  onQuay = await pushImage({
    ...image,
    registry: quay.url,
    repository: 'freeipa/freeipa-server',
    marker: 'quay',
  })
  await pushImage({
    registry: hub.url,
    repository: 'freeipa/freeipa-server',
    tag: 'latest',
    binary,
    marker: 'hub',
    auth: dockerHubAccount,
  })
  webhook = await startWebhook({ name: 'freeipa', config: config(), canary: requested })
  await kubectlOk(['create', 'namespace', namespace])
})

afterAll(async () => {
  await webhook?.stop()
  await removeNamespaces(namespace)
  for (const host of ['localhost:5000', 'quay.io', 'docker.io']) removeNodeHost(cluster, host)
  await Promise.all([mirror, quay, hub].map((registry) => registry?.stop()))
})

function config(): string {
  return `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: 'localhost:5000', endpoint: '${mirror.url}', mirror: true }
  - { host: quay.io, endpoint: '${quay.url}' }
fallback:
  - name: freeipa
    images: [docker.io/freeipa/freeipa-server]
    tags: { latest: almalinux-9 }
    try: ['localhost:5000/{name}', 'quay.io/{path}']
pin: { tags: [latest] }
`
}

async function image(): Promise<string | undefined> {
  const pod = await waitForPodRunning('freeipa-0', namespace)
  return pod.spec.containers[0]?.image
}

async function replacePod(): Promise<void> {
  const { uid } = (await getPod('freeipa-0', namespace)).metadata
  await remove('pod', 'freeipa-0', namespace)
  await waitFor(
    'the next freeipa-0',
    async () => (await getPod('freeipa-0', namespace)).metadata.uid !== uid,
  )
}

test('the pod runs from the mirror, with the mapped tag and a digest', async () => {
  await apply(
    statefulSetManifest({
      name: 'freeipa',
      namespace,
      container: 'freeipa-server',
      image: requested,
    }),
  )
  await waitFor('freeipa-0', () => getPod('freeipa-0', namespace))

  expect(await image()).toBe(`localhost:5000/freeipa-server:almalinux-9@${onMirror}`)
})

test('the StatefulSet is unchanged', async () => {
  const template = await kubectlOk([
    'get',
    'statefulset',
    'freeipa',
    '-n',
    namespace,
    '-o',
    'jsonpath={.spec.template.spec.containers[0].image}',
  ])

  expect(template).toBe(requested)
})

test('the next pod runs from quay.io after the image was deleted from the mirror', async () => {
  await deleteManifest({ registry: mirror.url, repository: 'freeipa-server' }, onMirror)
  // A found tag is cached for half a minute; a reload starts with an empty cache.
  await webhook.reload(`${config()}# emptied\n`)
  await replacePod()

  expect(await image()).toBe(`quay.io/freeipa/freeipa-server:almalinux-9@${onQuay}`)
})

test('a namespace that opts out pulls the original image with its own pull secret', async () => {
  await kubectlOk(['label', 'namespace', namespace, 'berth.dev/rewrite=disabled'])
  await waitUntilUnchanged(requested, namespace)
  await createPullSecret('dockerhub-creds', {
    namespace,
    server: 'https://index.docker.io/v1/',
    account: dockerHubAccount,
  })
  const patch = { imagePullSecrets: [{ name: 'dockerhub-creds' }] }
  await kubectlOk([
    'patch',
    'serviceaccount',
    'default',
    '-n',
    namespace,
    '-p',
    JSON.stringify(patch),
  ])
  await waitFor('the pull secret in new pods', async () => {
    const { spec } = await dryRunPod(requested, namespace)
    return spec.imagePullSecrets?.length === 1
  })
  await replacePod()

  expect(await image()).toBe(requested)
})
