/** Example images of patterns: what can be told about a table without an image is told by them. */
import type { Reference } from '../reference/reference.ts'
import type { ImagePattern } from './image-pattern.ts'
import { renderTemplate, type ImageTemplate } from './image-template.ts'

/** What the template makes of an image of the pattern. */
export function renderExample(template: ImageTemplate, pattern: ImagePattern): string {
  return renderTemplate(template, { reference: exampleImage(pattern), namespace: 'default' })
}

/** One image that the pattern matches: wildcards become the shortest text that fits. */
export function exampleImage({ literal, host, path }: ImagePattern): Reference {
  const text = literal === null ? fill(path) : literal
  const slash = text.indexOf('/')
  const parts =
    literal === null && host !== null
      ? { domain: host, path: text }
      : { domain: withDot(text.slice(0, Math.max(slash, 0))), path: text.slice(slash + 1) }
  return { ...parts, tag: null, digest: null }
}

function fill(glob: string): string {
  return glob
    .replaceAll('**', 'a/b')
    .replaceAll(/\*|\?/g, 'a')
    .replaceAll(/\[\^?(.)[^\]]*\]/g, '$1')
}

function withDot(host: string): string {
  return host === '' || !/[.:]/.test(host) ? 'a.b' : host
}
