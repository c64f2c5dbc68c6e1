/** Lists the tags of a repository, page by page. */
import { isTag } from '../../decision/reference/parse.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import type { HttpResponse } from '../http/transport.ts'
import { registryErrorFor, type Repository } from '../registry-client.ts'

/** quay.io answers a larger size with 413; other registries return smaller pages anyway. */
const pageSize = 100

/** A repository with more tags contains builds, and needs a pattern in the config. */
const maxTags = 100_000
const maxPages = maxTags / pageSize

/** Returns all tags in the registry's order; null if the repository does not exist. Throws RegistryError. */
export async function listTags(
  repository: Repository,
  signal: AbortSignal,
): Promise<readonly string[] | null> {
  const tags: string[] = []
  let target: string | URL = 'tags/list'
  for (let page = 0; page < maxPages; page++) {
    const query: Record<string, string> = typeof target === 'string' ? { n: String(pageSize) } : {}
    const response: HttpResponse = await repository.send({ method: 'GET', target, query, signal })
    if (response.status === 404) return null
    if (response.status !== 200) {
      throw registryErrorFor(repository, response, `the tags of ${repository.name}`)
    }
    // Not `push(...)`: a registry may return all tags in one page, and a call takes a limited number of arguments.
    for (const tag of readTags(response)) tags.push(tag)
    const next = nextPage(response)
    if (next === null || tags.length >= maxTags) return tags
    target = next
  }
  return tags
}

/** Returns the URL of the next page (RFC 8288); null without one, or if it is on another host. */
export function nextPage({ header, url }: HttpResponse): URL | null {
  for (const link of header('link')) {
    const [, target = '', parameters = ''] = /^\s*<([^>]*)>(.*)$/s.exec(link) ?? []
    if (!/;\s*rel="?next"?/i.test(parameters) || !URL.canParse(target, url.href)) continue
    const next = new URL(target, url)
    return next.origin === url.origin && next.href !== url.href ? next : null
  }
  return null
}

/** Skips text that is not a tag, such as `../../other`: tags become part of request paths. */
function readTags({ body }: HttpResponse): string[] {
  if (body === null) throw new RegistryError(failed('invalid', 'the list of tags exceeds 2 MiB'))
  try {
    const document = JSON.parse(body.toString('utf8')) as { readonly tags?: unknown } | null
    const tags = document?.tags ?? []
    if (Array.isArray(tags)) return tags.filter((tag) => typeof tag === 'string' && isTag(tag))
  } catch {
    // Handled below.
  }
  throw new RegistryError(failed('invalid', 'the list of tags is not valid JSON'))
}
