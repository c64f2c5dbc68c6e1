/** Signatures, SBOMs and attestations of an image and of everything in it, copied after it. */
import type { Referrer } from '../registry/manifests/referrers.ts'
import {
  addToReferrersTag,
  listReferrers,
  referrersTag,
  subjectOf,
} from '../registry/manifests/referrers.ts'
import { hasManifest, headManifest, putManifest } from '../registry/manifests/manifests.ts'
import type { Repository } from '../registry/registry-client.ts'
import { blobsOf, type ManifestNode, postOrder, readTree } from './image-tree.ts'

export interface ReferrerCopy {
  readonly from: Repository
  readonly to: Repository
  readonly signal: AbortSignal
  /** Brings the blobs of a tree to the destination. */
  readonly moveBlobs: (blobs: ReturnType<typeof blobsOf>) => Promise<void>
}

/** A signature of a signature of an SBOM is three. */
const maxDepth = 5

/** What cosign wrote before there were referrers. */
const legacySuffixes = ['.sig', '.att', '.sbom'] as const

/** Copies all of them; the number that was copied or already there. Throws RegistryError. */
export async function copyReferrers(copy: ReferrerCopy, image: ManifestNode): Promise<number> {
  let count = 0
  for (const { manifest } of postOrder(image)) {
    count += await copyReferrersOf(copy, manifest.digest, 0)
    count += await copyLegacy(copy, manifest.digest)
  }
  return count
}

async function copyReferrersOf(
  copy: ReferrerCopy,
  subject: string,
  depth: number,
): Promise<number> {
  if (depth === maxDepth) return 0
  const { from, signal } = copy
  let count = 0
  for (const referrer of await listReferrers(from, subject, signal)) {
    await copyOne(copy, referrer)
    count += 1 + (await copyReferrersOf(copy, referrer.digest, depth + 1))
  }
  return count
}

async function copyOne(
  { from, to, signal, moveBlobs }: ReferrerCopy,
  entry: Referrer,
): Promise<void> {
  const tree = await readTree(from, entry, signal)
  if (await hasManifest(to, entry.digest, signal)) {
    if (to.state.hasReferrersApi === true) return
  }
  await moveBlobs(blobsOf(tree))
  for (const { manifest } of postOrder(tree)) {
    const { keepsReferrers } = await putManifest(to, manifest.digest, manifest, signal)
    const subject = subjectOf(manifest.bytes)
    if (subject !== null && !keepsReferrers) await addToReferrersTag(to, subject, { entry, signal })
  }
}

/** Tags beside the image, such as `sha256-<hex>.sig`. */
async function copyLegacy(
  { from, to, signal, moveBlobs }: ReferrerCopy,
  subject: string,
): Promise<number> {
  let count = 0
  for (const suffix of legacySuffixes) {
    const tag = `${referrersTag(subject)}${suffix}`
    const head = await headManifest(from, tag, signal)
    // GitLab answers to the tag with the image itself.
    if (head.outcome !== 'found' || head.digest === subject) continue
    count += 1
    const there = await headManifest(to, tag, signal)
    if (there.outcome === 'found' && there.digest === head.digest) continue
    const tree = await readTree(from, head, signal)
    await moveBlobs(blobsOf(tree))
    for (const { manifest } of postOrder(tree)) {
      const isRoot = manifest.digest === head.digest
      await putManifest(to, isRoot ? tag : manifest.digest, manifest, signal)
    }
  }
  return count
}
