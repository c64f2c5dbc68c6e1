/**
 * Leaves out the objects of manifests that cannot have images, before they are parsed: definitions of custom resources, and
 * objects without a word that could be an image. In some repositories, these are 97 % of the text. Pure.
 */
import type { TextPart } from '../yaml/parse-yaml.ts'

/**
 * Returns the parts of the text with the other documents, in order. Takes time linear in the length of the text. Objects of
 * `kinds` are not left out.
 */
export function partsWithImages(text: string, kinds: readonly string[]): TextPart[] {
  // A document that begins with a directive, and JSON, are left whole.
  if (/^(?:%|\s*[{[])/.test(text) || /\n%/.test(text)) return [{ start: 0, end: text.length }]
  const parts: TextPart[] = []
  const add = (start: number, end: number): void => {
    if (!isNeeded(text.slice(start, end), kinds)) return
    const last = parts.at(-1)
    if (last?.end === start) parts.splice(-1, 1, { start: last.start, end })
    else parts.push({ start, end })
  }
  let start = 0
  for (const { index } of text.matchAll(/^---(?=\s|$)/gm)) {
    if (index > start) add(start, index)
    start = index
  }
  add(start, text.length)
  return parts
}

/** What is not an object, for example values of a chart or a mistake, is parsed. */
function isNeeded(document: string, kinds: readonly string[]): boolean {
  const kind = /^kind:[ \t]*["']?(\w+)/m.exec(document)?.[1]
  if (kind === undefined || !/^apiVersion:/m.test(document)) return true
  if (kind === 'CustomResourceDefinition') return false
  return (
    neededKinds.includes(kind) ||
    kinds.includes(kind) ||
    imageWord.test(document) ||
    imageName.test(document)
  )
}

/** A Namespace can switch Berth off for its pods. Kustomizations name files, and charts contain images. */
const neededKinds: readonly string[] = [
  'Namespace',
  'Kustomization',
  'Component',
  'HelmRelease',
  'HelmChart',
  'Application',
  'ApplicationSet',
]

const imageWord = /image|repository|registry/i

/** `ghcr.io/acme/web:1`. Each part has a limit, so that a long line takes linear time. */
const imageName = /\w(?:\.[a-z]{2,24}(?::\d{1,5})?|:\d{1,5})\/[\w./-]{1,255}[:@]\w/
