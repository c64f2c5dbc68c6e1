/** Lists the images of manifests that the table would rewrite, but that are not in a field that Berth rewrites. */
import { canonicalReference } from '../decision/fallback/registry-aliases.ts'
import { type PodContext, unknownPod } from '../decision/fallback/pod-context.ts'
import { type FallbackTable, selectRow } from '../decision/fallback/table.ts'
import { findSites } from '../decision/pod/sites.ts'
import type { Reference } from '../decision/reference/reference.ts'
import { member, textMember } from '../json/json.ts'
import type { DocumentPath, ManifestObject, Manifests } from './manifests.ts'
import { findOtherImages, type ImagePlace } from './other-images.ts'
import {
  kindOf,
  objectTitle,
  type PodLocation,
  podLocationsIn,
  type WorkloadKind,
} from './pod-locations.ts'
import { siteText } from './site-text.ts'
import { nodeAt } from './yaml-node.ts'

export interface ElsewhereImage {
  readonly line: number | null
  /** For example `example.com/Site web`. */
  readonly object: string
  /** For example `example.com/Site`. */
  readonly kind: string
  readonly place: ImagePlace
  /** For example `spec.agents[0].image`. */
  readonly site: string
  readonly image: string
  readonly row: string
  readonly pod: PodContext
  /** False if a chart adds the tag. */
  readonly hasVersion: boolean
  /** True for a word of a text, such as a script. */
  readonly isInText: boolean
  /** The entry of `workloads` that makes Berth rewrite the image; null if no entry can. */
  readonly workload: string | null
}

export interface ElsewhereOptions {
  /** Without a table, no image is listed. */
  readonly table?: FallbackTable
  readonly workloads: readonly WorkloadKind[]
  /** The namespace of objects without one; null if it is not known. */
  readonly namespace: string | null
}

/** Returns the images in the order of the manifests. An image that is already on a mirror is not one of them. */
export function imagesElsewhere(
  manifests: Manifests,
  { table, workloads, namespace }: ElsewhereOptions,
): ElsewhereImage[] {
  if (table === undefined) return []
  return manifests.objects.flatMap((object) => {
    const { value } = object
    const own = textMember(member(value, 'metadata'), 'namespace')
    const pod = { ...unknownPod, namespace: own === '' ? namespace : own }
    const rowOf = (reference: Reference) => rewritingRow(table, reference, pod)
    return findOtherImages(value, {
      covered: podLocationsIn(value, workloads).flatMap(coveredPaths),
      isListed: (reference) => rowOf(reference) !== null,
    }).map(({ place, path, lineInText, image, reference, hasVersion, isInText }) => ({
      line: lineAt(manifests, object, path, lineInText),
      object: objectTitle(value),
      kind: kindOf(value),
      place,
      site: siteText(path),
      image,
      row: rowOf(reference) ?? '',
      pod,
      hasVersion,
      isInText,
      workload: place === 'custom-resource' ? workloadFor(kindOf(value), path) : null,
    }))
  })
}

function rewritingRow(table: FallbackTable, reference: Reference, pod: PodContext): string | null {
  if (table.mirrors.has(canonicalReference(reference).domain)) return null
  const { row } = selectRow(table, reference, pod)
  return row === null || row.leave ? null : row.name
}

function coveredPaths({ isPod, pod, path }: PodLocation): DocumentPath[] {
  if (!isPod) return [path]
  return findSites(pod).map(({ holder, imageKey }) => [...path, ...holder, imageKey])
}

/** Returns the line of what is at a path of an object, or of a line of the text there. */
export function lineAt(
  manifests: Manifests,
  { document, path: parent }: ManifestObject,
  path: DocumentPath,
  lineInText: number | null = null,
): number | null {
  const node = nodeAt(document, [...parent, ...path])
  if (!node?.range) return null
  const [start] = node.range
  // The text of a block scalar begins on the line after `|`.
  const isBlock = lineInText !== null && /^[|>]/.test(manifests.text.slice(start, start + 1))
  return manifests.lineOf(start) + (isBlock ? lineInText + 1 : 0)
}

const containerPath = /^(.+)\.spec\.(?:init|ephemeral)?[cC]ontainers\[\]\.image$/

/** Returns a line for `workloads`; null if the path cannot be written there. */
function workloadFor(kind: string, path: DocumentPath): string | null {
  const last = path.at(-1)
  if (typeof last !== 'string' || !path.every(isPlainKey)) return null
  const text = siteText(path).replaceAll(/\[\d+\]/g, '[]')
  const pod = containerPath.exec(text)?.[1]
  return pod === undefined
    ? `- { kind: ${kind}, images: ['${text}'] }`
    : `- { kind: ${kind}, pod: '${pod}' }`
}

function isPlainKey(key: string | number): boolean {
  return typeof key === 'number' || /^[A-Za-z][\w-]*$/.test(key)
}
