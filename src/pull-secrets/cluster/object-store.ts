/** Objects by namespace and name, from watches and from answers to our own writes, whichever is newer. */

export interface Versioned {
  readonly resourceVersion: string
}

export interface Store<Kept extends Versioned> {
  of(namespace: string): ReadonlyMap<string, Kept>
  get(namespace: string, name: string): Kept | null
  /** False when it is older than what is there. */
  put(namespace: string, name: string, kept: Kept): boolean
  drop(namespace: string, name: string): void
}

const none: ReadonlyMap<string, never> = new Map<string, never>()

export function createStore<Kept extends Versioned>(): Store<Kept> {
  const namespaces = new Map<string, Map<string, Kept>>()
  return {
    of: (namespace) => namespaces.get(namespace) ?? none,
    get: (namespace, name) => namespaces.get(namespace)?.get(name) ?? null,
    put(namespace, name, kept) {
      const there = namespaces.get(namespace) ?? new Map<string, Kept>()
      namespaces.set(namespace, there)
      const known = there.get(name)
      if (known !== undefined && isOlder(kept, known)) return false
      there.set(name, kept)
      return true
    },
    drop(namespace, name) {
      const there = namespaces.get(namespace)
      there?.delete(name)
      if (there?.size === 0) namespaces.delete(namespace)
    },
  }
}

/** Versions of one resource can be compared as numbers (KEP-5504); what is no number counts as new. */
function isOlder(
  { resourceVersion: one }: Versioned,
  { resourceVersion: other }: Versioned,
): boolean {
  return /^\d+$/.test(one) && /^\d+$/.test(other) && BigInt(one) < BigInt(other)
}
