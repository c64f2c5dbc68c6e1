/**
 * Measures the memory of the controller with copies of pull secrets in a large cluster, against an API server in this process.
 * Takes a minute.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeObject } from '../src/kube/object.ts'
import { type RunningLoop, startPullSecretsLoop } from '../test/support/pull-secrets-loop.ts'
import { startScriptedApiServer } from '../test/support/scripted-api-server.ts'
import { bundle } from '../tools/bundle.ts'
import { megabytes } from './lib/numbers.ts'
import { printTable, progress } from './lib/report.ts'
import { repository } from './lib/workspace.ts'

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

/** Half of the memory limit in deploy/base, as the entry point of the image sets it. */
const nodeOptions = ['--max-old-space-size=192', '--max-semi-space-size=4']

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

function memoryOf({ pid }: ChildProcess, field: 'VmRSS' | 'VmHWM'): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`${field}:\\s+(\\d+)`).exec(text)?.[1] ?? 0) * 1_024
}

/** Builds the program as the image contains it. */
async function buildController(directory: string): Promise<string> {
  const out = join(directory, 'dist')
  await bundle(repository, { controller: 'bench/lib/controller-process.ts' }, out)
  for (const name of ['webhook-config', 'package.json'])
    symlinkSync(join(repository, name), join(directory, name))
  return join(out, 'controller.js')
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
  const directory = mkdtempSync(join(tmpdir(), 'berth-bench-'))
  writeFileSync(join(directory, 'berth.yaml'), config)
  writeFileSync(join(directory, 'token'), 'token')
  writeFileSync(join(directory, 'ca.crt'), server.ca ?? '')
  writeFileSync(join(directory, 'namespace'), 'home')
  const { hostname, port } = new URL(server.url)
  const controller = spawn(
    process.execPath,
    [...nodeOptions, await buildController(directory), directory],
    {
      stdio: ['ignore', 'inherit', 'pipe'],
      env: { HOME: directory, KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port },
    },
  )
  const lines: string[] = []
  createInterface({ input: controller.stderr }).on('line', (line) => lines.push(line))
  await waitUntil(
    () => lines.some((line) => line.includes(upToDate)) || controller.exitCode !== null,
  )
  await sleep(2_000)
  const [atRest, most] = [memoryOf(controller, 'VmRSS'), memoryOf(controller, 'VmHWM')]
  kube.put('secrets', source(registries, 'two'))
  await sleep(10_000)
  const rotation = memoryOf(controller, 'VmHWM')
  controller.kill()
  await server.close()
  rmSync(directory, { recursive: true })
  return [name, megabytes(atRest), megabytes(most), megabytes(rotation)]
}

const rows: string[][] = []
for (const scene of scenes) rows.push(await measure(scene))
printTable(['controller', 'RSS at rest', 'the most', 'the most in a rotation'], rows)
