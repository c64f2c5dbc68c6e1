/** Lists the tags of a repository. */
import { isTag } from '../../decision/reference/parse.ts'
import type { Repository } from '../registry-client.ts'
import { listNames } from './name-list.ts'

/** At 128 characters each, the longest possible, they take 40 MB. */
const maxTags = 250_000

/** Returns all tags in the registry's order; null if the repository does not exist. Throws RegistryError. */
export function listTags(
  repository: Repository,
  signal: AbortSignal,
): Promise<readonly string[] | null> {
  return listNames(repository, {
    target: 'tags/list',
    subject: `the list of tags of ${repository.name}`,
    key: 'tags',
    // Skips text that is not a tag, such as `../../other`.
    isName: isTag,
    maxNames: maxTags,
    maxPageBytes: 36 * 1024 * 1024,
    fix: 'name the tags instead',
    signal,
  })
}
