import type { DocumentPath } from './manifests.ts'

/** Returns a path for messages, such as `spec.agents[0].image`. A key with dots is in quotes. */
export function siteText(path: DocumentPath): string {
  return path
    .map((key, index) => {
      if (typeof key === 'number') return `[${key}]`
      const name = key.includes('.') ? `["${key}"]` : key
      return index === 0 || name.startsWith('[') ? name : `.${name}`
    })
    .join('')
}
