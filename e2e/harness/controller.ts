/** `berth controller` as a process on this machine, with the kubeconfig of a service account. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { currentCluster } from './cluster.ts'
import { createKubeconfig } from './kubeconfig.ts'
import { apply } from './kubectl.ts'
import { berthMain } from './paths.ts'
import { freePort } from './ports.ts'
import {
  exitReason,
  jsonLines,
  killProcess,
  logFile,
  startProcess,
  stopProcess,
} from './processes.ts'
import { waitFor } from './wait.ts'

export type ControllerOptions = {
  name: string
  /** The namespace of its Lease. */
  namespace: string
  /** Default: berth-controller, the one that its account may use. */
  lease?: string
  /** The text of the config file. */
  config: string
  kubeconfig: string
  /** The entry point. Default: the sources. */
  program?: string
  nodeOptions?: readonly string[]
  env?: Record<string, string>
  logLevel?: 'debug'
}

export type Controller = {
  /** Returns the metrics in Prometheus' text format. */
  metrics(): Promise<string>
  /** Returns the log so far, one object per line. */
  log(): Record<string, unknown>[]
  /** Returns everything that the process has written. */
  output(): string
  /** Writes another config, which the controller loads when it notices the change. */
  configure(config: string): void
  pid: number
  /** Ends the process as a crash does: the Lease stays held. */
  kill(): Promise<void>
  stop(): Promise<void>
}

/** Starts a controller and returns when it is the leader. */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const { name, namespace, config, kubeconfig, program = berthMain, nodeOptions = [] } = options
  const { env = {}, logLevel = 'info', lease = 'berth-controller' } = options
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
      `--config=${configFile}`,
      `--kubeconfig=${kubeconfig}`,
      `--namespace=${namespace}`,
      `--lease=${lease}`,
      `--host=${address}`,
      `--metrics-port=${metricsPort}`,
      `--log-level=${logLevel}`,
    ],
    env,
  })
  const metrics = async () => (await fetch(`http://${address}:${metricsPort}/metrics`)).text()
  const isLeader = async () => (await metrics()).includes('berth_controller_leader 1')
  await waitFor(`controller ${name} to lead`, isLeader, { stopReason: exitReason(runDir, record) })
  return {
    metrics,
    log: () => jsonLines(logFile(runDir, record.name)),
    output: () => readFileSync(logFile(runDir, record.name), 'utf8'),
    configure: (text) => writeFileSync(configFile, text),
    pid: record.pid,
    kill: () => killProcess(record),
    stop: async () => {
      await stopProcess(runDir, record)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** The rights of every controller in its namespace, as in deploy/base/controller.yaml. */
const baseRules = [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    verbs: ['get', 'update'],
    resourceNames: ['berth-controller'],
  },
  { apiGroups: [''], resources: ['events'], verbs: ['create'] },
]

/** Creates the service account `berth-controller` with the base rights and these rules; returns its kubeconfig. */
export async function createControllerAccount(
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
