/**
 * Reads a list that a registry sends in pages (distribution-spec, Listing Tags and Listing Referrers; RFC 8288). A list that
 * cannot be read to its end is an error: a shorter list would hide the newest tag, or a signature.
 */
import { type Cursor, take, takeQuotedString } from '../http/header-scanner.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import type { HttpResponse } from '../http/messages.ts'
import { onEndpoint } from '../http/urls.ts'
import { registryErrorFor, type Repository, type RepositoryRequest } from '../registry-client.ts'

export interface ListRequest extends Pick<
  RepositoryRequest,
  'headers' | 'query' | 'maxBodyBytes' | 'consumer' | 'signal'
> {
  readonly target: string | URL
  /** What is listed, for messages: `the tags of team/app`. */
  readonly subject: string
  readonly maxPages: number
}

/** Yields each page. The first may have any status; the others have 200. Throws RegistryError. */
export async function* readPages(
  repository: Repository,
  { target: first, query = {}, subject, maxPages, ...request }: ListRequest,
): AsyncGenerator<HttpResponse, void> {
  const { host } = repository
  const seen = new Set<string>()
  let target: string | URL = first
  for (let page = 1; page <= maxPages; page++) {
    const response: HttpResponse = await repository.send({
      ...request,
      method: 'GET',
      target,
      query: page === 1 ? query : {},
    })
    if (page > 1 && response.status !== 200) {
      throw registryErrorFor(repository, response, `page ${page} of ${subject}`)
    }
    yield response
    const next = nextPage(repository, response, subject)
    if (next === null) return
    if (seen.has(next.href)) throw invalid(`${host} sends pages of ${subject} that have no end`)
    seen.add(next.href)
    target = next
  }
  throw invalid(`${host} sends more than ${maxPages} pages of ${subject}`)
}

/** Returns the URL of the next page, on the endpoint; null for the last page. */
function nextPage(
  { host, endpoint }: Repository,
  { header, url }: HttpResponse,
  subject: string,
): URL | null {
  const unusable = `${host} sent a Link header that Berth cannot use, so ${subject} may be incomplete`
  const links = header('link').flatMap((text) => {
    const parsed = parseLinks(text)
    if (parsed === null) throw invalid(unusable)
    return parsed
  })
  const link = links.find(({ relations }) => relations.includes('next'))
  if (link === undefined) return null
  if (!URL.canParse(link.target, url.href)) throw invalid(unusable)
  const next = onEndpoint(endpoint, new URL(link.target, url))
  if (next === null) throw invalid(unusable)
  return next
}

interface Link {
  readonly target: string
  /** In lower case. */
  readonly relations: readonly string[]
}

/** Returns the links of a header; null if it does not parse. */
function parseLinks(text: string): readonly Link[] | null {
  const cursor: Cursor = { rest: text }
  const links: Link[] = []
  while (take(cursor, /^[\s,]*/) !== null && cursor.rest !== '') {
    const target = take(cursor, /^<[^>]*>/)
    if (target === null) return null
    const relations: string[] = []
    while (take(cursor, /^\s*;\s*/) !== null) {
      const name = take(cursor, /^[^\s=;,"]+/)
      const value = take(cursor, /^\s*=\s*/) === null ? '' : takeValue(cursor)
      if (value === null) return null
      if (name?.toLowerCase() === 'rel') relations.push(...value.toLowerCase().split(/\s+/))
    }
    if (take(cursor, /^\s*(?=,|$)/) === null) return null
    links.push({ target: target.slice(1, -1), relations })
  }
  return links
}

function takeValue(cursor: Cursor): string | null {
  return cursor.rest.startsWith('"') ? takeQuotedString(cursor) : take(cursor, /^[^\s;,"]*/)
}

function invalid(detail: string): RegistryError {
  return new RegistryError(failed('invalid', detail))
}
