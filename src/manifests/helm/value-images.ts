/** Finds the images in Helm values, with the members that make up each of them. Pure. */
import { isObject, type JsonObject, member } from '../../json/json.ts'
import { readImageGroup, textAt } from '../image-group.ts'
import { isImageKey, isVersioned, namesRegistry } from '../image-text.ts'
import type { DocumentPath } from '../manifests.ts'
import type { ValuePlace } from './value-places.ts'

/** The parts of an image. `name` is the repository, or the whole image. */
export type ImagePart = 'registry' | 'name' | 'tag' | 'digest' | 'sha'

/** A member of the values with a part of an image. */
export interface ValueMember {
  readonly path: DocumentPath
  readonly value: unknown
}

/** An image in Helm values. */
export interface ValueImage {
  /** The image as charts compose it. */
  readonly image: string
  readonly hasVersion: boolean
  readonly members: Readonly<Partial<Record<ImagePart, ValueMember>>>
  /** Where the image is: the map, or the text with the whole image; in the object, or in the values that are a text. */
  readonly path: DocumentPath
  /** The path in the values, such as `controller` and `image`. */
  readonly keys: DocumentPath
  /** Why Berth cannot tell how the chart composes the image; null if it can. */
  readonly problem: string | null
}

/** The names of members with a part of an image. */
const partKeys: readonly string[] = [
  'registry',
  'repository',
  'image',
  'name',
  'tag',
  'digest',
  'sha',
]

/** Returns the images in values: a map, or maps and lists inside of it. */
export function imagesInMap(value: unknown, path: DocumentPath): ValueImage[] {
  const images: ValueImage[] = []
  const visit = (value: unknown, keys: DocumentPath): void => {
    if (Array.isArray(value)) value.forEach((item, index) => visit(item, [...keys, index]))
    if (!isObject(value)) return
    const at = [...path, ...keys]
    const name = keys.findLast((key) => typeof key === 'string') ?? ''
    const group = readImage(value, name, (key) => [...at, key])
    if (group !== null) images.push({ ...group, path: at, keys })
    for (const [key, each] of Object.entries(value)) {
      if (group?.own.has(key) === true) continue
      const whole = wholeImage(value, key, [...at, key])
      if (whole === null) visit(each, [...keys, key])
      else images.push({ ...whole, keys: [...keys, key] })
    }
  }
  visit(value, [])
  return images
}

/** Returns the images in names such as `image.tag`, with their values. */
export function imagesInNames(entries: readonly NamedValue[], path: DocumentPath): ValueImage[] {
  const maps = Map.groupBy(
    // A name in quotes or with an escaped dot is rare, and is not read.
    entries.filter(({ name }) => !/[\\"]/.test(name)),
    ({ name }) => name.slice(0, Math.max(0, name.lastIndexOf('.'))),
  )
  return [...maps].flatMap(([prefix, named]) => {
    const members = new Map(named.map((each) => [lastKey(each.name), each]))
    const map = Object.fromEntries([...members].map(([key, { value }]) => [key, value]))
    const pathOf = (key: string) => members.get(key)?.path ?? path
    const isRepeated = members.size < named.length
    const group = readImage(map, lastKey(prefix), pathOf)
    const images = [
      ...(group === null ? [] : [{ ...group, path: pathOf(group.nameKey), keys: keysOf(prefix) }]),
      ...[...members].flatMap(([key, { name }]) => {
        const whole = group?.own.has(key) === true ? null : wholeImage(map, key, pathOf(key))
        return whole === null ? [] : [{ ...whole, keys: keysOf(name) }]
      }),
    ]
    return isRepeated
      ? images.map((image) => ({ ...image, problem: 'a name is repeated' }))
      : images
  })
}

/** A value with its name, such as `image.tag`. */
export interface NamedValue {
  readonly name: string
  readonly value: unknown
  readonly path: DocumentPath
}

/** Returns the values of a place that has names; none for other places. */
export function namedValues({ form, path, value }: ValuePlace): NamedValue[] {
  if (form === 'set' && isObject(value))
    return Object.entries(value).map(([name, each]) => ({
      name,
      value: each,
      path: [...path, name],
    }))
  if (form !== 'list' || !Array.isArray(value)) return []
  return value.flatMap((item: unknown, index) => {
    const name = member(item, 'name')
    const each = member(item, 'value')
    return typeof name === 'string' ? [{ name, value: each, path: [...path, index, 'value'] }] : []
  })
}

function keysOf(name: string): string[] {
  return name === '' ? [] : name.split('.')
}

function lastKey(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}

function readImage(
  map: JsonObject,
  name: string,
  pathOf: (key: string) => DocumentPath,
): (Omit<ValueImage, 'path' | 'keys'> & { own: ReadonlySet<string>; nameKey: string }) | null {
  const group = readImageGroup(map, isImageKey(name))
  if (group === null) return null
  const { image, hasVersion, nameKey } = group
  const memberOf = (part: ImagePart, key: string) =>
    Object.hasOwn(map, key) ? { [part]: { path: pathOf(key), value: map[key] } } : {}
  return {
    image,
    hasVersion,
    nameKey,
    own: new Set(group.keys),
    members: {
      ...memberOf('registry', 'registry'),
      ...memberOf('name', nameKey),
      ...memberOf('tag', 'tag'),
      ...memberOf('digest', 'digest'),
      ...memberOf('sha', 'sha'),
    },
    problem: groupProblem(map, nameKey, image),
  }
}

function groupProblem(map: JsonObject, nameKey: string, image: string): string | null {
  const [name, tag, sha] = [textAt(map, nameKey), textAt(map, 'tag'), textAt(map, 'sha')]
  if (nameKey === 'repository' && textAt(map, 'image') !== '')
    return 'it has both repository and image, and charts join them in different ways'
  // `repository: ghcr.io/acme` with `name: web`. A name can also be that of a container.
  const other = nameKey === 'repository' ? textAt(map, 'name') : ''
  if (other !== '' && !name.endsWith(`/${other}`))
    return 'it has both repository and name, and charts join them in different ways'
  if (isVersioned(name) && tag !== '') return `both ${nameKey} and tag have a version`
  if (sha !== '' && (textAt(map, 'digest') !== '' || !/^[0-9a-f]{64}$/.test(sha)))
    return 'sha is not 64 hexadecimal digits, or there is a digest too'
  const joined = Object.keys(map).find((key) => joinedKey.test(key) && textAt(map, key) !== '')
  if (joined !== undefined) return `it has ${joined}, which the chart can join with the name or tag`
  return registryProblem(map, image)
}

/** `tagSuffix: -debug`, `variant: distroless`. The chart then runs another version than the tag says. */
const joinedKey = /^(?:image|name|tag|version)?(?:suffix|prefix|variant|flavou?r)$/i

/** Returns the image if a member is a whole image; null otherwise. */
function wholeImage(
  map: JsonObject,
  key: string,
  path: DocumentPath,
): Omit<ValueImage, 'keys'> | null {
  const value = map[key]
  if (typeof value !== 'string' || !isImageKey(key) || /[\s{}$]|:\/\//.test(value)) return null
  if (!isVersioned(value)) return null
  const members = { name: { path, value } }
  const problem =
    textAt(map, 'registry') === '' && textAt(map, 'repository') === ''
      ? registryProblem(map, value)
      : 'charts join it with the registry or repository next to it in different ways'
  return { image: value, hasVersion: true, members, path, problem }
}

/** The chart can join a name with its default registry, or with one from another member. */
function registryProblem(map: JsonObject, image: string): string | null {
  const other = Object.keys(map).find(
    (key) => key !== 'registry' && /(?:registry|hub|host)$/i.test(key) && textAt(map, key) !== '',
  )
  if (other !== undefined) return `it has ${other}, which the chart can join with the name`
  return namesRegistry(image)
    ? null
    : 'it does not name its registry, and the chart can add any; write the registry into the values'
}

/** Returns the name of a value that sets the registry of all images; null if there is none. */
export function registryForAll(values: JsonObject): string | null {
  const roots: (readonly [string, unknown])[] = [
    ['', values],
    ['global.', member(values, 'global')],
    ['global.image.', member(member(values, 'global'), 'image')],
  ]
  for (const [prefix, map] of roots) {
    if (!isObject(map) || (prefix === '' && readImageGroup(map, false) !== null)) continue
    const key = Object.keys(map).find(
      (each) => /registry$|^hub$/i.test(each) && textAt(map, each) !== '',
    )
    if (key !== undefined) return `${prefix}${key}`
  }
  return null
}

/** Returns the paths of maps with a part of an image, such as `controller.image`. */
export function partPathsInMap(value: unknown): Set<string> {
  const paths = new Set<string>()
  const visit = (value: unknown, keys: DocumentPath): void => {
    if (Array.isArray(value)) value.forEach((item, index) => visit(item, [...keys, index]))
    if (!isObject(value)) return
    for (const [key, each] of Object.entries(value)) {
      if (typeof each === 'object') visit(each, [...keys, key])
      else {
        if (partKeys.includes(key)) paths.add(keys.join('.'))
        if (isImageKey(key)) paths.add([...keys, key].join('.'))
      }
    }
  }
  visit(value, [])
  return paths
}

/** Returns the same for names such as `image.tag`. */
export function partPathsInNames(names: readonly string[]): Set<string> {
  return new Set(
    names.flatMap((name) => [
      ...(partKeys.includes(lastKey(name))
        ? [name.slice(0, Math.max(0, name.lastIndexOf('.')))]
        : []),
      ...(isImageKey(lastKey(name)) ? [name] : []),
    ]),
  )
}
