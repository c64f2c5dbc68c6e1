/** Reads an image that Helm values store in parts: `registry`, `repository`, `tag` and `digest`. Pure. */
import type { JsonObject } from '../json/json.ts'

export interface ImageGroup {
  readonly image: string
  readonly hasVersion: boolean
  /** The members that make up the image. */
  readonly keys: readonly string[]
}

/**
 * Returns the image of a map; null if the map has none. A map without a tag has one if its name says so. Charts also write
 * `image` for the repository, next to a `tag`.
 *
 * @example readImageGroup({ repository: 'ghcr.io/a/b', tag: 1.2 }, false) // { image: 'ghcr.io/a/b:1.2', … }
 */
export function readImageGroup(map: JsonObject, isNamedImage: boolean): ImageGroup | null {
  const key = ['repository', 'image', 'name'].find((each) => textAt(map, each) !== '')
  if (key === undefined) return null
  const [registry, repository] = [textAt(map, 'registry'), textAt(map, key)]
  const [tag, digest] = [textAt(map, 'tag'), textAt(map, 'digest')]
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
    keys: ['registry', key, 'tag', 'digest'],
  }
}

function textAt(map: JsonObject, key: string): string {
  const value = Object.hasOwn(map, key) ? map[key] : undefined
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}
