/**
 * Lists and adds the referrers of an image: signatures, SBOMs and attestations (distribution-spec, Listing Referrers). Uses
 * the referrers API, or the referrers tag of registries without it.
 */
import { isDigest } from '../../decision/reference/parse.ts'
import { member } from '../../json/json.ts'
import { digestLike, shortDigest } from '../digest.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import { registryErrorFor, type Repository } from '../registry-client.ts'
import { maxManifestBytes, parseManifest, parseManifestOrEmpty } from './manifest-json.ts'
import { getManifest, headManifest, putManifest, type RawManifest } from './manifests.ts'
import { readPages } from './pages.ts'

export interface Referrer {
  readonly digest: string
  readonly mediaType: string
  readonly size: number
  readonly artifactType?: string
  readonly annotations?: unknown
}

const indexType = 'application/vnd.oci.image.index.v1+json'

/** Far more than any image has. */
const maxPages = 100
const maxReferrers = 10_000

/** Concurrent writers of the tag can overwrite each other a few times. */
const maxWrites = 5

/** Returns everything that refers to the digest. Throws RegistryError. */
export async function listReferrers(
  repository: Repository,
  digest: string,
  signal: AbortSignal,
): Promise<readonly Referrer[]> {
  const { state } = repository
  if (state.hasReferrersApi !== false) {
    const referrers = await listByApi(repository, digest, signal)
    if (referrers !== null) {
      state.hasReferrersApi = true
      return referrers
    }
    state.hasReferrersApi = false
  }
  return listByTag(repository, digest, signal)
}

/** Returns `sha256-<hex>`, the tag of the list that clients keep on registries without the API (Referrers Tag Schema). */
export function referrersTag(digest: string): string {
  const [algorithm = '', encoded = ''] = digest.split(':')
  return `${algorithm.slice(0, 32)}-${encoded.slice(0, 64)}`.replaceAll(/[^A-Za-z0-9._-]/g, '-')
}

/** Adds an entry to the referrers tag of the subject, and verifies that it is still there. Throws RegistryError. */
export async function addToReferrersTag(
  repository: Repository,
  subject: string,
  { entry, signal }: { readonly entry: Referrer; readonly signal: AbortSignal },
): Promise<void> {
  const tag = referrersTag(subject)
  for (let writes = 0; writes < maxWrites; writes++) {
    const entries = await readTagIndex(repository, subject, signal)
    if (entries.some(({ digest }) => digest === entry.digest)) return
    const index = { schemaVersion: 2, mediaType: indexType, manifests: [...entries, entry] }
    const bytes = Buffer.from(JSON.stringify(index))
    const digest = digestLike('sha256:', bytes)
    await putManifest(repository, tag, { digest, mediaType: indexType, bytes }, { signal })
  }
  const entries = await readTagIndex(repository, subject, signal)
  if (entries.some(({ digest }) => digest === entry.digest)) return
  const detail = `other writers keep overwriting ${repository.name}:${tag}`
  throw new RegistryError({ outcome: 'invalid', detail })
}

/** Null on a registry without the API. */
async function listByApi(
  repository: Repository,
  digest: string,
  signal: AbortSignal,
): Promise<readonly Referrer[] | null> {
  const subject = `the list of referrers of ${repository.name}@${shortDigest(digest)}`
  const referrers: Referrer[] = []
  const pages = readPages(repository, {
    target: `referrers/${digest}`,
    headers: { accept: indexType },
    maxBodyBytes: maxManifestBytes,
    maxPages,
    subject,
    signal,
  })
  let isFirstPage = true
  for await (const response of pages) {
    if ([400, 404, 405].includes(response.status)) return null
    if (response.status !== 200) throw registryErrorFor(repository, response, subject)
    const { body, header } = response
    if (!(header('content-type')[0] ?? '').startsWith(indexType)) {
      // The response is something else, such as a web page.
      if (isFirstPage) return null
      throw invalid(`${subject} has a page with another media type`)
    }
    isFirstPage = false
    if (body === null) throw invalid(`${subject} has a page over 4 MiB, or a compressed one`)
    const entries = entriesOf(body, subject)
    if (!entries.every(isReferrer)) throw invalid(`${subject} has an entry without a valid digest`)
    for (const entry of entries) referrers.push(entry)
    if (referrers.length > maxReferrers) throw invalid(`${subject} has more than 10,000 entries`)
  }
  return referrers
}

/** Returns the entries of the referrers tag whose manifest has the digest as its subject: anyone may write the tag. */
async function listByTag(
  repository: Repository,
  digest: string,
  signal: AbortSignal,
): Promise<readonly Referrer[]> {
  const entries = await readTagIndex(repository, digest, signal)
  const refersToDigest = async (entry: Referrer): Promise<boolean> => {
    try {
      return subjectOf((await getManifest(repository, entry, signal)).bytes) === digest
    } catch (error) {
      if (error instanceof RegistryError && error.outcome === 'absent') return false
      throw error
    }
  }
  const checked = await Promise.all(entries.map(refersToDigest))
  return entries.filter((_, index) => checked[index])
}

/** Empty if the tag names the subject itself: GitLab returns the image for its referrers tag. */
async function readTagIndex(
  repository: Repository,
  subject: string,
  signal: AbortSignal,
): Promise<readonly Referrer[]> {
  const head = await headManifest(repository, referrersTag(subject), signal)
  if (head.outcome === 'absent') return []
  if (head.outcome !== 'found') throw new RegistryError(head)
  if (head.digest === subject || head.mediaType !== indexType) return []
  const { bytes } = await getManifest(repository, head, signal)
  // Anyone may write the tag, so entries that are not referrers are skipped.
  return entriesOf(bytes, `${repository.name}:${referrersTag(subject)}`).filter(isReferrer)
}

/** Returns the entries of a list of referrers. Throws RegistryError. */
function entriesOf(bytes: Buffer, name: string): readonly unknown[] {
  const { manifests } = parseManifest(bytes, name)
  if (!Array.isArray(manifests)) throw invalid(`${name} has no list of manifests`)
  return manifests
}

function isReferrer(entry: unknown): entry is Referrer {
  const digest = member(entry, 'digest')
  return typeof digest === 'string' && isDigest(digest)
}

/** Returns the digest of the manifest that this one refers to; null without a subject. */
export function subjectOf(bytes: RawManifest['bytes']): string | null {
  const { subject } = parseManifestOrEmpty(bytes)
  const digest = (subject as { readonly digest?: unknown } | undefined)?.digest
  return typeof digest === 'string' && isDigest(digest) ? digest : null
}

function invalid(detail: string): RegistryError {
  return new RegistryError(failed('invalid', detail))
}
