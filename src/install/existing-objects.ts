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

interface Mark {
  readonly tool: string
  /** The label or annotation that holds the name; the first one that is set. */
  readonly keys: readonly string[]
}

/**
 * Helm (helm.sh, pkg/action/validate.go), Argo CD (docs/user-guide/resource_tracking.md) and Flux (kustomize-controller,
 * api/v1) write these labels and annotations to each object.
 */
const marks: readonly Mark[] = [
  { tool: 'the Helm release', keys: ['meta.helm.sh/release-name'] },
  { tool: 'the Flux Kustomization', keys: ['kustomize.toolkit.fluxcd.io/name'] },
  { tool: 'the Argo CD application', keys: ['argocd.argoproj.io/tracking-id'] },
  { tool: 'the Argo CD application', keys: ['argocd.argoproj.io/instance'] },
]

/**
 * Returns the objects that exist and that `berth install --apply` has not made, in order. Throws KubeError.
 * A Namespace counts only if a tool manages it: people create it before, for a pull secret.
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
  for (const { tool, keys } of marks)
    for (const key of keys) {
      const name = annotations[key] ?? labels[key]
      if (name !== undefined && name !== '') return `${tool} ${name}`
    }
  return labels['app.kubernetes.io/managed-by'] === 'Helm' ? 'Helm' : null
}
