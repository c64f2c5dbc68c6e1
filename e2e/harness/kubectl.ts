/** kubectl on the cluster of the tests. */
import { join } from 'node:path'
import type { Cluster } from './cluster.ts'
import { currentCluster } from './cluster.ts'
import type { CommandOptions, CommandResult } from './command.ts'
import { run } from './command.ts'
import { waitFor } from './wait.ts'

/** A Kubernetes object in JSON. */
export type KubeObject = {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; annotations?: Record<string, string> }
  [field: string]: unknown
}

/** Runs kubectl on a cluster, which may still be starting. Keeps its cache out of the home directory. */
export function kubectlOn(
  { kubectl, kubeconfig, runDir }: Pick<Cluster, 'kubectl' | 'kubeconfig' | 'runDir'>,
  args: readonly string[],
  options: Pick<CommandOptions, 'input'> = {},
): Promise<CommandResult> {
  const env = { KUBECONFIG: kubeconfig, KUBECACHEDIR: join(runDir, 'kubectl-cache') }
  return run(kubectl, args, { ...options, env })
}

/** Runs kubectl on the running cluster and returns the result, also if it fails. */
export function kubectl(
  args: readonly string[],
  options: Pick<CommandOptions, 'input'> = {},
): Promise<CommandResult> {
  return kubectlOn(currentCluster(), args, options)
}

/** Runs kubectl and returns its output; throws with its error output if it fails. */
export async function kubectlOk(
  args: readonly string[],
  options: Pick<CommandOptions, 'input'> = {},
): Promise<string> {
  const { stdout, stderr, code } = await kubectl(args, options)
  if (code === 0) return stdout
  throw new Error(`kubectl ${args.join(' ')}\nexited with ${code}: ${stderr || stdout}`)
}

/** Applies YAML or objects. Throws if the API server rejects one of them. */
export async function apply(manifest: string | object | readonly object[]): Promise<string> {
  return kubectlOk(['apply', '-f', '-'], { input: manifestText(manifest) })
}

/** Creates YAML or objects and returns the result, also if it fails. */
export function create(manifest: string | object | readonly object[]): Promise<CommandResult> {
  return kubectl(['create', '-f', '-'], { input: manifestText(manifest) })
}

/** Deletes an object and waits until it is gone. Does nothing if it does not exist. */
export async function remove(kind: string, name: string, namespace = 'default'): Promise<void> {
  const gracePeriod = kind === 'pod' ? ['--grace-period=1'] : []
  await kubectlOk([
    'delete',
    kind,
    name,
    `--namespace=${namespace}`,
    '--ignore-not-found',
    ...gracePeriod,
  ])
}

/**
 * Deletes namespaces and waits until their pods are gone. Their finalizers take the cluster some more seconds, so no later
 * test may use the same names.
 */
export async function removeNamespaces(...names: readonly string[]): Promise<void> {
  await kubectlOk(['delete', 'namespace', ...names, '--ignore-not-found', '--wait=false'])
  // kubectl would give up after 30 seconds, in which a busy node does not stop twenty pods.
  const gone = ['wait', 'pods', '--all', '--for=delete', '--timeout=300s']
  await Promise.all(names.map((name) => kubectlOk([...gone, `--namespace=${name}`])))
}

/** Returns an object; throws if it does not exist. Cluster-wide kinds ignore the namespace. */
export async function getJson<T = KubeObject>(
  kind: string,
  name: string,
  namespace = 'default',
): Promise<T> {
  return JSON.parse(
    await kubectlOk(['get', kind, name, `--namespace=${namespace}`, '--output=json']),
  ) as T
}

function manifestText(manifest: string | object | readonly object[]): string {
  if (typeof manifest === 'string') return manifest
  const items = Array.isArray(manifest) ? (manifest as readonly object[]) : [manifest]
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
}

/** Creates a namespace and waits for its default service account, without which the API server rejects pods. */
export async function createNamespace(
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<void> {
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } })
  await waitFor(`the default account of ${name}`, () => getJson('serviceaccount', 'default', name))
}

/**
 * Waits until kubectl knows the kinds of CustomResourceDefinitions, by their names. The API server lists a new kind a moment
 * after the definition is established.
 */
export async function waitForKinds(...definitions: readonly string[]): Promise<void> {
  const kinds = definitions.join()
  await waitFor(`the API of ${kinds}`, () => kubectlOk(['get', kinds, '-A', '-o', 'name']))
}

/** Creates a service account unless it exists. */
export async function createServiceAccount(name: string, namespace: string): Promise<void> {
  await apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } })
}

export type PullSecretOptions = {
  namespace?: string
  /** The registry host, or the key that docker uses for it. */
  server: string
  account: { username: string; password: string }
}

/** Creates a pull secret for one registry. */
export async function createPullSecret(
  name: string,
  { namespace = 'default', server, account }: PullSecretOptions,
): Promise<void> {
  await kubectlOk([
    'create',
    'secret',
    'docker-registry',
    name,
    `--namespace=${namespace}`,
    `--docker-server=${server}`,
    `--docker-username=${account.username}`,
    `--docker-password=${account.password}`,
  ])
}
