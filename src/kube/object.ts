/** Kubernetes objects as raw JSON, so that fields which Berth does not know survive a round trip. */

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

/** Identifies a collection or one object in it, as the paths of the API do. */
export interface ResourceRef {
  /** `v1`, `apps/v1`. */
  readonly apiVersion: string
  /** The plural in lower case: `pods`. */
  readonly resource: string
  /** Left out for cluster-scoped resources and for a list over all namespaces. */
  readonly namespace?: string
  readonly name?: string
  readonly subresource?: string
}

/** Returns the plural in lower case for a kind of Kubernetes: `networkpolicies` for `NetworkPolicy`. */
export function resourceOfKind(kind: string): string {
  return `${kind.toLowerCase()}s`.replace(/ys$/, 'ies')
}

/** Returns the URL path of a resource (API concepts, "Standard API terminology"). */
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

/** Returns the resource and name for messages: `secrets identity/dockerhub-creds`. */
export function nameOf({ resource, namespace, name }: ResourceRef): string {
  const path = [namespace, name].filter((part) => part !== undefined).join('/')
  return path === '' ? resource : `${resource} ${path}`
}

/** Returns `namespace/name`, or the name of a cluster-scoped object. */
export function namespacedName({
  metadata: { namespace, name },
}: {
  readonly metadata: Pick<ObjectMeta, 'namespace' | 'name'>
}): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}
