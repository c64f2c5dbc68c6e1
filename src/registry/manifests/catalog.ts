/** Lists the repositories of a registry (distribution, docs/spec/api.md, Catalog). The distribution-spec does not have it. */
import { parseReference } from '../../decision/reference/parse.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import { apiUrl } from '../http/urls.ts'
import type { RegistryClient } from '../registry-client.ts'
import { listNames } from './name-list.ts'

/** At 255 characters each, the longest possible, they take 30 MB. */
const maxRepositories = 100_000

/** Returns all repositories in the registry's order. Throws RegistryError, also for a registry without the list. */
export async function listRepositories(
  registries: RegistryClient,
  host: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const registry = await registries.open(host, '', 'catalog')
  const subject = `the list of repositories of ${host}`
  const names = await listNames(registry, {
    target: apiUrl(registry.endpoint, '_catalog'),
    subject,
    key: 'repositories',
    isName: isRepositoryPath,
    maxNames: maxRepositories,
    maxPageBytes: 30 * 1024 * 1024,
    fix: 'name the repositories instead',
    signal,
  })
  if (names === null) throw new RegistryError(failed('absent', `${host} has no list (404)`))
  return names
}

function isRepositoryPath(text: string): boolean {
  const parsed = parseReference(`registry.example/${text}`)
  return parsed.ok && parsed.reference.path === text && parsed.reference.tag === null
}
