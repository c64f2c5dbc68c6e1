/** `berth serve` as a process on this machine, registered with the cluster's API server by URL. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startBalancer } from './balancer.ts'
import { currentCluster } from './cluster.ts'
import { runOk } from './command.ts'
import { createKubeconfig } from './kubeconfig.ts'
import { apply, kubectlOk } from './kubectl.ts'
import { berthMain } from './paths.ts'
import { freePorts } from './ports.ts'
import { type Pod, podManifest } from './pods.ts'
import {
  exitReason,
  jsonLines,
  logFile,
  type ProcessRecord,
  startProcess,
  stopProcess,
} from './processes.ts'
import { waitFor } from './wait.ts'

export type WebhookOptions = {
  name: string
  /** The text of the config file. */
  config: string
  /** An image that the config rewrites. When the API server returns it rewritten, the registration is in effect. */
  canary: string
  /** Default: that of a service account with the rights in `defaultRules`. */
  kubeconfig?: string
  /** More arguments of `berth serve`. */
  args?: readonly string[]
  /** How many processes answer the API server, in turn. Default 1. */
  replicas?: number
}

export type Webhook = {
  /** The address of the reviews' port, and the PEM of its CA. */
  url: string
  ca: string
  /** Returns the metrics of the first process in Prometheus' text format. */
  metrics(): Promise<string>
  /** Returns the log of the first process so far, one object per line. */
  log(): Record<string, unknown>[]
  /** Writes another config and waits until it is in effect. Nothing is cached afterwards. */
  reload(config: string): Promise<void>
  /** Writes an invalid config and waits until the process has rejected it. */
  breakConfig(): Promise<void>
  /** Stops the process and leaves the registration, as a crash does. */
  kill(): Promise<void>
  /** Removes the registration and stops the process. */
  stop(): Promise<void>
}

/** Starts `berth serve` with its own certificates and registers it. Returns when the API server calls it. */
export async function startWebhook(options: WebhookOptions): Promise<Webhook> {
  const { name, config, canary, replicas: count = 1 } = options
  const { runDir, address } = currentCluster()
  const directory = join(runDir, `webhook-${name}`)
  mkdirSync(directory, { recursive: true })
  const configFile = join(directory, 'berth.yaml')
  writeFileSync(configFile, config)
  const [publicPort = 0, ...ports] = await freePorts(1 + 2 * count, address)
  const certificates = join(directory, 'certs')
  const url = `https://${address}:${publicPort}`
  await runOk(process.execPath, [
    berthMain,
    'certs',
    '--out',
    certificates,
    '--force',
    '--url',
    url,
  ])
  const pem = (file: string) => readFileSync(join(certificates, file), 'utf8')
  const kubeconfig = options.kubeconfig ?? (await createDefaultAccount())
  const reviewPorts = count === 1 ? [publicPort] : ports.slice(0, count)
  const replicas = await Promise.all(
    reviewPorts.map((port, index) =>
      startReplica({ ...options, kubeconfig }, directory, {
        name: index === 0 ? `webhook-${name}` : `webhook-${name}-${index}`,
        port,
        metricsPort: ports[count + index] ?? 0,
      }),
    ),
  )
  const tls = { cert: pem('tls.crt'), key: pem('tls.key'), ca: pem('ca.crt') }
  const balancer =
    count === 1
      ? null
      : await startBalancer({ address, port: publicPort, ports: reviewPorts, ...tls })
  const [{ record, metrics, stopReason }] = replicas as [Replica]
  await apply(pem('mutating-webhook.yaml'))
  await waitUntilRewritten(canary)
  const stopAll = () => Promise.all(replicas.map((each) => stopProcess(runDir, each.record)))
  return {
    url,
    ca: tls.ca,
    metrics,
    log: () => jsonLines(logFile(runDir, record.name)),
    reload: async (text) => {
      const generations = await Promise.all(replicas.map((each) => configGeneration(each.metrics)))
      writeFileSync(configFile, text)
      for (const [index, each] of replicas.entries()) {
        const isLoaded = async () =>
          (await configGeneration(each.metrics)) > (generations[index] ?? 0)
        await waitFor('the new config', isLoaded, { stopReason: each.stopReason })
      }
    },
    breakConfig: async () => {
      writeFileSync(configFile, 'kind: Nothing\n')
      const isRejected = async () =>
        (await metrics()).includes('berth_config_last_reload_successful 0')
      await waitFor('the rejection of the config', isRejected, { stopReason })
    },
    kill: async () => void (await stopAll()),
    stop: async () => {
      await kubectlOk(['delete', 'mutatingwebhookconfiguration', 'berth', '--ignore-not-found'])
      await waitUntilUnchanged(canary)
      await stopAll()
      await balancer?.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

type Replica = {
  record: ProcessRecord
  metrics: () => Promise<string>
  stopReason: () => string | undefined
}

/** Starts one process. Returns when it is ready. */
async function startReplica(
  { kubeconfig, args = [] }: WebhookOptions & { kubeconfig: string },
  directory: string,
  { name, port, metricsPort }: { name: string; port: number; metricsPort: number },
): Promise<Replica> {
  const { runDir, address } = currentCluster()
  const record = await startProcess(runDir, {
    name,
    command: process.execPath,
    args: [
      berthMain,
      'serve',
      `--config=${join(directory, 'berth.yaml')}`,
      `--host=${address}`,
      `--port=${port}`,
      `--metrics-port=${metricsPort}`,
      `--kubeconfig=${kubeconfig}`,
      `--tls-cert=${join(directory, 'certs', 'tls.crt')}`,
      `--tls-key=${join(directory, 'certs', 'tls.key')}`,
      '--drain-seconds=0',
      '--log-level=debug',
      ...args,
    ],
  })
  const stopReason = exitReason(runDir, record)
  const metricsUrl = `http://${address}:${metricsPort}`
  await waitFor(`berth serve (${name})`, async () => (await fetch(`${metricsUrl}/readyz`)).ok, {
    stopReason,
  })
  return { record, stopReason, metrics: async () => (await fetch(`${metricsUrl}/metrics`)).text() }
}

/** All rights that the webhook uses, which are optional: listing pods, reading service accounts and checking for two Secrets. */
const defaultRules = [
  { apiGroups: [''], resources: ['pods'], verbs: ['list'] },
  { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['get'] },
  {
    apiGroups: [''],
    resources: ['secrets'],
    verbs: ['get'],
    resourceNames: ['mirror-creds', 'dockerhub-creds'],
  },
]

async function createDefaultAccount(): Promise<string> {
  const metadata = { name: 'berth-webhook' }
  await apply([
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { ...metadata, namespace: 'default' } },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata,
      rules: defaultRules,
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: metadata.name },
      subjects: [{ kind: 'ServiceAccount', name: metadata.name, namespace: 'default' }],
    },
  ])
  return createKubeconfig(metadata.name, 'default')
}

/** Creates a pod with this image as a dry run and returns what the API server made of it. */
export async function dryRunPod(image: string, namespace = 'default'): Promise<Pod> {
  const pod = podManifest({ name: 'berth-canary', image, namespace })
  const args = ['create', '--dry-run=server', '--output=json', '-f', '-']
  return JSON.parse(await kubectlOk(args, { input: JSON.stringify(pod) })) as Pod
}

/** Waits until new pods with this image are rewritten. The API server sees a registration or a label after a moment. */
export async function waitUntilRewritten(image: string, namespace = 'default'): Promise<void> {
  await waitFor(`${image} to be rewritten in ${namespace}`, async () =>
    isRewritten(await dryRunPod(image, namespace)),
  )
}

/** Waits until new pods with this image are admitted unchanged. */
export async function waitUntilUnchanged(image: string, namespace = 'default'): Promise<void> {
  await waitFor(
    `${image} to be admitted unchanged in ${namespace}`,
    async () => !isRewritten(await dryRunPod(image, namespace)),
  )
}

function isRewritten({ metadata }: Pod): boolean {
  return metadata.annotations?.['berth.dev/images'] !== undefined
}

async function configGeneration(metrics: () => Promise<string>): Promise<number> {
  const [, value = '0'] = /^berth_config_generation (\d+)$/m.exec(await metrics()) ?? []
  return Number(value)
}
