/**
 * What refers to an image: signatures, SBOMs, attestations (distribution-spec, Listing Referrers), by the API where a
 * registry has it, else by the tag that stands in for it. What a tag says is believed only after a look at each entry.
 */
import { isDigest } from '../../decision/reference/parse.ts'
import { headManifest, putManifest, type RawManifest, getManifest, hashLike } from './manifests.ts'
import { RegistryError } from '../http/registry-error.ts'
import { registryErrorFor, type Repository } from '../registry-client.ts'
import { nextPage } from './tags.ts'
import type { HttpResponse } from '../http/transport.ts'

export interface Referrer {
  readonly digest: string
  readonly mediaType: string
  readonly size: number
  readonly artifactType?: string
  readonly annotations?: unknown
}

const indexType = 'application/vnd.oci.image.index.v1+json'

/** An image with more has been signed by a loop. */
const maxPages = 100

/** Writers that take turns at the tag lose to each other a few times at the most. */
const maxWrites = 5

/** Everything that refers to the digest. Throws RegistryError. */
export async function listReferrers(
  repository: Repository,
  digest: string,
  signal: AbortSignal,
): Promise<readonly Referrer[]> {
  const { state } = repository
  if (state.hasReferrersApi !== false) {
    const found = await askApi(repository, digest, signal)
    if (found !== null) {
      state.hasReferrersApi = true
      return found
    }
    state.hasReferrersApi = false
  }
  return readFallback(repository, digest, signal)
}

/** `sha256-<hex>`: the tag that a client keeps where a registry does not (Referrers Tag Schema). */
export function referrersTag(digest: string): string {
  const [algorithm = '', encoded = ''] = digest.split(':')
  return `${algorithm.slice(0, 32)}-${encoded.slice(0, 64)}`.replaceAll(/[^A-Za-z0-9._-]/g, '-')
}

/** Adds an entry to the subject's stand-in tag, and looks whether it has stayed there. */
export async function addToReferrersTag(
  repository: Repository,
  subject: string,
  { entry, signal }: { readonly entry: Referrer; readonly signal: AbortSignal },
): Promise<void> {
  const tag = referrersTag(subject)
  for (let writes = 0; writes < maxWrites; writes++) {
    const entries = await readIndex(repository, subject, signal)
    if (entries.some(({ digest }) => digest === entry.digest)) return
    const index = { schemaVersion: 2, mediaType: indexType, manifests: [...entries, entry] }
    const bytes = Buffer.from(JSON.stringify(index))
    const digest = hashLike(bytes, 'sha256:')
    await putManifest(repository, tag, { digest, mediaType: indexType, bytes }, signal)
  }
  const entries = await readIndex(repository, subject, signal)
  if (entries.some(({ digest }) => digest === entry.digest)) return
  const detail = `other writers keep taking entries out of ${repository.name}:${tag}`
  throw new RegistryError({ outcome: 'invalid', detail })
}

/** Null where the registry does not have the API. */
async function askApi(
  repository: Repository,
  digest: string,
  signal: AbortSignal,
): Promise<readonly Referrer[] | null> {
  const found: Referrer[] = []
  let target: string | URL = `referrers/${digest}`
  for (let page = 0; page < maxPages; page++) {
    const response: HttpResponse = await repository.send({
      method: 'GET',
      target,
      headers: { accept: indexType },
      signal,
    })
    if ([400, 404, 405].includes(response.status)) return null
    if (response.status !== 200)
      throw registryErrorFor(repository, response, 'for what refers to the image')
    // A web page, or an answer for another question, is no API.
    if (!(response.header('content-type')[0] ?? '').startsWith(indexType)) return null
    found.push(...entriesOf(response.body))
    const next = nextPage(response)
    if (next === null) break
    target = next
  }
  return found
}

/** Entries of the tag's index that really have the digest as their subject. */
async function readFallback(
  repository: Repository,
  digest: string,
  signal: AbortSignal,
): Promise<readonly Referrer[]> {
  const entries = await readIndex(repository, digest, signal)
  const isReferrer = async (entry: Referrer): Promise<boolean> => {
    try {
      return subjectOf((await getManifest(repository, entry, signal)).bytes) === digest
    } catch (error) {
      if (error instanceof RegistryError && error.outcome === 'absent') return false
      throw error
    }
  }
  const checked = await Promise.all(entries.map(isReferrer))
  return entries.filter((_, index) => checked[index])
}

/** GitLab answers to such a tag with the image itself: an index whose digest is the subject's is none of referrers. */
async function readIndex(
  repository: Repository,
  subject: string,
  signal: AbortSignal,
): Promise<readonly Referrer[]> {
  const head = await headManifest(repository, referrersTag(subject), signal)
  if (head.outcome === 'absent') return []
  if (head.outcome !== 'found') throw new RegistryError(head)
  if (head.digest === subject || head.mediaType !== indexType) return []
  return entriesOf((await getManifest(repository, head, signal)).bytes)
}

function entriesOf(body: Buffer | null): readonly Referrer[] {
  const { manifests } = parse(body)
  if (!Array.isArray(manifests)) return []
  return (manifests as readonly Referrer[]).filter(
    (entry) => typeof entry?.digest === 'string' && isDigest(entry.digest),
  )
}

/** The digest of the manifest that this one is about; null for most. */
export function subjectOf(bytes: RawManifest['bytes']): string | null {
  const { subject } = parse(bytes)
  const digest = (subject as { readonly digest?: unknown } | undefined)?.digest
  return typeof digest === 'string' && isDigest(digest) ? digest : null
}

function parse(body: Buffer | null): Readonly<Record<string, unknown>> {
  try {
    return (JSON.parse(body?.toString('utf8') ?? '') ?? {}) as Readonly<Record<string, unknown>>
  } catch {
    return {}
  }
}
