import { isTag } from '../../decision/reference/parse.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import { registryErrorFor, type Repository } from '../registry-client.ts'
import type { HttpResponse } from '../http/transport.ts'

/** quay.io answers 413 to more, and other registries give fewer of their own accord. */
const pageSize = 100

/** Whoever has more has a repository of builds and needs a pattern upstream of this. */
const maxTags = 100_000
const maxPages = maxTags / pageSize

/** All tags of a repository, in the registry's order; null when it is not there. Throws RegistryError. */
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
    if (response.status !== 200)
      throw registryErrorFor(repository, response, `for the tags of ${repository.name}`)
    // One by one: a registry may give all of its tags at once, and a call takes only so many arguments.
    for (const tag of readTags(response)) tags.push(tag)
    const next = nextPage(response)
    if (next === null || tags.length >= maxTags) return tags
    target = next
  }
  return tags
}

/** Where the next page is (RFC 8288), if there is one and it is on the same registry. */
export function nextPage({ header, url }: HttpResponse): URL | null {
  for (const link of header('link')) {
    const [, target = '', parameters = ''] = /^\s*<([^>]*)>(.*)$/s.exec(link) ?? []
    if (!/;\s*rel="?next"?/i.test(parameters) || !URL.canParse(target, url.href)) continue
    const next = new URL(target, url)
    return next.origin === url.origin && next.href !== url.href ? next : null
  }
  return null
}

/** A tag becomes part of a path, at the mirror as well: what is none, such as `../../other`, is passed over. */
function readTags({ body }: HttpResponse): string[] {
  if (body === null) throw new RegistryError(failed('invalid', 'the list of tags is above 2 MiB'))
  try {
    const document = JSON.parse(body.toString('utf8')) as { readonly tags?: unknown } | null
    const tags = document?.tags ?? []
    if (Array.isArray(tags)) return tags.filter((tag) => typeof tag === 'string' && isTag(tag))
  } catch {
    // Said below.
  }
  throw new RegistryError(failed('invalid', 'the list of tags is not one'))
}
