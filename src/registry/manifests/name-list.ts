/** Reads the names of a list in pages, such as tags or repositories, while they arrive. */
import { type JsonLimits, JsonScanner } from '../../json/json-scanner.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import { registryErrorFor, type Repository } from '../registry-client.ts'
import { type ListRequest, readPages } from './pages.ts'

/** quay.io answers a larger size with 413. Other registries may return all names in one page anyway. */
const pageSize = 100

export interface NameListRequest extends Pick<ListRequest, 'target' | 'subject' | 'signal'> {
  /** The member of the response that has the list. */
  readonly key: string
  /** Names for which this is false are skipped: names become part of request paths. */
  readonly isName: (text: string) => boolean
  readonly maxNames: number
  /** Enough for all names on one page. Only the names take memory. */
  readonly maxPageBytes: number
  /** What to do if there are more names. */
  readonly fix: string
}

/** Returns all names in the registry's order; null for a status of 404. Throws RegistryError. */
export async function listNames(
  repository: Repository,
  { target, subject, signal, ...list }: NameListRequest,
): Promise<readonly string[] | null> {
  const { consumer, names, endPage } = createNameReader(list)
  const pages = readPages(repository, {
    target,
    query: { n: String(pageSize) },
    maxBodyBytes: list.maxPageBytes,
    maxPages: list.maxNames / pageSize,
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
  return names
}

interface NameReader {
  readonly consumer: NonNullable<ListRequest['consumer']>
  /** The names of all pages that have ended. */
  readonly names: readonly string[]
  /** Ends a page. Returns the reason why it is not accepted; null if it is. */
  readonly endPage: () => string | null
}

function createNameReader({
  key: listKey,
  isName,
  maxNames,
  fix,
}: Pick<NameListRequest, 'key' | 'isName' | 'maxNames' | 'fix'>): NameReader {
  const limits: JsonLimits = { maxDepth: 8, maxValues: 2 * maxNames }
  const names: string[] = []
  let ended = 0
  let hasList = false
  let scanner = new JsonScanner(limits)
  const isFull = () => names.length > maxNames

  return {
    names,
    consumer: {
      start() {
        // Discards what a failed attempt has read.
        names.length = ended
        hasList = false
        scanner = new JsonScanner(limits, {
          // distribution sends null for a repository without tags.
          onMember: (key, value) => (hasList ||= key === listKey && value === null),
          onList: (key) => (hasList ||= key === listKey),
          onText: (key, text) => void (key === listKey && isName(text) && names.push(text)),
        })
      },
      write(piece) {
        scanner.write(piece)
        return scanner.problem === null && !isFull()
      },
    },
    endPage() {
      if (isFull() || scanner.problem === 'too many values') {
        return `has more than ${maxNames.toLocaleString('en')} ${listKey}; ${fix}`
      }
      if (scanner.end() !== null || !hasList) return 'is not valid JSON, or too large'
      ended = names.length
      return null
    },
  }
}
