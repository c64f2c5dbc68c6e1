/** What rows can see of the pod of an image. A part that is null is not known, for example if the image comes from a list. */
export interface PodContext {
  /** The namespace of the request. The one in the object is text that a tenant writes. */
  readonly namespace: string | null
  readonly labels: Readonly<Record<string, unknown>> | null
  /** The kinds of the pod's owner references, as GROUP/KIND; `/KIND` for the core group. Empty for a bare pod. */
  readonly owners: readonly string[] | null
  /** True if the controller found that an owner of the pod recreates its pods because Berth changes their images. */
  readonly isInConflict?: boolean
  /** The platforms of nodes that the pod requires, such as `linux/arm64`, sorted. Undefined or empty: any. */
  readonly platforms?: readonly string[]
}

/** The pod of an image of which nothing is known. */
export const unknownPod: PodContext = { namespace: null, labels: null, owners: null }

/** Returns a pod of which only the namespace is known. */
export function podInNamespace(namespace: string): PodContext {
  return { ...unknownPod, namespace }
}

/** Returns the namespace for templates: `default` if it is not known. */
export function templateNamespace({ namespace }: PodContext): string {
  return namespace ?? 'default'
}
