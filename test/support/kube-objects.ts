/** An API server of a few objects, for what only reads. */
import type { KubeApi } from '../../src/kube/api-client.ts'
import { KubeError } from '../../src/kube/error.ts'
import type { KubeObject, ResourceRef } from '../../src/kube/object.ts'

export type StoredObject = KubeObject & { readonly resource: string }

/** An object with the label `test/forbidden` may not be read; groups of the API are those that are named. */
export function apiOf(objects: readonly StoredObject[], groups: readonly string[] = []): KubeApi {
  const matching = ({ resource, namespace }: ResourceRef) =>
    objects.filter(
      (each) =>
        each.resource === resource &&
        (namespace === undefined || each.metadata.namespace === namespace),
    )
  return {
    list: async function* (where: ResourceRef) {
      yield* matching(where)
      return { resourceVersion: '1' }
    },
    get: (where: ResourceRef) => {
      const found = matching(where).find(({ metadata }) => metadata.name === where.name) ?? null
      return found?.metadata.labels?.['test/forbidden'] === 'true'
        ? Promise.reject(new KubeError(403, 'Forbidden', 'no'))
        : Promise.resolve(found)
    },
    getRaw: (path: string) =>
      groups.includes(path)
        ? Promise.resolve({})
        : Promise.reject(new KubeError(404, 'NotFound', 'no such group')),
  } as unknown as KubeApi
}
