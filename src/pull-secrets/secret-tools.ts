/** Recognizes secrets that another tool maintains, by the labels and annotations that the tool sets. */
import type { ObjectMeta } from '../kube/object.ts'
import { managedBy, managedByLabel } from './labels.ts'

export interface SecretTool {
  readonly name: string
  /** The annotations by which the tool knows the secret. */
  readonly annotations: readonly string[]
}

/** Prefixes of annotations. */
const prefixes: Readonly<Record<string, string>> = {
  // kubernetes-reflector, Mirroring/Constants/Annotations.cs.
  'reflector.v1.k8s.emberstack.com/': 'Reflector',
  // kubernetes-replicator, replicate/common/consts.go.
  'replicator.v1.mittwald.de/': 'kubernetes-replicator',
  'meta.helm.sh/': 'Helm',
  'argocd.argoproj.io/tracking-id': 'Argo CD',
}

/** Returns null for a secret that no known tool maintains. */
export function toolOf({
  labels = {},
  annotations = {},
}: Pick<ObjectMeta, 'labels' | 'annotations'>): SecretTool | null {
  const keys = Object.keys(annotations)
  for (const [prefix, name] of Object.entries(prefixes)) {
    const own = keys.filter((key) => key.startsWith(prefix))
    if (own.length > 0) return { name, annotations: own }
  }
  // imagepullsecret-patcher sets this key as an annotation (secret.go).
  const annotated = annotations[managedByLabel]
  if (isOther(annotated)) return { name: annotated, annotations: [managedByLabel] }
  const labelled = labels[managedByLabel]
  return isOther(labelled) ? { name: labelled, annotations: [] } : null
}

function isOther(value: string | undefined): value is string {
  return value !== undefined && value !== '' && value !== managedBy
}
