/** Merges Berth's mirrors into an existing registries.yaml, and keeps its passwords, other mirrors and comments. */
import { type Document, isMap, parse, parseDocument } from 'yaml'

interface RegistriesYaml {
  readonly mirrors?: Readonly<Record<string, unknown>>
  readonly configs?: Readonly<Record<string, { readonly tls?: Readonly<Record<string, unknown>> }>>
}

/** Returns the merged text. A file that does not parse is replaced as a whole, because K3s does not start with it. */
export function mergeRegistriesYaml(existing: string, rendered: string): string {
  const document = parseDocument(existing)
  if (document.errors.length > 0 || !isMap(document.contents)) return rendered
  const { mirrors = {}, configs = {} } = parse(rendered) as RegistriesYaml
  deleteUnlessMap(document, 'mirrors')
  for (const [host, mirror] of Object.entries(mirrors))
    document.setIn(['mirrors', host], document.createNode(mirror))
  deleteUnlessMap(document, 'configs')
  for (const [host, { tls = {} }] of Object.entries(configs)) {
    for (const [key, value] of Object.entries(tls))
      document.setIn(['configs', host, 'tls', key], value)
  }
  return document.toString({ lineWidth: 0 })
}

/** An empty `mirrors:` is null, and keys cannot be set on it. */
function deleteUnlessMap(document: Document, key: string): void {
  if (document.has(key) && !isMap(document.get(key))) document.delete(key)
}
