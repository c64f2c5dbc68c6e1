/**
 * Lists and adds the referrers of an image: signatures, SBOMs and attestations (distribution-spec, Listing Referrers). Uses
 * the referrers API, or the referrers tag of registries without it.
 */
import { isDigest } from '../../decision/reference/parse.ts'
import { digestLike } from '../digest.ts'
import { RegistryError } from '../http/registry-error.ts'
import type { HttpResponse } from '../http/transport.ts'
import { registryErrorFor, type Repository } from '../registry-client.ts'
import { parseManifestOrEmpty } from './manifest-json.ts'
import { getManifest, headManifest, putManifest, type RawManifest } from './manifests.ts'
import { nextPage } from './tags.ts'

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
    await putManifest(repository, tag, { digest, mediaType: indexType, bytes }, signal)
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
  const referrers: Referrer[] = []
  let target: string | URL = `referrers/${digest}`
  for (let page = 0; page < maxPages; page++) {
    const response: HttpResponse = await repository.send({
      method: 'GET',
      target,
      headers: { accept: indexType },
      signal,
    })
    if ([400, 404, 405].includes(response.status)) return null
    if (response.status !== 200) {
      throw registryErrorFor(repository, response, `the referrers of ${repository.name}@${digest}`)
    }
    // Without this type the response is something else, such as a web page.
    if (!(response.header('content-type')[0] ?? '').startsWith(indexType)) return null
    referrers.push(...entriesOf(response.body))
    const next = nextPage(response)
    if (next === null) break
    target = next
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
  return entriesOf((await getManifest(repository, head, signal)).bytes)
}

function entriesOf(body: Buffer | null): readonly Referrer[] {
  const { manifests } = parseManifestOrEmpty(body)
  if (!Array.isArray(manifests)) return []
  return (manifests as readonly Referrer[]).filter(
    (entry) => typeof entry?.digest === 'string' && isDigest(entry.digest),
  )
}

/** Returns the digest of the manifest that this one refers to; null without a subject. */
export function subjectOf(bytes: RawManifest['bytes']): string | null {
  const { subject } = parseManifestOrEmpty(bytes)
  const digest = (subject as { readonly digest?: unknown } | undefined)?.digest
  return typeof digest === 'string' && isDigest(digest) ? digest : null
}
