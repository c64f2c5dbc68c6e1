/** Applies entries of `images:` of a kustomization to an image, as kustomize does (api/filters/imagetag, api/internal/image). */

/** An entry of `images:`. A member that the entry lacks is empty. */
export interface ImageEntry {
  readonly name: string
  readonly newName: string
  readonly newTag: string
  readonly tagSuffix: string
  readonly digest: string
}

/** The parts of an image; a part that it lacks is empty. */
export interface ImageParts {
  readonly name: string
  readonly tag: string
  readonly digest: string
}

/** Splits an image as kustomize does: a colon before the first slash belongs to the host. */
export function splitImage(image: string): ImageParts {
  const slash = Math.max(0, image.indexOf('/'))
  const at = image.indexOf('@', slash)
  const withoutDigest = at === -1 ? image : image.slice(0, at)
  const digest = at === -1 ? '' : image.slice(at + 1)
  const colon = withoutDigest.indexOf(':', slash)
  return colon === -1
    ? { name: withoutDigest, tag: '', digest }
    : { name: withoutDigest.slice(0, colon), tag: withoutDigest.slice(colon + 1), digest }
}

function joinImage({ name, tag, digest }: ImageParts): string {
  return name + (tag === '' ? '' : `:${tag}`) + (digest === '' ? '' : `@${digest}`)
}

/** The characters of names that mean themselves in a regular expression; and `.`, which also matches any other character. */
const plainName = /^[\w./:@-]+$/

/** Returns whether a name can be the `name` of an entry. kustomize uses it as a regular expression, without escapes. */
export function isPlainName(name: string): boolean {
  return plainName.test(name)
}

const tagAndDigest = '(?::[a-zA-Z0-9_.{}-]*)?(?:@sha256:[a-zA-Z0-9_.{}-]*)?'
const maxPatterns = 10_000
const patterns = new Map<string, RegExp>()

/** Returns whether an entry with this name applies to the image. An entry whose name is not plain applies to none. */
export function matchesName(name: string, image: string): boolean {
  if (!isPlainName(name)) return false
  let pattern = patterns.get(name)
  if (pattern === undefined) {
    pattern = new RegExp(`^${name}${tagAndDigest}$`)
    if (patterns.size >= maxPatterns) patterns.clear()
    patterns.set(name, pattern)
  }
  return pattern.test(image)
}

/** Returns the image that an entry makes of another one; the same image if the entry does not apply to it. */
export function applyEntry(entry: ImageEntry, image: string): string {
  if (!matchesName(entry.name, image)) return image
  const { name, tag, digest } = splitImage(image)
  return joinImage({
    name: entry.newName === '' ? name : entry.newName,
    ...newTagAndDigest(entry, { tag, digest }),
  })
}

/** A new tag or digest replaces both the tag and the digest. */
function newTagAndDigest(
  { newTag, digest, tagSuffix }: ImageEntry,
  before: Omit<ImageParts, 'name'>,
): Omit<ImageParts, 'name'> {
  if (newTag !== '') return { tag: newTag, digest }
  if (digest !== '') return { tag: '', digest }
  if (tagSuffix !== '') return { tag: before.tag + tagSuffix, digest: '' }
  return before
}

/** Returns the image of an entry that sets a tag or digest, whatever the image was; null for other entries. */
export function imageOfEntry(entry: ImageEntry): string | null {
  if (entry.newTag === '' && entry.digest === '') return null
  return applyEntry(entry, entry.name)
}
