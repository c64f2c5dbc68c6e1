/** Kubernetes objects as they travel: raw JSON, so that fields which nobody here knows survive a round trip. */

export interface ObjectMeta {
  readonly name: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generateName?: string
  /** RFC 3339. */
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: readonly OwnerReference[]
  readonly finalizers?: readonly string[]
}

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
}

export interface KubeObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: ObjectMeta
}

/** Names a collection, or one object in it, as the API's paths do. */
export interface ResourceRef {
  /** `v1`, `apps/v1`. */
  readonly apiVersion: string
  /** The plural, lower case: `pods`. */
  readonly resource: string
  /** Left out for cluster-scoped resources, and for a list over all namespaces. */
  readonly namespace?: string
  readonly name?: string
  readonly subresource?: string
}

/** The path of a resource (API concepts, "Standard API terminology"). */
export function pathOf({
  apiVersion,
  resource,
  namespace,
  name,
  subresource,
}: ResourceRef): string {
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  const parts = [
    ...(namespace === undefined ? [] : ['namespaces', namespace]),
    resource,
    ...(name === undefined ? [] : [name]),
    ...(subresource === undefined ? [] : [subresource]),
  ]
  return [group, ...parts.map(encodeURIComponent)].join('/')
}

/** `secrets identity/dockerhub-creds`, for messages. */
export function nameOf({ resource, namespace, name }: ResourceRef): string {
  const full = [namespace, name].filter((part) => part !== undefined).join('/')
  return full === '' ? resource : `${resource} ${full}`
}
