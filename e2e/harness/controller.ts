/** `berth controller` as a process on this machine, with a kubeconfig of an account of its own. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { currentCluster } from './cluster.ts'
import { apply, kubectlOk } from './kubectl.ts'
import { freePort } from './ports.ts'
import {
  exitReason,
  killProcess,
  jsonLines,
  logFile,
  startProcess,
  stopProcess,
} from './processes.ts'
import { waitFor } from './wait.ts'

export type ControllerOptions = {
  name: string
  /** Where its Lease is. */
  namespace: string
  config: string
  kubeconfig: string
  /** What is run; the sources, when left out. */
  program?: string
  nodeOptions?: readonly string[]
  env?: Record<string, string>
  logLevel?: 'debug'
}

export type Controller = {
  metrics(): Promise<string>
  log(): Record<string, unknown>[]
  /** Everything that it has written to its log. */
  output(): string
  /** Writes another config; it takes effect by itself. */
  configure(config: string): void
  pid: number
  /** Ends it as a crash does: the Lease stays taken. */
  kill(): Promise<void>
  stop(): Promise<void>
}

const main = join(fileURLToPath(new URL('../../', import.meta.url)), 'src/main.ts')

/** Starts it, and returns when it leads. */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const { name, namespace, config, kubeconfig, program = main, nodeOptions = [] } = options
  const { env = {}, logLevel = 'info' } = options
  const { runDir, address } = currentCluster()
  const directory = join(runDir, `controller-${name}`)
  mkdirSync(directory, { recursive: true })
  const configFile = join(directory, 'berth.yaml')
  writeFileSync(configFile, config)
  const metricsPort = await freePort(address)
  const record = await startProcess(runDir, {
    name: `controller-${name}`,
    command: process.execPath,
    args: [
      ...nodeOptions,
      program,
      'controller',
      '--config',
      configFile,
      '--kubeconfig',
      kubeconfig,
      '--namespace',
      namespace,
      '--lease',
      `controller-${name}`,
      '--host',
      address,
      '--metrics-port',
      String(metricsPort),
      '--log-level',
      logLevel,
    ],
    env,
  })
  const metrics = async () => (await fetch(`http://${address}:${metricsPort}/metrics`)).text()
  await waitFor(
    `controller ${name} to lead`,
    async () => (await metrics()).includes('berth_controller_leader 1'),
    { stopReason: exitReason(runDir, record) },
  )
  const output = () => readFileSync(logFile(runDir, record.name), 'utf8')
  return {
    metrics,
    output,
    pid: record.pid,
    log: () => jsonLines(logFile(runDir, record.name)),
    configure: (text) => writeFileSync(configFile, text),
    kill: () => killProcess(record),
    stop: async () => {
      await stopProcess(runDir, record)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** What every controller may do in its namespace, as in deploy/base/controller.yaml. */
const baseRules = [
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: ['get', 'create', 'update'],
  },
  { apiGroups: [''], resources: ['events'], verbs: ['create'] },
]

/** Makes the account `berth-controller` with these rules in its namespace, beside those of every controller; its kubeconfig. */
export async function controllerAccount(
  namespace: string,
  rules: readonly object[] = [],
): Promise<string> {
  const metadata = { name: 'berth-controller', namespace }
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  await apply([
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    { apiVersion, kind: 'Role', metadata, rules: [...baseRules, ...rules] },
    {
      apiVersion,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: metadata.name },
      subjects: [{ kind: 'ServiceAccount', ...metadata }],
    },
  ])
  return createKubeconfig(metadata.name, namespace)
}

/** A kubeconfig for a service account that is there already. */
export async function createKubeconfig(account: string, namespace: string): Promise<string> {
  const { runDir } = currentCluster()
  const token = (await kubectlOk(['create', 'token', account, '-n', namespace])).trim()
  const admin = JSON.parse(
    await kubectlOk(['config', 'view', '--raw', '--flatten', '--output=json']),
  ) as { clusters: [{ name: string }] }
  const context = { cluster: admin.clusters[0].name, user: account, namespace }
  const file = join(runDir, `${namespace}-${account}.kubeconfig`)
  writeFileSync(
    file,
    JSON.stringify({
      ...admin,
      users: [{ name: account, user: { token } }],
      contexts: [{ name: account, context }],
      'current-context': account,
    }),
    { mode: 0o600 },
  )
  return file
}
