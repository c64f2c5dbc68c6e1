/** Finds the API server and the credentials for it, as kubectl does. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { KubeConfig } from '@kubernetes/client-node'
import { BerthError } from '../errors.ts'
import { createKubeApi, type KubeApi } from './api-client.ts'
import {
  defaultServiceAccountDirectory,
  podNamespace,
  podServer,
  readPodAccess,
} from './pod-access.ts'
import type { Access } from './transport.ts'

export interface ConnectOptions {
  /** A kubeconfig file. Default: `KUBECONFIG`, then `~/.kube/config`, then the pod's service account. */
  readonly kubeconfig?: string | undefined
  /** A context of the kubeconfig. Default: the current one. */
  readonly context?: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  /** Where the kubelet mounts the service account. Tests replace it. */
  readonly serviceAccountDirectory?: string
}

export interface Cluster {
  readonly api: KubeApi
  /** The namespace of the context; `default` when it has none. */
  readonly namespace: string
  /** The context's name, for messages. */
  readonly context: string
  /** The API server's URL, for messages. */
  readonly server: string
  close(): Promise<void>
}

/** Reads the kubeconfig and returns a client; sends no request yet. Throws `kubeconfig-invalid`. */
export async function connect(options: ConnectOptions): Promise<Cluster> {
  const files = findKubeconfigs(options.kubeconfig, options.env)
  return files.length === 0 ? connectInPod(options) : await connectByKubeconfig(files, options)
}

/** Uses the service account of the pod. */
function connectInPod({
  env,
  context,
  serviceAccountDirectory = defaultServiceAccountDirectory,
}: ConnectOptions): Cluster {
  const name = 'inClusterContext'
  if (context !== undefined && context !== name) throw unknownContext(context, [name])
  const server = podServer(env)
  const readAccess = () => {
    try {
      return readPodAccess(server, serviceAccountDirectory)
    } catch (cause) {
      throw unreadable("the pod's service account", cause)
    }
  }
  // Reads the files for each request: the kubelet replaces the token before it expires, and a pod that needs no API server
  // may have none.
  const api = createKubeApi(() => new Promise((resolve) => resolve(readAccess())))
  const namespace = podNamespace(serviceAccountDirectory)
  return { api, namespace, context: name, server, close: () => api.close() }
}

/** Imports client-node only here, because that takes half a second and 80 MB of memory. */
async function connectByKubeconfig(
  files: readonly string[],
  options: ConnectOptions,
): Promise<Cluster> {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const load = () => loadKubeconfig(() => new KubeConfig(), files, options)
  let config = load()
  const cluster = config.getCurrentCluster()
  const context = config.getContextObject(config.getCurrentContext())
  if (cluster === null || context === null) {
    const names = config.getContexts().map(({ name }) => name)
    throw unknownContext(config.getCurrentContext(), names)
  }
  const api = createKubeApi(({ isRejected }) => {
    // client-node keeps tokens of files for a minute and those of exec plugins until they expire.
    if (isRejected) config = load()
    return findAccess(config, cluster.server)
  })
  return {
    api,
    namespace: context.namespace ?? 'default',
    context: context.name,
    server: cluster.server,
    close: () => api.close(),
  }
}

function loadKubeconfig(
  createConfig: () => KubeConfig,
  files: readonly string[],
  { context }: ConnectOptions,
): KubeConfig {
  const config = createConfig()
  try {
    const [first = '', ...others] = files
    config.loadFromFile(first)
    for (const file of others) {
      const other = createConfig()
      other.loadFromFile(file)
      config.mergeConfig(other, true)
    }
    if (context !== undefined) config.setCurrentContext(context)
  } catch (cause) {
    throw unreadable(files.join(delimiter), cause)
  }
  return config
}

function unreadable(source: string, cause: unknown): BerthError {
  return new BerthError(
    'kubeconfig-invalid',
    `cannot read ${source} as a kubeconfig; choose another one with --kubeconfig FILE`,
    { cause },
  )
}

function unknownContext(context: string, names: readonly string[]): BerthError {
  return new BerthError(
    'kubeconfig-invalid',
    `the kubeconfig has no cluster for context ${JSON.stringify(context)}; choose one of: ${names.join(', ')}`,
  )
}

/** Returns the files to merge, the ones that win first; none for the pod's service account. Throws `kubeconfig-invalid`. */
function findKubeconfigs(file: string | undefined, env: ConnectOptions['env']): string[] {
  if (file !== undefined) return [file]
  const variable = env['KUBECONFIG'] ?? ''
  const fromEnv = variable.split(delimiter).filter((each) => existsSync(each))
  if (fromEnv.length > 0) return fromEnv
  const inHome = join(env['HOME'] ?? homedir(), '.kube', 'config')
  if (existsSync(inHome)) return [inHome]
  // The kubelet sets this variable in every pod.
  if (env['KUBERNETES_SERVICE_HOST'] !== undefined) return []
  const inEnv =
    variable === '' ? 'KUBECONFIG is not set' : `no file of KUBECONFIG (${variable}) exists`
  throw new BerthError(
    'kubeconfig-invalid',
    `no kubeconfig found: ${inEnv}, ${inHome} does not exist, and Berth does not run in a pod; choose one with --kubeconfig FILE`,
  )
}

/** Lets client-node find tokens, certificates, exec plugins and proxies. */
async function findAccess(config: KubeConfig, server: string): Promise<Access> {
  const { HttpMethod, RequestContext } = await import('@kubernetes/client-node')
  const context = new RequestContext(server, HttpMethod.GET)
  try {
    await config.applySecurityAuthentication(context)
  } catch (cause) {
    throw new BerthError(
      'kubeconfig-invalid',
      `cannot use the kubeconfig's credentials: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    )
  }
  return { server, headers: context.getHeaders(), dispatcher: context.getDispatcher() }
}
