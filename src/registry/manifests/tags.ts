/** Lists the tags of a repository. */
import { isTag } from '../../decision/reference/parse.ts'
import { type JsonLimits, JsonScanner } from '../../json/json-scanner.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import type { BodyConsumer } from '../http/response-body.ts'
import { registryErrorFor, type Repository } from '../registry-client.ts'
import { readPages } from './pages.ts'

/** quay.io answers a larger size with 413. Other registries may return all tags in one page anyway. */
const pageSize = 100

/** At 128 characters each, the longest possible, they take 40 MB. */
const maxTags = 250_000

/** Enough for all of these tags on one page. Berth reads the page while it arrives, so only the tags take memory. */
const maxPageBytes = 36 * 1024 * 1024

const pageLimits: JsonLimits = { maxDepth: 8, maxValues: 2 * maxTags }

/** Returns all tags in the registry's order; null if the repository does not exist. Throws RegistryError. */
export async function listTags(
  repository: Repository,
  signal: AbortSignal,
): Promise<readonly string[] | null> {
  const subject = `the list of tags of ${repository.name}`
  const { consumer, tags, endPage } = createTagReader()
  const pages = readPages(repository, {
    target: 'tags/list',
    query: { n: String(pageSize) },
    maxBodyBytes: maxPageBytes,
    maxPages: maxTags / pageSize,
    consumer,
    subject,
    signal,
  })
  for await (const response of pages) {
    if (response.status === 404) return null
    if (response.status !== 200) throw registryErrorFor(repository, response, subject)
    const problem = response.hasContentCoding ? 'is compressed' : endPage()
    if (problem !== null) throw new RegistryError(failed('invalid', `${subject} ${problem}`))
  }
  return tags
}

interface TagReader {
  readonly consumer: BodyConsumer
  /** The tags of all pages that have ended. */
  readonly tags: readonly string[]
  /** Ends a page. Returns the reason why it is not accepted; null if it is. */
  readonly endPage: () => string | null
}

function createTagReader(): TagReader {
  const tags: string[] = []
  let ended = 0
  let hasList = false
  let scanner = new JsonScanner(pageLimits)
  const isFull = () => tags.length > maxTags

  return {
    tags,
    consumer: {
      start() {
        // Forgets what an attempt that failed has read.
        tags.length = ended
        hasList = false
        scanner = new JsonScanner(pageLimits, {
          // distribution sends null for a repository without tags.
          onMember: (key, value) => (hasList ||= key === 'tags' && value === null),
          onList: (key) => (hasList ||= key === 'tags'),
          // Skips text that is not a tag, such as `../../other`: tags become part of request paths.
          onText: (key, text) => void (key === 'tags' && isTag(text) && tags.push(text)),
        })
      },
      write(piece) {
        scanner.write(piece)
        return scanner.problem === null && !isFull()
      },
    },
    endPage() {
      if (isFull() || scanner.problem === 'too many values') {
        return `has more than ${maxTags.toLocaleString('en')} tags; name the tags instead`
      }
      if (scanner.end() !== null || !hasList) return 'is not valid JSON, or too large'
      ended = tags.length
      return null
    },
  }
}
