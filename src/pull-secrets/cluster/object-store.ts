/** Keeps objects by namespace and name, from watches and from responses to Berth's own writes, whichever is newer. */

export interface Versioned {
  readonly resourceVersion: string
}

export interface ObjectStore<Item extends Versioned> {
  /** Returns the objects of a namespace, by name. */
  of(namespace: string): ReadonlyMap<string, Item>
  get(namespace: string, name: string): Item | null
  /** Returns false, and changes nothing, if the stored object is newer. */
  put(namespace: string, name: string, item: Item): boolean
  delete(namespace: string, name: string): void
}

const none: ReadonlyMap<string, never> = new Map<string, never>()

export function createObjectStore<Item extends Versioned>(): ObjectStore<Item> {
  const namespaces = new Map<string, Map<string, Item>>()
  return {
    of: (namespace) => namespaces.get(namespace) ?? none,
    get: (namespace, name) => namespaces.get(namespace)?.get(name) ?? null,
    put(namespace, name, item) {
      const items = namespaces.get(namespace) ?? new Map<string, Item>()
      namespaces.set(namespace, items)
      const stored = items.get(name)
      if (stored !== undefined && isOlder(item, stored)) return false
      items.set(name, item)
      return true
    },
    delete(namespace, name) {
      const items = namespaces.get(namespace)
      items?.delete(name)
      if (items?.size === 0) namespaces.delete(namespace)
    },
  }
}

/** Versions of one resource can be compared as numbers (KEP-5504). A version that is not a number counts as newer. */
function isOlder(
  { resourceVersion: one }: Versioned,
  { resourceVersion: other }: Versioned,
): boolean {
  return /^\d+$/.test(one) && /^\d+$/.test(other) && BigInt(one) < BigInt(other)
}
