/** Writes the decision for an image into the members that make it up. Pure. */
import { canonicalReference } from '../../decision/fallback/registry-aliases.ts'
import { isSameImage, parseReference } from '../../decision/reference/parse.ts'
import {
  formatReference,
  type Reference,
  repositoryName,
} from '../../decision/reference/reference.ts'
import type { Resolution } from '../../decision/resolve/resolution.ts'
import { isVersioned } from '../image-text.ts'
import type { ImagePart, ValueImage } from './value-images.ts'

export type WrittenImage =
  | {
      readonly ok: true
      /** The new values of members. */
      readonly parts: ReadonlyMap<ImagePart, string>
      /** The image as charts compose it then. */
      readonly image: string
      /** What could not be written, such as a digest; null if all is. */
      readonly note: string | null
    }
  | { readonly ok: false; readonly problem: string }

/** Returns the new members of an image, or why no members can express the decision. */
export function writeImage(
  image: ValueImage,
  { original, chosen, changed, kind }: Pick<Resolution, 'original' | 'chosen' | 'changed' | 'kind'>,
): WrittenImage {
  if (!changed) return { ok: true, parts: new Map(), image: image.image, note: null }
  const { members } = image
  const isWhole = isVersioned(textOf(members.name?.value))
  const hasDigest =
    isWhole || textOf(members.tag?.value).includes('@') || digestPart(image) !== null
  if (chosen.digest !== null && !hasDigest && kind === 'alternate')
    return {
      ok: false,
      problem: 'an image of another publisher needs a digest; add digest: "" if the chart reads it',
    }
  const target = hasDigest ? chosen : { ...chosen, digest: original.digest }
  const parts = isWhole ? wholeParts(image, target) : groupParts(image, original, target)
  const composed = composeImage(image, parts)
  const parsed = parseReference(composed)
  if (!parsed.ok || !isSameImage(parsed.reference, target))
    return { ok: false, problem: `its members cannot express ${formatReference(target)}` }
  const note =
    target === chosen || chosen.digest === null
      ? null
      : 'it has no member for a digest; add digest: "" if the chart reads it'
  return { ok: true, parts, image: composed, note }
}

function wholeParts({ members }: ValueImage, target: Reference): Map<ImagePart, string> {
  if (textOf(members.registry?.value) === '') return new Map([['name', formatReference(target)]])
  const rest = formatReference({ ...target, domain: '' })
  return new Map([
    ['registry', target.domain],
    ['name', rest],
  ])
}

function groupParts(
  image: ValueImage,
  original: Reference,
  target: Reference,
): Map<ImagePart, string> {
  const parts = new Map<ImagePart, string>()
  const { members } = image
  if (!isSameName(original, target))
    for (const [part, value] of nameParts(image, target)) parts.set(part, value)
  if (textOf(members.tag?.value).includes('@')) {
    if (target.tag !== original.tag || target.digest !== original.digest)
      parts.set('tag', `${target.tag ?? ''}@${target.digest ?? ''}`)
    return parts
  }
  if (target.tag !== original.tag) parts.set('tag', target.tag ?? '')
  const part = digestPart(image)
  if (target.digest !== original.digest && target.digest !== null && part !== null)
    parts.set(part, part === 'sha' ? target.digest.replace(/^sha256:/, '') : target.digest)
  return parts
}

function nameParts({ members }: ValueImage, target: Reference): [ImagePart, string][] {
  const registry = textOf(members.registry?.value)
  if (registry === '') return [['name', repositoryName(target)]]
  const name = textOf(members.name?.value)
  const full = repositoryName(target)
  const slash = registry.endsWith('/') ? '/' : ''
  // `registry: ghcr.io/acme` with a short name stays in two such parts if it can.
  if (/\/./.test(registry) && full.endsWith(`/${name}`))
    return [['registry', full.slice(0, -name.length - 1) + slash]]
  return [
    ['registry', target.domain + slash],
    ['name', target.path],
  ]
}

function isSameName(one: Reference, other: Reference): boolean {
  return repositoryName(canonicalReference(one)) === repositoryName(canonicalReference(other))
}

/** The member for a digest, even if it is empty; null if there is none. */
function digestPart({ members }: ValueImage): 'digest' | 'sha' | null {
  if (members.digest !== undefined) return 'digest'
  return members.sha === undefined ? null : 'sha'
}

/** Composes the image from the new members, and the other ones as they are. */
function composeImage({ members }: ValueImage, parts: ReadonlyMap<ImagePart, string>): string {
  const text = (part: ImagePart) => {
    const { [part]: member } = members
    return member === undefined ? '' : (parts.get(part) ?? textOf(member.value))
  }
  const registry = text('registry').replace(/\/$/, '')
  const sha = text('sha')
  const digest = text('digest') || (sha === '' ? '' : `sha256:${sha}`)
  return (
    (registry === '' ? '' : `${registry}/`) +
    text('name') +
    (text('tag') === '' ? '' : `:${text('tag')}`) +
    (digest === '' ? '' : `@${digest}`)
  )
}

function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}
