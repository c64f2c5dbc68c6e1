import { join } from 'node:path'
import type { Cluster } from './cluster.ts'
import { currentCluster } from './cluster.ts'
import type { CommandOptions, CommandResult } from './command.ts'
import { run } from './command.ts'

/** A Kubernetes object as its JSON has it. */
export type KubeObject = {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; annotations?: Record<string, string> }
  [field: string]: unknown
}

/** Runs kubectl on a cluster, which may still be starting. Its cache stays out of the user's home directory. */
export function kubectlOn(
  { kubectl, kubeconfig, runDir }: Pick<Cluster, 'kubectl' | 'kubeconfig' | 'runDir'>,
  args: readonly string[],
  options: Pick<CommandOptions, 'input'> = {},
): Promise<CommandResult> {
  const env = { KUBECONFIG: kubeconfig, KUBECACHEDIR: join(runDir, 'kubectl-cache') }
  return run(kubectl, args, { ...options, env })
}

/** Runs kubectl on the cluster that is up; a failure is a result, for scenarios that expect a rejection. */
export function kubectl(
  args: readonly string[],
  options: Pick<CommandOptions, 'input'> = {},
): Promise<CommandResult> {
  return kubectlOn(currentCluster(), args, options)
}

/** Runs kubectl and returns its output; throws with what it said if it fails. */
export async function kubectlOk(
  args: readonly string[],
  options: Pick<CommandOptions, 'input'> = {},
): Promise<string> {
  const { stdout, stderr, code } = await kubectl(args, options)
  if (code === 0) return stdout
  throw new Error(`kubectl ${args.join(' ')}\nended with ${code}: ${stderr || stdout}`)
}

/** Applies YAML, or objects, which go as JSON. Throws when the API server refuses one of them. */
export async function apply(manifest: string | object | readonly object[]): Promise<string> {
  return kubectlOk(['apply', '-f', '-'], { input: manifestText(manifest) })
}

/** Creates YAML or objects, and returns the outcome whatever it is. */
export function create(manifest: string | object | readonly object[]): Promise<CommandResult> {
  return kubectl(['create', '-f', '-'], { input: manifestText(manifest) })
}

/** Deletes an object and waits until it is gone; one that is not there is no error. */
export async function remove(kind: string, name: string, namespace = 'default'): Promise<void> {
  const now = kind === 'pod' ? ['--grace-period=1'] : []
  await kubectlOk(['delete', kind, name, `--namespace=${namespace}`, '--ignore-not-found', ...now])
}

/** An object as JSON; throws if it is not there. Cluster-wide kinds take no notice of the namespace. */
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
