/** Applies the objects of an installation, and waits until their Deployments are ready. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeApi } from '../kube/api-client.ts'
import { type KubeObject, nameOf, type ResourceRef, resourceOfKind } from '../kube/object.ts'
import type { Manifest } from './component-files.ts'

export interface ApplyOptions {
  readonly signal: AbortSignal
  /** Called after each object. */
  readonly onApplied: (name: string) => void
}

/** Applies each object on the server, in order, and takes over fields that others have set. Throws KubeError. */
export async function applyObjects(
  api: KubeApi,
  objects: readonly Manifest[],
  { signal, onApplied }: ApplyOptions,
): Promise<void> {
  for (const object of objects) {
    const ref = refOf(object)
    await api.patch(ref, 'apply', object, { signal })
    onApplied(nameOf(ref))
  }
}

/** Returns where an object of a manifest is. */
export function refOf({
  apiVersion = '',
  kind = '',
  metadata: { namespace, name },
}: Manifest): ResourceRef {
  const resource = resourceOfKind(kind)
  return { apiVersion, resource, name, ...(namespace === undefined ? {} : { namespace }) }
}

/** Milliseconds between two reads of a Deployment. */
const pollMs = 1_000

interface DeploymentStatus extends KubeObject {
  readonly spec?: { readonly replicas?: number }
  readonly status?: {
    readonly observedGeneration?: number
    readonly updatedReplicas?: number
    readonly availableReplicas?: number
  }
}

/**
 * Waits until all replicas of the Deployments are new and available, as `kubectl rollout status` does. Returns the Deployments
 * that are not, after `timeoutMs`. Throws KubeError.
 */
export async function waitForDeployments(
  api: KubeApi,
  objects: readonly Manifest[],
  { signal, timeoutMs }: { readonly signal: AbortSignal; readonly timeoutMs: number },
): Promise<readonly string[]> {
  const refs = objects.filter(({ kind }) => kind === 'Deployment').map(refOf)
  const until = performance.now() + timeoutMs
  for (;;) {
    const late: string[] = []
    for (const ref of refs)
      if (!isReady(await api.get<DeploymentStatus>(ref, { signal }))) late.push(nameOf(ref))
    if (late.length === 0 || performance.now() > until) return late
    await sleep(pollMs, undefined, { signal })
  }
}

function isReady(deployment: DeploymentStatus | null): boolean {
  const { metadata, spec = {}, status = {} } = deployment ?? {}
  const generation = (metadata as { generation?: number } | undefined)?.generation ?? 0
  const wanted = spec.replicas ?? 1
  return (
    (status.observedGeneration ?? -1) >= generation &&
    (status.updatedReplicas ?? 0) >= wanted &&
    (status.availableReplicas ?? 0) >= wanted
  )
}
