/** Finds templates that join variables in one segment, so that a name does not show where each value ends. */
import { hostComponent } from './host-component.ts'
import { exampleName, type RenamedImages } from './renamed-images.ts'

const joinedVariables = /\{[^/]*\{/

/**
 * Returns the segment of a template that can be read in several ways, such as `{namespace}-{name}` or `{host}-{path}`: two
 * images can get the same name there. Returns null if the images of the row do not.
 */
export function findAmbiguousSegment(renamed: readonly RenamedImages[]): string | null {
  const [first] = renamed
  if (first === undefined || !joinedVariables.test(first.template.text)) return null
  const segment = first.template.text
    .split('/')
    .slice(1)
    .find((each) => isAmbiguous(each, renamed))
  if (segment === undefined) return null
  if (renamed.some(({ images }) => !images.isLiteral)) return segment
  const repositories = new Set(renamed.map(({ images }) => `${images.host}/${images.path}`))
  if (repositories.size === 1) return null
  const names = new Set(renamed.map(exampleName))
  return names.size < repositories.size || segment.includes('{namespace}') ? segment : null
}

function isAmbiguous(segment: string, renamed: readonly RenamedImages[]): boolean {
  const hosts = new Set(renamed.map(({ images }) => images.host))
  const isOneHost = hosts.size === 1 && !renamed.some(({ images }) => images.isWildcardHost)
  const names = segment.match(/\{[a-z]+\}/g) ?? []
  const others = names.filter((name) => name !== '{host}')
  if (others.length > 1) return true
  if (others.length === 0 || others.length === names.length || isOneHost) return false
  if (renamed.some(({ images }) => images.isWildcardHost)) return true
  // With one other variable, the name shows the host if no host begins, or ends, with the text of another one.
  const [before = '', after = ''] = segment.split(others[0] ?? '')
  const fill = (text: string) =>
    [...hosts].map((host) => text.replaceAll('{host}', hostComponent(host)))
  const reversed = fill(after).map((text) => [...text].toReversed().join(''))
  return hasPrefix(fill(before)) && hasPrefix(reversed)
}

/** Returns true if a text begins with another one, or if all are equal. */
function hasPrefix(texts: readonly string[]): boolean {
  const sorted = [...new Set(texts)].sort()
  if (sorted.length === 1) return true
  return sorted.some((text, index) => index > 0 && text.startsWith(sorted[index - 1] ?? ''))
}
