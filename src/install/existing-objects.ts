/** Finds out who manages the objects that an installation would change. Changes nothing. */
import { objectsMember } from '../json/json.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { type KubeObject, nameOf } from '../kube/object.ts'
import { refOf } from './apply.ts'
import type { Manifest } from './component-files.ts'

export interface ExistingObject {
  /** As in messages: `deployments berth-system/berth-webhook`. */
  readonly name: string
  /** The tool that manages it and would revert or lose a change: `the Helm release berth`. Null if none is known. */
  readonly manager: string | null
}

/**
 * The labels and annotations with which tools mark their objects: Helm (helm.sh, pkg/action/validate.go), Flux
 * (kustomize-controller, api/v1) and Argo CD (docs/user-guide/resource_tracking.md). The value names the release or application.
 */
const marks: readonly (readonly [key: string, tool: string])[] = [
  ['meta.helm.sh/release-name', 'the Helm release'],
  ['kustomize.toolkit.fluxcd.io/name', 'the Flux Kustomization'],
  ['argocd.argoproj.io/tracking-id', 'the Argo CD application'],
  ['argocd.argoproj.io/instance', 'the Argo CD application'],
]

/**
 * Returns the objects that exist and that `berth install --apply` has not created, in order. Throws KubeError.
 * A Namespace counts only if a tool manages it: people create it in advance, for a pull secret.
 */
export async function findExisting(
  api: KubeApi,
  objects: readonly Manifest[],
): Promise<readonly ExistingObject[]> {
  const found: ExistingObject[] = []
  for (const object of objects) {
    const ref = refOf(object)
    const existing = await api.get<KubeObject>(ref, { metadataOnly: true })
    if (existing === null || isApplied(existing)) continue
    const manager = managerOf(existing)
    if (manager !== null || object.kind !== 'Namespace') found.push({ name: nameOf(ref), manager })
  }
  return found
}

/** Server-side apply records who set the fields. Only Berth's own command applies as `berth`. */
function isApplied({ metadata }: KubeObject): boolean {
  return objectsMember(metadata, 'managedFields').some(
    ({ manager, operation }) => manager === 'berth' && operation === 'Apply',
  )
}

function managerOf({ metadata: { labels = {}, annotations = {} } }: KubeObject): string | null {
  for (const [key, tool] of marks) {
    const name = annotations[key] ?? labels[key]
    if (name !== undefined && name !== '') return `${tool} ${name}`
  }
  return labels['app.kubernetes.io/managed-by'] === 'Helm' ? 'Helm' : null
}
