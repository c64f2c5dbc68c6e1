/** A fake API server with fixed objects, for code that only reads. */
import type { KubeApi } from '../../src/kube/api-client.ts'
import { KubeError } from '../../src/kube/error.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { startFakeKube } from './fake-kube.ts'

export type StoredObject = KubeObject & { readonly resource: string }

/** Objects with the label `test/forbidden` cannot be read. `groups` are the paths of the API groups that exist. */
export function apiOf(objects: readonly StoredObject[], groups: readonly string[] = []): KubeApi {
  const kube = startFakeKube()
  for (const { resource, ...object } of objects) kube.put(resource, object)
  return {
    ...kube.api,
    get: async (ref) => {
      const object = await kube.api.get(ref)
      if (object?.metadata.labels?.['test/forbidden'] === 'true')
        throw new KubeError(403, 'Forbidden', 'the object is forbidden')
      return object as never
    },
    getRaw: (path) =>
      groups.includes(path)
        ? Promise.resolve({})
        : Promise.reject(new KubeError(404, 'NotFound', `${path} does not exist`)),
  }
}
