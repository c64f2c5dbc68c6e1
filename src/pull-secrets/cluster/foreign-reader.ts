/** Reads the content of a secret that has the name of a copy and that Berth did not write. */
import type { KubeApi } from '../../kube/api-client.ts'
import { type ForeignSecret, readForeignContent, type SecretObject } from '../objects.ts'
import { foreignSelectors } from './informers.ts'

/**
 * Returns null if the secret does not exist any more, or has the labels of a copy now. Lists by name, because the controller
 * has no right to `get` Secrets. Throws KubeError.
 */
export async function readForeignSecret(
  api: Pick<KubeApi, 'list'>,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  signal: AbortSignal,
): Promise<ForeignSecret | null> {
  const ref = { apiVersion: 'v1', resource: 'secrets', namespace }
  for (const labelSelector of foreignSelectors) {
    const selection = { fieldSelector: `metadata.name=${name}`, labelSelector }
    for await (const secret of api.list<SecretObject>(ref, selection, signal))
      return readForeignContent(secret)
  }
  return null
}
