/** Lists the images in the Helm values of an object, as locations that are decided like single images. */
import { canonicalReference } from '../../decision/fallback/registry-aliases.ts'
import { unknownPod } from '../../decision/fallback/pod-context.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import { repositoryName } from '../../decision/reference/reference.ts'
import { isObject, member, textMember } from '../../json/json.ts'
import { type ManifestObject, type Manifests, readManifests } from '../manifests.ts'
import { kindOf, type PodLocation } from '../pod-locations.ts'
import { siteText } from '../site-text.ts'
import {
  imagesInMap,
  imagesInNames,
  namedValues,
  partPathsInMap,
  partPathsInNames,
  registryForAll,
  type ValueImage,
} from './value-images.ts'
import type { ValueOverrides } from './value-overrides.ts'
import {
  isApplication,
  otherValuePaths,
  postRenderedNames,
  targetNamespace,
  type ValuePlace,
  valuePlacesIn,
} from './value-places.ts'

/** Values with the images in them. */
interface ReadPlace {
  readonly place: ValuePlace
  /** The parsed values if they are a text. */
  readonly text: Manifests | null
  readonly images: readonly ValueImage[]
  /** The paths of maps with a part of an image. */
  readonly partPaths: ReadonlySet<string>
  readonly registryForAll: string | null
}

/** An image in Helm values, and where its values are. */
export interface LocatedValueImage extends ValueImage {
  readonly place: ValuePlace
  readonly text: Manifests | null
}

export interface LocateOptions {
  /** Whether a map without `apiVersion` and `kind` is a values file. */
  readonly isValuesFile: boolean
  readonly overrides: ValueOverrides
}

/** An image in Helm values, as a location that is decided like a single image. */
export interface ValueLocation extends PodLocation {
  /** Whether neither `-n` nor a kustomization can set the namespace of the pods. */
  readonly hasFixedNamespace: boolean
  readonly values: LocatedValueImage
}

/** Returns the images in Helm values; none for objects without values. */
export function valueLocationsIn(
  { value: object }: ManifestObject,
  { isValuesFile, overrides }: LocateOptions,
): ValueLocation[] {
  const kind = kindOf(object)
  if (kind === '' && !isValuesFile) return []
  const target = targetNamespace(object)
  const own = isApplication(object) ? '' : textMember(member(object, 'metadata'), 'namespace')
  const namespace = target ?? (own === '' ? null : own)
  return locateImages(object, overrides).map((image) => {
    const { path } = image.place
    const name = siteText([...path, ...image.keys])
    return {
      namespace,
      isPod: false,
      pod: { spec: { containers: [{ name, image: image.image }] } },
      context: { ...unknownPod, namespace },
      path: image.text === null ? image.path : path,
      pointerFromPath: (pointer) => pointer,
      siteName: () => name,
      hasFixedNamespace: target !== null || isApplication(object),
      values: image,
    }
  })
}

function locateImages(object: unknown, overrides: ValueOverrides): LocatedValueImage[] {
  const places = valuePlacesIn(object).map(readPlace)
  const elsewhere = partPathsInNames(otherValuePaths(object))
  const replaced = new Set(postRenderedNames(object).flatMap(nameOf))
  const problemOf = (image: ValueImage, own: ReadPlace): string | null => {
    const path = image.keys.join('.')
    const ofChart = places.filter(({ place }) => isSameChart(place, own.place))
    const forAll = ofChart.find((each) => each.registryForAll !== null)?.registryForAll
    if (forAll !== undefined) return `${forAll} sets the registry of all images`
    const isShared =
      elsewhere.has(path) || ofChart.some((each) => each !== own && each.partPaths.has(path))
    if (isShared) return 'another source of values of this object sets a part of it'
    if (overrides.isOverridden(object, path)) return 'another document or a patch sets a part of it'
    if (nameOf(image.image).some((name) => replaced.has(name)))
      return 'an entry of postRenderers replaces the image by its name'
    return image.problem ?? versionProblem(image)
  }
  return places.flatMap((read) =>
    read.images.map((image) => ({
      ...image,
      problem: problemOf(image, read),
      place: read.place,
      text: read.text,
    })),
  )
}

/** The sources of an Application have different charts. */
function isSameChart({ path: one }: ValuePlace, { path: other }: ValuePlace): boolean {
  return siteText(one.slice(0, -1)) === siteText(other.slice(0, -1))
}

function readPlace(place: ValuePlace): ReadPlace {
  const names = namedValues(place)
  if (place.form === 'set' || place.form === 'list')
    return {
      place,
      text: null,
      images: imagesInNames(names, place.path),
      partPaths: partPathsInNames(names.map(({ name }) => name)),
      registryForAll:
        names.find(
          ({ name, value }) =>
            /^(?:global\.(?:image\.)?)?\w*registry$/i.test(name) &&
            name !== 'registry' &&
            value !== '',
        )?.name ?? null,
    }
  const text = place.form === 'text' ? readText(String(place.value)) : null
  const value = text === null ? place.value : text.objects[0]?.value
  const path = text === null ? place.path : []
  return {
    place,
    text,
    images: imagesInMap(value, path),
    partPaths: partPathsInMap(value),
    registryForAll: isObject(value) ? registryForAll(value) : null,
  }
}

/** Returns values that are a text; null if it does not parse, for example because it has a template. */
function readText(text: string): Manifests | null {
  const read = readManifests(text)
  return read.ok && read.manifests.documents.length === 1 ? read.manifests : null
}

function nameOf(image: string): string[] {
  const parsed = parseReference(image)
  return parsed.ok ? [repositoryName(canonicalReference(parsed.reference))] : []
}

/** Helm reads numbers as floating-point numbers, so that 20261129 becomes 2.0261129e+07. */
function versionProblem({ hasVersion, members }: ValueImage): string | null {
  if (!hasVersion)
    return 'the chart adds the tag, so Berth cannot look for the image; write the tag into the values'
  const tag = members.tag?.value
  return typeof tag === 'number' && !/^\d{1,6}(?:\.\d+)?$/.test(String(tag))
    ? 'the tag is a number that Helm can write in another way; write it in quotes'
    : null
}
