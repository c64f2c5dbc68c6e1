/** Asks a registry for an image with a digest, also if the registry knows the digest only after a request for the tag. */
import { defaultTag, type Reference } from '../reference/reference.ts'
import type { ManifestAnswer } from './manifest-source.ts'

/**
 * Returns what a registry answers for an image. A pull-through cache (Amazon ECR, Harbor, Azure) answers 404 for a digest
 * until someone requests its tag (aws/containers-roadmap#2837). If a digest is absent, this therefore asks for the tag,
 * and takes the image if the tag serves this digest. If the digest is found, it sends no further request.
 */
export async function askByDigest(
  { tag, digest }: Pick<Reference, 'tag' | 'digest'>,
  ask: (reference: string) => Promise<ManifestAnswer>,
): Promise<ManifestAnswer> {
  const answer = await ask(digest ?? tag ?? defaultTag)
  if (answer.outcome !== 'absent' || tag === null || digest === null) return answer
  const byTag = await ask(tag)
  if (byTag.outcome !== 'found') return answer
  if (byTag.digest === digest) return byTag
  const served = byTag.digest.slice(0, 'sha256:'.length + 12)
  return { ...answer, detail: `${answer.detail}; the tag ${tag} serves ${served}` }
}
