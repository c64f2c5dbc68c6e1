/** Example images for patterns, to check a table without real images. */
import { type Reference, repositoryName } from '../reference/reference.ts'
import { fillGlob } from './glob.ts'
import type { ImagePattern } from './image-pattern.ts'
import { type ImageTemplate, renderTemplate } from './image-template.ts'

/** Returns an image that the pattern matches, with short texts in place of the wildcards. */
export function exampleImage({ literal, host, path }: ImagePattern): Reference {
  const nameOnly = { tag: null, digest: null }
  if (literal === null && host !== null) return { domain: host, path: fillGlob(path), ...nameOnly }
  const name = literal ?? fillGlob(path)
  const slash = name.indexOf('/')
  const domain = name.slice(0, Math.max(slash, 0))
  return {
    domain: /[.:]/.test(domain) ? domain : 'a.b',
    path: name.slice(slash + 1),
    ...nameOnly,
  }
}

/** Returns true if the template makes of the example image of the pattern the image itself. */
export function keepsExample(template: ImageTemplate, pattern: ImagePattern): boolean {
  const reference = exampleImage(pattern)
  const isSameHost = (template.host ?? reference.domain) === reference.domain
  const input = { reference, namespace: 'default' }
  return isSameHost && renderTemplate(template, input) === repositoryName(reference)
}
