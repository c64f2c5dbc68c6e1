/** Berth's mirrors in a registries.yaml that is there already: its passwords, other mirrors and comments stay. */
import { type Document, isMap, parse, parseDocument } from 'yaml'

interface Registries {
  readonly mirrors?: Readonly<Record<string, unknown>>
  readonly configs?: Readonly<Record<string, { readonly tls?: Readonly<Record<string, unknown>> }>>
}

/** A file that cannot be read is replaced as a whole: K3s does not start with it. */
export function mergeRegistries(there: string, ours: string): string {
  const document = parseDocument(there)
  if (document.errors.length > 0 || !isMap(document.contents)) return ours
  const { mirrors = {}, configs = {} } = parse(ours) as Registries
  clearEmpty(document, 'mirrors')
  for (const [host, mirror] of Object.entries(mirrors))
    document.setIn(['mirrors', host], document.createNode(mirror))
  clearEmpty(document, 'configs')
  for (const [host, { tls = {} }] of Object.entries(configs)) {
    for (const [key, value] of Object.entries(tls))
      document.setIn(['configs', host, 'tls', key], value)
  }
  return document.toString({ lineWidth: 0 })
}

/** `mirrors:` with nothing behind it is null, which takes no keys. */
function clearEmpty(document: Document, key: string): void {
  if (document.has(key) && !isMap(document.get(key))) document.delete(key)
}
