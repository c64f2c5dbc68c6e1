/** Berth itself, as a process on this machine, registered with the cluster's API server by URL. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { currentCluster } from './cluster.ts'
import { runOk } from './command.ts'
import { apply, kubectlOk } from './kubectl.ts'
import { freePorts } from './ports.ts'
import { type Pod, podManifest } from './pods.ts'
import { exitReason, jsonLines, logFile, startProcess, stopProcess } from './processes.ts'
import { waitFor } from './wait.ts'

export type WebhookOptions = {
  name: string
  /** The config file's text. */
  config: string
  /** An image that the config's table rewrites: how the start is told to have come through to the API server. */
  canary: string
  /** Of another account than the harness's own. */
  kubeconfig?: string
}

export type Webhook = {
  /** The metrics as Prometheus would read them. */
  metrics(): Promise<string>
  /** The log lines so far, one object for each. */
  log(): Record<string, unknown>[]
  /** Writes another config, and waits until it is in force. */
  reload(config: string): Promise<void>
  /** Writes a config with an error, and waits until Berth has seen it. */
  breakConfig(): Promise<void>
  /** Stops the process; the registration stays, as after a crash. */
  kill(): Promise<void>
  /** Stops the process and takes the registration away. */
  stop(): Promise<void>
}

const repository = fileURLToPath(new URL('../../', import.meta.url))
const main = join(repository, 'src/main.ts')

/** Starts `berth serve` with certificates of its own, and registers it. Returns when the API server calls it. */
export async function startWebhook(options: WebhookOptions): Promise<Webhook> {
  const { name, config, canary } = options
  const { runDir, address } = currentCluster()
  const directory = join(runDir, `berth-${name}`)
  mkdirSync(directory, { recursive: true })
  const [port = 0, metricsPort = 0] = await freePorts(2, address)
  const configFile = join(directory, 'berth.yaml')
  writeFileSync(configFile, config)
  const certificates = join(directory, 'certs')
  await runOk(process.execPath, [
    main,
    'certs',
    '--out',
    certificates,
    '--force',
    '--url',
    `https://${address}:${port}`,
  ])
  const kubeconfig = options.kubeconfig ?? (await accountOf(directory))
  const record = await startProcess(runDir, {
    name: `berth-${name}`,
    command: process.execPath,
    args: [
      main,
      'serve',
      '--config',
      configFile,
      '--host',
      address,
      '--port',
      String(port),
      '--metrics-port',
      String(metricsPort),
      '--tls-cert',
      join(certificates, 'tls.crt'),
      '--tls-key',
      join(certificates, 'tls.key'),
      '--kubeconfig',
      kubeconfig,
      '--drain-seconds',
      '0',
      '--log-level',
      'debug',
    ],
  })
  const metricsUrl = `http://${address}:${metricsPort}`
  const metrics = async () => (await fetch(`${metricsUrl}/metrics`)).text()
  await waitFor(`berth ${name}`, async () => (await fetch(`${metricsUrl}/readyz`)).ok, {
    stopReason: exitReason(runDir, record),
  })
  await apply(readFileSync(join(certificates, 'mutating-webhook.yaml'), 'utf8'))
  await waitUntilRewritten(canary)
  return {
    metrics,
    log: () => jsonLines(logFile(runDir, record.name)),
    reload: async (text) => {
      const generation = await generationOf(metrics)
      writeFileSync(configFile, text)
      await waitFor('the new config', async () => (await generationOf(metrics)) > generation, {
        stopReason: exitReason(runDir, record),
      })
    },
    breakConfig: async () => {
      writeFileSync(configFile, 'kind: Nothing\n')
      await waitFor('the broken config', async () =>
        (await metrics()).includes('berth_config_last_reload_successful 0'),
      )
    },
    kill: () => stopProcess(runDir, record),
    stop: async () => {
      await kubectlOk(['delete', 'mutatingwebhookconfiguration', 'berth', '--ignore-not-found'])
      await waitUntilUnchanged(canary)
      await stopProcess(runDir, record)
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/**
 * A kubeconfig for an account with the only rights that the webhook uses, both of them optional: to read service
 * accounts, and to see whether one named Secret is there.
 */
async function accountOf(directory: string): Promise<string> {
  const metadata = { name: 'berth-webhook' }
  await apply([
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { ...metadata, namespace: 'default' } },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata,
      rules: [
        { apiGroups: [''], resources: ['serviceaccounts'], verbs: ['get'] },
        {
          apiGroups: [''],
          resources: ['secrets'],
          verbs: ['get'],
          resourceNames: ['mirror-creds', 'dockerhub-creds'],
        },
      ],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: metadata.name },
      subjects: [{ kind: 'ServiceAccount', name: metadata.name, namespace: 'default' }],
    },
  ])
  const token = (await kubectlOk(['create', 'token', metadata.name])).trim()
  const admin = JSON.parse(
    await kubectlOk(['config', 'view', '--raw', '--flatten', '--output=json']),
  ) as { clusters: [{ name: string }] }
  const user = metadata.name
  const context = { cluster: admin.clusters[0].name, user }
  const file = join(directory, 'kubeconfig.json')
  writeFileSync(
    file,
    JSON.stringify({
      ...admin,
      users: [{ name: user, user: { token } }],
      contexts: [{ name: user, context }],
      'current-context': user,
    }),
    { mode: 0o600 },
  )
  return file
}

/** What would become of a pod with this image: the API server decides, and keeps nothing. */
export async function dryRunPod(image: string, namespace = 'default'): Promise<Pod> {
  const pod = podManifest({ name: 'berth-canary', image, namespace })
  const args = ['create', '--dry-run=server', '--output=json', '-f', '-']
  return JSON.parse(await kubectlOk(args, { input: JSON.stringify(pod) })) as Pod
}

/** The API server takes a moment to see a registration, or a label on a namespace. */
export async function waitUntilRewritten(image: string, namespace = 'default'): Promise<void> {
  await waitFor(`${image} to be rewritten in ${namespace}`, async () =>
    isRewritten(await dryRunPod(image, namespace)),
  )
}

export async function waitUntilUnchanged(image: string, namespace = 'default'): Promise<void> {
  await waitFor(
    `${image} to be left alone in ${namespace}`,
    async () => !isRewritten(await dryRunPod(image, namespace)),
  )
}

function isRewritten({ metadata }: Pod): boolean {
  return metadata.annotations?.['berth.dev/images'] !== undefined
}

async function generationOf(metrics: () => Promise<string>): Promise<number> {
  const [, value = '0'] = /^berth_config_generation (\d+)$/m.exec(await metrics()) ?? []
  return Number(value)
}
