/** Finds the API server and the credentials for it, as kubectl does. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { KubeConfig } from '@kubernetes/client-node'
import type { Dispatcher } from 'undici'
import { BerthError } from '../errors.ts'
import { createKubeApi, type KubeApi } from './api-client.ts'

export interface ConnectOptions {
  /** A kubeconfig file. Left out: `KUBECONFIG`, `~/.kube/config`, the pod's own service account, in this order. */
  readonly kubeconfig?: string | undefined
  /** A context of it; the current one when left out. */
  readonly context?: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
}

export interface Cluster {
  readonly api: KubeApi
  /** The namespace that the context names; `default` when it names none. */
  readonly namespace: string
  /** For people: the context's name, and where it leads. */
  readonly context: string
  readonly server: string
  close(): Promise<void>
}

/** How requests reach the API server and what proves who asks. */
export interface Access {
  readonly server: string
  readonly headers: Readonly<Record<string, string>>
  readonly dispatcher: Dispatcher | undefined
}

/** Reads the kubeconfig; asks the cluster nothing yet. Throws `kubeconfig-invalid`. client-node is loaded here: it takes half a second. */
export async function connect(options: ConnectOptions): Promise<Cluster> {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = load(() => new KubeConfig(), options)
  const cluster = config.getCurrentCluster()
  const context = config.getContextObject(config.getCurrentContext())
  if (cluster === null || context === null)
    throw new BerthError(
      'kubeconfig-invalid',
      `the kubeconfig's context ${JSON.stringify(config.getCurrentContext())} leads to no cluster; choose one of: ${config
        .getContexts()
        .map(({ name }) => name)
        .join(', ')}`,
    )
  const api = createKubeApi(() => access(config, cluster.server))
  return {
    api,
    namespace: context.namespace ?? 'default',
    context: context.name,
    server: cluster.server,
    close: () => api.close(),
  }
}

function load(make: () => KubeConfig, { kubeconfig, context, env }: ConnectOptions): KubeConfig {
  const files = kubeconfigFiles(kubeconfig, env)
  const config = make()
  try {
    const [first, ...others] = files
    if (first === undefined) config.loadFromCluster()
    else config.loadFromFile(first)
    for (const file of others) {
      const other = make()
      other.loadFromFile(file)
      config.mergeConfig(other, true)
    }
    if (context !== undefined) config.setCurrentContext(context)
  } catch (cause) {
    const what = files.length === 0 ? "the pod's service account" : files.join(delimiter)
    throw new BerthError(
      'kubeconfig-invalid',
      `${what} cannot be read as a kubeconfig; --kubeconfig takes one`,
      { cause },
    )
  }
  return config
}

/** Files to merge, the first one's settings first; none: the pod's service account. Throws `kubeconfig-invalid`. */
function kubeconfigFiles(given: string | undefined, env: ConnectOptions['env']): string[] {
  if (given !== undefined) return [given]
  const fromEnv = (env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => existsSync(file))
  if (fromEnv.length > 0) return fromEnv
  const own = join(env['HOME'] ?? homedir(), '.kube', 'config')
  if (existsSync(own)) return [own]
  // The kubelet sets this variable in every pod.
  if (env['KUBERNETES_SERVICE_HOST'] !== undefined) return []
  throw new BerthError(
    'kubeconfig-invalid',
    `no kubeconfig: neither KUBECONFIG nor ${own} names a file, and this is no pod; give one with --kubeconfig FILE`,
  )
}

/** client-node finds tokens, certificates, exec plugins and proxies; the requests are ours, so that their connections are kept. */
async function access(config: KubeConfig, server: string): Promise<Access> {
  const { HttpMethod, RequestContext } = await import('@kubernetes/client-node')
  const context = new RequestContext(server, HttpMethod.GET)
  try {
    await config.applySecurityAuthentication(context)
  } catch (cause) {
    throw new BerthError(
      'kubeconfig-invalid',
      `the kubeconfig's credentials cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    )
  }
  return {
    server,
    headers: context.getHeaders(),
    dispatcher: context.getDispatcher(),
  }
}
