/**
 * Finds what looks like an image outside of the fields that Berth rewrites: in fields of custom resources, environment
 * variables, arguments, ConfigMaps, Helm values and annotations. Pure.
 */
import { parseReference } from '../decision/reference/parse.ts'
import type { Reference } from '../decision/reference/reference.ts'
import { isObject, type JsonObject, member, textMember } from '../json/json.ts'
import { manifestLimits } from '../yaml/limits.ts'
import { parseYaml } from '../yaml/parse-yaml.ts'
import { imagesInNames, namedValues, type ValueImage } from './helm/value-images.ts'
import { valuePlacesIn } from './helm/value-places.ts'
import { readImageGroup } from './image-group.ts'
import { isImageKey, isVersioned, namesRegistry } from './image-text.ts'
import { type DocumentPath, valueOf } from './manifests.ts'
import { kindOf } from './pod-locations.ts'

/** Where an image is, for the summary. */
export type ImagePlace =
  | 'custom-resource'
  | 'environment-variable'
  | 'argument'
  | 'config-map'
  | 'helm-values'
  | 'annotation'
  | 'other'

export interface OtherImage {
  readonly place: ImagePlace
  /** From the object to the text, or to the map with the parts of the image. */
  readonly path: DocumentPath
  /** Lines from the beginning of the text at `path` to the image. */
  readonly lineInText: number
  readonly image: string
  readonly reference: Reference
  /** False if the chart adds the tag. */
  readonly hasVersion: boolean
  /** True for a word of a text, such as a script, that may name images that nothing pulls. */
  readonly isInText: boolean
}

export interface FindOptions {
  /** Paths whose values are not searched: the images that are rewritten. */
  readonly covered: readonly DocumentPath[]
  /** Whether the table rewrites images of this name. */
  readonly isListed: (reference: Reference) => boolean
}

/** Images of one object. A ConfigMap can have a list of many more; the first ones show what is missing. */
const maxImages = 1_000

/** Characters of a text that are searched for images. */
const maxTextLength = 1024 ** 2

/** Returns the images in the order of the object. Kustomizations and Secrets are not searched. */
export function findOtherImages(object: unknown, { covered, isListed }: FindOptions): OtherImage[] {
  const kind = kindOf(object)
  if (!isObject(object) || skippedKinds.test(kind)) return []
  const isCovered = new Set(covered.map((path) => JSON.stringify(path)))
  const found: OtherImage[] = []
  const add = (image: Omit<OtherImage, 'reference'>): void => {
    const parsed = parseReference(image.image)
    if (found.length < maxImages && parsed.ok && isListed(parsed.reference))
      found.push({ ...image, reference: parsed.reference })
  }
  const visit = (value: unknown, path: DocumentPath): void => {
    if (isSkipped(path) || isCovered.has(JSON.stringify(path))) return
    if (typeof value === 'string') {
      visitText(value, path)
      return
    }
    if (Array.isArray(value)) value.forEach((item, index) => visit(item, [...path, index]))
    if (!isObject(value)) return
    const group = readImageGroup(value, isImageKey(lastName(path)))
    if (group !== null)
      add({ ...group, place: placeOf(kind, path), path, lineInText: 0, isInText: false })
    for (const [key, each] of Object.entries(value))
      if (group?.keys.includes(key) !== true) visit(each, [...path, key])
  }
  const visitText = (text: string, path: DocumentPath): void => {
    const place = placeOf(kind, path)
    if (text.length > maxTextLength) return
    if (place === 'helm-values' && text.includes('\n')) {
      for (const image of imagesInValues(text, isListed)) add({ ...image, path, place })
      return
    }
    const isInText = /\s/.test(text.trim())
    for (const image of imagesInText(text, nameOfText(object, path)))
      add({ ...image, place, path, hasVersion: true, isInText })
  }
  for (const each of namedImages(object)) {
    const { image, hasVersion, path } = each
    add({ image, hasVersion, place: 'helm-values', path, lineInText: 0, isInText: false })
    isCovered.add(JSON.stringify(path))
  }
  visit(object, [])
  return found
}

/** Returns the images in Helm values with names such as `image.tag`, whose parts are in different members. */
function namedImages(object: JsonObject): ValueImage[] {
  return valuePlacesIn(object).flatMap((place) => imagesInNames(namedValues(place), place.path))
}

/** Kustomize reads its own images. Secrets are not printed. The schema of a custom resource has no images. */
const skippedKinds =
  /^(?:\/Secret|apiextensions\.k8s\.io\/CustomResourceDefinition|kustomize\.config\.k8s\.io\/.*)$/

function isSkipped([first, second, third]: DocumentPath): boolean {
  if (first === 'status' || first === 'apiVersion' || first === 'kind') return true
  if (first !== 'metadata' || second === undefined) return false
  return (
    second !== 'annotations' ||
    third === 'kubectl.kubernetes.io/last-applied-configuration' ||
    third === 'berth.dev/images'
  )
}

const helmKinds =
  /^(?:helm\.toolkit\.fluxcd\.io\/HelmRelease|helm\.cattle\.io\/HelmChart(?:Config)?|argoproj\.io\/Application(?:Set)?)$/

/** Groups of Kubernetes end in `.k8s.io`, or have no dot. */
const builtInGroup = /^(?:[^./]*|[^/]*\.k8s\.io)\//

function placeOf(kind: string, path: DocumentPath): ImagePlace {
  if (path[0] === 'metadata') return 'annotation'
  if (
    kind === '' ||
    (helmKinds.test(kind) && path.some((key) => /^(?:helm|set|values.*)$/.test(String(key))))
  )
    return 'helm-values'
  if (kind === '/ConfigMap') return 'config-map'
  if (path.includes('env') && path.at(-1) === 'value') return 'environment-variable'
  if (typeof path.at(-1) === 'number' && /^(?:args|command)$/.test(String(path.at(-2))))
    return 'argument'
  return builtInGroup.test(kind) ? 'other' : 'custom-resource'
}

/** Returns what names a text: the key, or the name of an environment variable or Helm parameter. */
function nameOfText(object: unknown, path: DocumentPath): string {
  if (path.at(-1) !== 'value') return lastName(path)
  const holder = path
    .slice(0, -1)
    .reduce<unknown>(
      (value, key) => (Array.isArray(value) ? value[Number(key)] : member(value, String(key))),
      object,
    )
  return textMember(holder, 'name')
}

function lastName(path: DocumentPath): string {
  return path.findLast((key) => typeof key === 'string') ?? ''
}

type TextImage = Pick<OtherImage, 'image' | 'lineInText'>

/** Returns the whole text if it is an image; otherwise the images in it that name their registry and a tag or digest. */
function imagesInText(text: string, name: string): TextImage[] {
  const whole = text.trim().replace(/^docker:\/\//, '')
  if (!/[\s=,;"']/.test(whole)) {
    if (/\{\{|\$[({]/.test(whole)) return []
    const isWanted = isImageKey(name)
      ? isVersioned(whole) || namesRegistry(whole) || name === 'image'
      : isVersioned(whole) && namesRegistry(whole)
    return isWanted ? [{ image: whole, lineInText: 0 }] : []
  }
  return text
    .split('\n')
    .flatMap((line, lineInText) => [...tokensIn(line)].map((image) => ({ image, lineInText })))
}

/** Yields the words of a line that are images. Linear: a character belongs to one word. */
function* tokensIn(line: string): Generator<string> {
  const named = /^\s*-?\s*["']?\w*image["']?:\s+["']?([^\s"'#,{}]+)/di.exec(line)
  const first = named?.[1]
  const end = named?.indices?.[1]?.[1] ?? 0
  const isNamed =
    first !== undefined && isVersioned(first) && !isJoined(line, end - first.length, end)
  if (isNamed) yield first
  for (const { 0: word, index } of line.matchAll(/[\w.:@/+-]+/g)) {
    // `${IMAGE:-ghcr.io/a/b:1}` has a default.
    const image = word.replace(/^\w+:-/, '').replace(/[.:]+$/, '')
    if (isNamed && image === first) continue
    const isWhole = !isJoined(line, index, index + word.length)
    if (isWhole && isVersioned(image) && namesRegistry(image)) yield image
  }
}

/** Returns whether a word is joined with a variable or a template, as `ghcr.io/a/b:${TAG}`. Then only a part of it is known. */
function isJoined(line: string, start: number, end: number): boolean {
  const isAfter = /[)}]/.test(line.slice(Math.max(0, start - 1), start))
  return isAfter || /^[$%{<*]/.test(line.slice(end, end + 1))
}

/** Returns the images of Helm values that are a text in YAML. */
function imagesInValues(
  text: string,
  isListed: FindOptions['isListed'],
): Omit<OtherImage, 'path' | 'place' | 'reference'>[] {
  const lineOf = createLineOf(text)
  const { documents, errors } = parseYaml(text, manifestLimits)
  const [document] = documents
  if (document === undefined || errors.length > 0) return []
  return findOtherImages(valueOf(document), { covered: [], isListed }).map(
    ({ image, hasVersion, isInText, path }) => ({
      image,
      hasVersion,
      isInText,
      lineInText: lineOf(document.getIn(path, true)),
    }),
  )
}

/** Returns a function from a node to its line, from 0. It counts the lines between one node and the next only once. */
function createLineOf(text: string): (node: unknown) => number {
  let [counted, line] = [0, 0]
  return (node) => {
    const range = member(node, 'range')
    const offset = Number(Array.isArray(range) ? range[0] : 0)
    if (offset < counted) [counted, line] = [0, 0]
    for (let next = text.indexOf('\n', counted); next >= 0 && next < offset; line++) {
      counted = next + 1
      next = text.indexOf('\n', counted)
    }
    return line
  }
}
