/** Reads an image that Helm values store in parts: `registry`, `repository`, `tag` and `digest` or `sha`. Pure. */
import type { JsonObject } from '../json/json.ts'

export interface ImageGroup {
  readonly image: string
  readonly hasVersion: boolean
  /** The member with the name of the image. */
  readonly nameKey: ImageNameKey
  /** The members that make up the image. */
  readonly keys: readonly string[]
}

const nameKeys = ['repository', 'image', 'name'] as const

export type ImageNameKey = (typeof nameKeys)[number]

/**
 * Returns the image of a map; null if the map has none. A map without a tag has one if its name says so. Charts also write
 * `image` for the repository, next to a `tag`.
 *
 * @example readImageGroup({ repository: 'ghcr.io/a/b', tag: 1.2 }, false) // { image: 'ghcr.io/a/b:1.2', … }
 */
export function readImageGroup(map: JsonObject, isNamedImage: boolean): ImageGroup | null {
  const key = nameKeys.find((each) => textAt(map, each) !== '')
  if (key === undefined) return null
  const [registry, repository] = [textAt(map, 'registry'), textAt(map, key)]
  const [tag, digest] = [textAt(map, 'tag'), digestOf(map)]
  const isGroup =
    key === 'repository'
      ? isNamedImage || tag !== '' || 'tag' in map || digest !== ''
      : tag !== '' && (key === 'image' || (isNamedImage && repository.includes('/')))
  if (!isGroup || /\{\{|:\/\//.test(registry + repository + tag)) return null
  const hasOwnVersion = /:[^/]+$/.test(repository)
  const name = registry === '' ? repository : `${registry.replace(/\/$/, '')}/${repository}`
  const version =
    (tag === '' || hasOwnVersion ? '' : `:${tag}`) + (digest === '' ? '' : `@${digest}`)
  return {
    image: name + version,
    hasVersion: version !== '' || hasOwnVersion,
    nameKey: key,
    keys: ['registry', key, 'tag', 'digest', 'sha'],
  }
}

/** Charts such as that of Grafana have the hexadecimal part of the digest in `sha`. */
function digestOf(map: JsonObject): string {
  const [digest, sha] = [textAt(map, 'digest'), textAt(map, 'sha')]
  return digest === '' && /^[0-9a-f]{64}$/.test(sha) ? `sha256:${sha}` : digest
}

/** Returns a text or number as text, and the empty text for anything else. */
export function textAt(map: JsonObject, key: string): string {
  const value = Object.hasOwn(map, key) ? map[key] : undefined
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}
