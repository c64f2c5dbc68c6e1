/** Deletes a manifest (distribution-spec, Deleting Manifests). */
import { shortDigest } from '../digest.ts'
import { RegistryError } from '../http/registry-error.ts'
import { registryErrorFor, type Repository } from '../registry-client.ts'

/** Thrown if the registry does not delete manifests at all. */
export class DeletionForbiddenError extends RegistryError {}

/**
 * Deletes the manifest with this digest. distribution also deletes every tag of it (registry/handlers/manifests.go). By tag,
 * docker-registry 2.8 deletes nothing. Returns whether the manifest existed. Throws RegistryError.
 */
export async function deleteManifest(
  repository: Repository,
  digest: string,
  signal: AbortSignal,
): Promise<boolean> {
  const target = `manifests/${digest}`
  const response = await repository.send({ method: 'DELETE', target, signal })
  if ([200, 202, 204].includes(response.status)) return true
  if (response.status === 404) return false
  const name = `DELETE of manifest ${repository.name}@${shortDigest(digest)}`
  const { outcome, message, status, code } = registryErrorFor(repository, response, name)
  if (status === 405 || code === 'UNSUPPORTED') {
    const fix =
      'the registry does not allow deletions: in distribution (docker-registry), set REGISTRY_STORAGE_DELETE_ENABLED=true'
    throw new DeletionForbiddenError({ outcome, detail: `${message}; ${fix}` }, { status, code })
  }
  throw new RegistryError({ outcome, detail: message }, { status, code })
}
