import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Webhook, dryRunPod, startWebhook } from '../harness/webhook.ts'
import { createNamespace, kubectl, kubectlOk, removeNamespaces } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { getPod, waitForPodRunning } from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'

/** The unchanged manifest of a bare pod is applied again, while the tag moves and the mirror stops. The container keeps running. */
const namespace = 'again'
const clients = [
  ['client-side', ['apply']],
  ['server-side', ['apply', '--server-side', '--field-manager=one']],
] as const
const nameOf = (client: string) => `app-${client}`
let registries: MirrorAndUpstream
let webhook: Webhook
let first: string
let second: string

beforeAll(async () => {
  registries = await startMirrorAndUpstream('again')
  first = await registries.push(registries.mirror, 'library/app', 'latest', 'first')
  await registries.push(registries.upstream, 'library/app', 'latest', 'upstream')
  await registries.push(registries.mirror, 'library/other', '1')
  webhook = await startWebhook({ name: 'again', config: registries.config, canary: 'app' })
  await createNamespace(namespace)
})

afterAll(async () => {
  await webhook?.stop()
  await removeNamespaces(namespace)
  await registries?.stop()
})

/** The manifest sets a pull policy, which a rule of the config replaces. */
function manifest(name: string, image = 'app'): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'main', image, imagePullPolicy: 'Always' }],
    },
  })
}

function run(command: readonly string[], text: string): Promise<string> {
  return kubectlOk([...command, '-f', '-'], { input: text })
}

/** What a restart or a new image would change. */
async function stateOf(name: string): Promise<object> {
  const pod = await getPod(name, namespace)
  const { image, imagePullPolicy } = pod.spec.containers[0] ?? {}
  return {
    uid: pod.metadata.uid,
    image,
    imagePullPolicy,
    record: pod.metadata.annotations?.['berth.dev/images'],
    containers: pod.status.containerStatuses?.map(({ containerID, restartCount }) => [
      containerID,
      restartCount,
    ]),
  }
}

const onMirror = (digest: string) => `mirror.example/library/app:latest@${digest}`
const states = new Map<string, object>()

async function currentStates(): Promise<Map<string, object>> {
  const names = [...states.keys()]
  return new Map(await Promise.all(names.map(async (name) => [name, await stateOf(name)] as const)))
}

test.each(clients)('a pod starts from the mirror, %s', async (client, command) => {
  const name = nameOf(client)
  await run(command, manifest(name))
  await waitForPodRunning(name, namespace)
  states.set(name, await stateOf(name))

  expect(states.get(name)).toMatchObject({
    image: onMirror(first),
    imagePullPolicy: 'IfNotPresent',
    containers: [[expect.any(String), 0]],
  })
})

test('the pods keep running when they are applied after the tag has moved', async () => {
  second = await registries.push(registries.mirror, 'library/app', 'latest', 'second')
  await waitFor(
    'new pods with the moved tag',
    async () => (await dryRunPod('app')).spec.containers[0]?.image === onMirror(second),
  )
  for (const [client, command] of clients) await run(command, manifest(nameOf(client)))

  expect(second).not.toBe(first)
  expect(await currentStates()).toEqual(states)
})

test('the pods keep running when they are applied while the mirror is stopped, and after it is back', async () => {
  await registries.mirror.stop()
  await waitFor('new pods without the mirror', async () =>
    (await dryRunPod('app')).spec.containers[0]?.image.startsWith('docker.io/'),
  )
  for (const [client, command] of clients) await run(command, manifest(nameOf(client)))
  expect(await currentStates()).toEqual(states)
  await registries.mirror.start()
  await waitFor(
    'new pods from the mirror',
    async () => (await dryRunPod('app')).spec.containers[0]?.image === onMirror(second),
  )
  for (const [client, command] of clients) await run(command, manifest(nameOf(client)))

  expect(await currentStates()).toEqual(states)
})

test('kubectl diff shows no difference', async () => {
  for (const [client, [, ...options]] of clients) {
    const { stdout, stderr, code } = await kubectl(['diff', ...options, '-f', '-'], {
      input: manifest(nameOf(client)),
    })

    expect({ client, stdout, stderr, code }).toEqual({ client, stdout: '', stderr: '', code: 0 })
  }
})

test('the pod keeps running when another field manager applies it', async () => {
  const command = ['apply', '--server-side', '--field-manager=two']
  const name = nameOf('server-side')
  const conflict = await kubectl([...command, '-f', '-'], { input: manifest(name) })
  await run([...command, '--force-conflicts'], manifest(name))
  await run(command, manifest(name))

  expect(conflict.stderr).toContain('.spec.containers[name="main"].image')
  expect(await currentStates()).toEqual(states)
})

test('another image is still decided by the table', async () => {
  const name = nameOf('client-side')
  await run(['apply'], manifest(name, 'other:1'))
  const { spec } = await getPod(name, namespace)

  expect(spec.containers[0]?.image).toBe('mirror.example/library/other:1')
})
