/** `berth controller` as a process on this machine, with an account that has these rights and no other. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { currentCluster } from './cluster.ts'
import { apply, kubectlOk } from './kubectl.ts'
import { freePort } from './ports.ts'
import { endOf, linesOf, logFile, startProcess, stopProcess } from './processes.ts'
import { waitFor } from './wait.ts'

export type ControllerOptions = {
  name: string
  /** The config file's text. */
  config: string
  /** Berth's own namespace, which is there already. */
  namespace: string
  /** The rules of its Role in that namespace, beside those for its Lease. */
  rules: readonly object[]
  env?: Record<string, string>
}

export type Controller = {
  metrics(): Promise<string>
  log(): Record<string, unknown>[]
  stop(): Promise<void>
}

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** Starts it and returns when it leads. */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const { name, config, namespace, rules, env = {} } = options
  const { runDir, address } = currentCluster()
  const directory = join(runDir, `controller-${name}`)
  mkdirSync(directory, { recursive: true })
  const configFile = join(directory, 'berth.yaml')
  writeFileSync(configFile, config)
  const kubeconfig = await accountOf(directory, namespace, rules)
  const port = await freePort(address)
  const record = await startProcess(runDir, {
    name: `controller-${name}`,
    command: process.execPath,
    args: [
      main,
      'controller',
      '--config',
      configFile,
      '--kubeconfig',
      kubeconfig,
      '--namespace',
      namespace,
      '--host',
      address,
      '--metrics-port',
      String(port),
      '--log-level',
      'debug',
    ],
    env,
  })
  const metrics = async () => (await fetch(`http://${address}:${port}/metrics`)).text()
  await waitFor(
    `controller ${name} to lead`,
    async () => (await metrics()).includes('berth_controller_leader 1'),
    { giveUp: endOf(runDir, record) },
  )
  return {
    metrics,
    log: () => linesOf(logFile(runDir, record.name)),
    stop: async () => {
      await stopProcess(runDir, record)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function accountOf(
  directory: string,
  namespace: string,
  rules: readonly object[],
): Promise<string> {
  const metadata = { name: 'berth-controller', namespace }
  const leases = {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: ['get', 'create', 'update'],
  }
  await apply([
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata,
      rules: [leases, ...rules],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: metadata.name },
      subjects: [{ kind: 'ServiceAccount', ...metadata }],
    },
  ])
  const token = await kubectlOk(['create', 'token', metadata.name, `--namespace=${namespace}`])
  const admin = JSON.parse(
    await kubectlOk(['config', 'view', '--raw', '--flatten', '--output=json']),
  ) as { clusters: [{ name: string }] }
  const user = metadata.name
  const file = join(directory, 'kubeconfig.json')
  const context = { cluster: admin.clusters[0].name, user }
  const own = {
    ...admin,
    users: [{ name: user, user: { token: token.trim() } }],
    contexts: [{ name: user, context }],
    'current-context': user,
  }
  writeFileSync(file, JSON.stringify(own), { mode: 0o600 })
  return file
}
