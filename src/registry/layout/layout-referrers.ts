/** Lists the signatures, SBOMs and attestations of an image layout. They are in index.json without a name, as oras does it. */
import { member, textMember } from '../../json/json.ts'
import { failed } from '../http/network-error.ts'
import { RegistryError } from '../http/registry-error.ts'
import { parseManifestOrEmpty } from '../manifests/manifest-json.ts'
import { type Referrer, subjectOf } from '../manifests/referrers.ts'
import type { LayoutBlobs } from './layout-blobs.ts'
import type { LayoutEntry } from './layout-index.ts'
import type { LayoutIndexFile } from './layout-index-file.ts'

/** Returns everything that refers to a digest. Throws RegistryError. */
export type ListLayoutReferrers = (
  digest: string,
  signal: AbortSignal,
) => Promise<readonly Referrer[]>

/** As many as Berth reads from a registry. */
const maxReferrers = 10_000

/** Reads each manifest without a name once to know its subject, and again when the subject's referrers are listed. */
export function createLayoutReferrers(
  blobs: LayoutBlobs,
  index: LayoutIndexFile,
): ListLayoutReferrers {
  let entries: readonly LayoutEntry[] = []
  let bySubject: Promise<ReadonlyMap<string, readonly LayoutEntry[]>> | null = null

  return async (digest, signal) => {
    if (bySubject === null || entries !== index.entries) {
      entries = index.entries
      bySubject = groupBySubject(blobs, entries, signal)
    }
    const own = (await bySubject).get(digest) ?? []
    const referrers: Referrer[] = []
    for (const entry of own) {
      signal.throwIfAborted()
      const bytes = await blobs.readManifest(entry.digest)
      if (bytes !== null) referrers.push(referrerOf(entry, bytes))
    }
    return referrers
  }
}

async function groupBySubject(
  blobs: LayoutBlobs,
  entries: readonly LayoutEntry[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly LayoutEntry[]>> {
  // Anyone may have written the index, so a manifest that it lists many times is read once.
  const byDigest = new Map(
    entries.filter(({ repository }) => repository === null).map((entry) => [entry.digest, entry]),
  )
  const unnamed = [...byDigest.values()]
  if (unnamed.length > maxReferrers) {
    const detail = 'index.json has more than 10,000 entries without an image name'
    throw new RegistryError(failed('invalid', detail))
  }
  const bySubject = new Map<string, LayoutEntry[]>()
  for (const entry of unnamed) {
    signal.throwIfAborted()
    const bytes = await blobs.readManifest(entry.digest)
    const subject = bytes === null ? null : subjectOf(bytes)
    if (subject === null) continue
    const others = bySubject.get(subject)
    if (others === undefined) bySubject.set(subject, [entry])
    else others.push(entry)
  }
  return bySubject
}

/** Returns an entry as the referrers API has it (distribution-spec, Listing Referrers). */
function referrerOf({ digest, mediaType, size }: LayoutEntry, bytes: Buffer): Referrer {
  const document = parseManifestOrEmpty(bytes)
  const artifactType =
    textMember(document, 'artifactType') || textMember(document['config'], 'mediaType')
  const annotations = member(document, 'annotations')
  return {
    digest,
    mediaType,
    size,
    ...(artifactType === '' ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  }
}
