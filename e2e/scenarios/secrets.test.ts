import { afterAll, beforeAll, expect, test } from 'vitest'
import { currentCluster } from '../harness/cluster.ts'
import { type Controller, startController } from '../harness/controller.ts'
import { pushImage } from '../harness/images.ts'
import { apply, getJson, kubectlOk, remove } from '../harness/kubectl.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { podManifest, podRunning } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { waitFor } from '../harness/wait.ts'

/** Copies of a pull secret: seen to make a kubelet's pull succeed, whichever comes first. */
const cluster = currentCluster()
const account = { username: 'puller', password: 'canary-9b1d:with-colon' }
const host = 'private.example'
const home = 'berth-secrets'

type Account = { imagePullSecrets?: { name: string }[]; metadata: { resourceVersion: string } }
type Secret = {
  type: string
  data: Record<string, string>
  metadata: { uid: string; resourceVersion: string; annotations: Record<string, string> }
}

let registry: Registry
let controller: Controller

const config = `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullSecretCopies:
  copies:
    - name: berth-pull
      from: [${home}/source]
      namespaces: ['sec-*']
`

async function putSource(password: string): Promise<void> {
  const auth = Buffer.from(`${account.username}:${password}`).toString('base64')
  await apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'source', namespace: home, labels: { 'berth.dev/copy': 'allowed' } },
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': JSON.stringify({ auths: { [host]: { auth } } }) },
  })
}

beforeAll(async () => {
  registry = await startRegistry(cluster, { name: 'secrets', htpasswd: account })
  setNodeHost(cluster, host, [registry.url])
  await pushImage({
    registry: registry.url,
    repository: 'team/app',
    tag: '1',
    binary: cluster.pauseBinary,
    marker: 'secrets',
    auth: account,
  })
  await kubectlOk(['create', 'namespace', home])
  await putSource(account.password)
  controller = await startController({
    name: 'secrets',
    namespace: home,
    config,
    kubeconfig: cluster.kubeconfig,
  })
})

afterAll(async () => {
  await controller?.stop()
  await kubectlOk(['delete', 'namespace', home, '--wait=false'])
  removeNodeHost(cluster, host)
  await registry?.stop()
})

function linked(namespace: string, name = 'default'): Promise<Account> {
  return waitFor(`the link in ${namespace}/${name}`, async () => {
    const found = await getJson<Account>('serviceaccount', name, namespace)
    return found.imagePullSecrets?.some((entry) => entry.name === 'berth-pull') ? found : undefined
  })
}

test('a new namespace has the secret, its default service account names it, and a pod runs', async () => {
  await kubectlOk(['create', 'namespace', 'sec-a'])
  await linked('sec-a')
  await apply(podManifest({ name: 'app', image: `${host}/team/app:1`, namespace: 'sec-a' }))
  await podRunning('app', 'sec-a')

  const copy = await getJson<Secret>('secret', 'berth-pull', 'sec-a')
  const source = await getJson<Secret>('secret', 'source', home)
  expect(copy.data).toEqual(source.data)
  expect(copy.metadata.annotations['berth.dev/source-uid']).toBe(source.metadata.uid)
  await remove('namespace', 'sec-a')
})
