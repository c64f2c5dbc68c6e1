/**
 * Measures the memory of the controller with copies of pull secrets in a large cluster, against an API server in this process.
 * Takes a minute.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeObject } from '../src/kube/object.ts'
import { type RunningLoop, startPullSecretsLoop } from '../test/support/pull-secrets-loop.ts'
import { startScriptedApiServer } from '../test/support/scripted-api-server.ts'
import { startBenchController } from './lib/controller.ts'
import { megabytes } from './lib/numbers.ts'
import { printTable, progress } from './lib/report.ts'

interface Scene {
  readonly name: string
  readonly namespaces: number
  readonly accountsEach: number
  /** Registries in the source. */
  readonly registries: number
}

const scenes: readonly Scene[] = [
  { name: 'one namespace', namespaces: 1, accountsEach: 1, registries: 3 },
  { name: '2,000 namespaces', namespaces: 2_000, accountsEach: 5, registries: 3 },
  { name: 'a large source', namespaces: 80, accountsEach: 5, registries: 17_000 },
]

const upToDate = 'pull secrets up to date'

const config = `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullFailures: { report: false }
pullSecretCopies:
  copies:
    - { name: pull, from: [home/src], namespaces: ['app*'], serviceAccounts: ['*'] }
`

function source(registries: number, password: string): KubeObject {
  const auth = Buffer.from(`u:${password}`).toString('base64')
  const auths = Object.fromEntries(
    Array.from({ length: registries }, (_, index) => [`registry-${index}.example`, { auth }]),
  )
  return {
    metadata: { name: 'src', namespace: 'home', labels: { 'berth.dev/copy': 'allowed' } },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') },
  } as KubeObject
}

async function waitUntil(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await sleep(50)
}

async function measure({ name, namespaces, accountsEach, registries }: Scene): Promise<string[]> {
  progress(`controller memory: ${name}`)
  const server = await startScriptedApiServer({ isHttps: true })
  const { kube } = server
  const metadataOf = (each: string, namespace: string) => ({
    name: each,
    namespace,
    labels: { 'app.kubernetes.io/name': each, team: 'platform' },
  })
  kube.put('secrets', source(registries, 'one'))
  for (let index = 0; index < namespaces; index++) {
    kube.put('namespaces', { metadata: { name: `app-${index}`, labels: { team: 'platform' } } })
    for (let account = 0; account < accountsEach; account++)
      kube.put('serviceaccounts', { metadata: metadataOf(`account-${account}`, `app-${index}`) })
  }
  // Without a limit of writes, so that the controller finds everything done.
  const filling: RunningLoop = startPullSecretsLoop(kube, { copy: ", serviceAccounts: ['*']" })
  await waitUntil(() => filling.logged(upToDate).length > 0)
  await filling.stop()
  const controller = await startBenchController(server, { config })
  await controller.line(upToDate)
  await sleep(2_000)
  const [atRest, most] = [controller.memory('VmRSS'), controller.memory('VmHWM')]
  kube.put('secrets', source(registries, 'two'))
  await sleep(10_000)
  const rotation = controller.memory('VmHWM')
  controller.stop()
  await server.close()
  return [name, megabytes(atRest), megabytes(most), megabytes(rotation)]
}

const rows: string[][] = []
for (const scene of scenes) rows.push(await measure(scene))
printTable(['controller', 'RSS at rest', 'the most', 'the most in a rotation'], rows)
