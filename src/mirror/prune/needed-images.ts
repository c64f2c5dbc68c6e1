/**
 * What must stay on the mirrors: names and digests, each with who needs it. It keeps too much rather than too little. It ignores
 * hosts, because one registry can have several; the conditions of rows, because a pod that is created next may meet them; and
 * the order of rows. Pure.
 */
import type { PodContext } from '../../decision/fallback/pod-context.ts'
import { canonicalReference } from '../../decision/fallback/registry-aliases.ts'
import {
  candidatesOf,
  type FallbackRow,
  type FallbackTable,
} from '../../decision/fallback/table.ts'
import { isDigest, parseReference } from '../../decision/reference/parse.ts'
import {
  type Reference,
  repositoryName,
  withDefaultTag,
} from '../../decision/reference/reference.ts'
import { BerthError } from '../../errors.ts'
import { escapeRegExp } from '../../text/escape-regexp.ts'

export interface NeededImages {
  /**
   * Adds an image and its names on all mirrors. Null for a namespace that is not known: names with any namespace are then
   * needed. Returns the reason why the image does not parse; null if it does. Throws `prune-refused` at a limit.
   */
  addImage(image: string, namespace: string | null, by: string): string | null
  addDigest(digest: string, by: string): void
  /** Returns who needs the tag of a repository on any mirror; null if it is not needed. */
  byTag(path: string, tag: string): string | null
  /** Returns who needs the digest in any repository; null if it is not needed. */
  byDigest(digest: string): string | null
  /** Returns the digests that are needed in a repository. */
  digestsIn(path: string): readonly string[]
}

/** Far more than the images of large clusters, which have thousands. An entry takes some 300 bytes. */
const maxNeeds = 500_000

const noTags: ReadonlyMap<string, string> = new Map()

/** Stands for any namespace. No real one has this name. */
const anyNamespace = 'any-namespace-of-berth-mirror-prune'

export function createNeededImages(table: FallbackTable): NeededImages {
  const byName = new Map<string, string>()
  const digests = new Map<string, string>()
  const byPath = new Map<string, Set<string>>()
  /** Names and paths with any namespace. */
  const anyNames = new Map<string, { readonly regexp: RegExp; readonly by: string }>()
  const anyPaths = new Map<string, { readonly regexp: RegExp; readonly digests: Set<string> }>()
  const rows = new Map<string, readonly FallbackRow[]>()

  const rowsFor = (reference: Reference): readonly FallbackRow[] => {
    const name = repositoryName(reference)
    const known = rows.get(name)
    if (known !== undefined) return known
    const matching = table.rows.filter(({ images }) =>
      images.some((each) => each.matches(reference)),
    )
    rows.set(name, matching)
    return matching
  }

  const addDigest = (digest: string, by: string): void => {
    if (!digests.has(digest)) digests.set(digest, by)
    checkSize()
  }

  const addName = ({ path, tag, digest }: Reference, by: string): void => {
    const isAny = path.includes(anyNamespace)
    if (digest !== null) {
      addDigest(digest, by)
      const known = (isAny ? anyPaths.get(path)?.digests : byPath.get(path)) ?? new Set()
      known.add(digest)
      if (isAny) anyPaths.set(path, { regexp: anyNamespaceRegExp(path), digests: known })
      else byPath.set(path, known)
    }
    if (tag === null) return
    const name = `${path}:${tag}`
    if (isAny) anyNames.set(name, { regexp: anyNamespaceRegExp(name), by })
    else if (!byName.has(name)) byName.set(name, by)
    checkSize()
  }

  const checkSize = (): void => {
    if (byName.size + digests.size + anyNames.size > maxNeeds)
      throw new BerthError('prune-refused', 'more than 500,000 names and digests are needed')
  }

  return {
    addDigest,
    addImage(image, namespace, by) {
      const parsed = parseReference(image)
      if (!parsed.ok) return parsed.message
      const reference = withDefaultTag(canonicalReference(parsed.reference, table.isPlainHttp))
      addName(reference, by)
      const pod: PodContext = {
        namespace: namespace ?? anyNamespace,
        labels: null,
        owners: null,
      }
      const namesOf = (row: FallbackRow) => candidatesOf(table, row, reference, pod)
      // By the tag that the row maps to, and by the tag itself: rows change.
      for (const row of rowsFor(reference))
        for (const { reference: name } of [...namesOf(row), ...namesOf({ ...row, tags: noTags })])
          addName(name ?? reference, by)
      return null
    },
    byTag(path, tag) {
      const name = `${path}:${tag}`
      const by = byName.get(name)
      if (by !== undefined) return by
      return [...anyNames.values()].find(({ regexp }) => regexp.test(name))?.by ?? null
    },
    byDigest: (digest) => digests.get(digest) ?? null,
    digestsIn: (path) => [
      ...(byPath.get(path) ?? []),
      ...[...anyPaths.values()]
        .filter(({ regexp }) => regexp.test(path))
        .flatMap((each) => [...each.digests]),
    ],
  }
}

function anyNamespaceRegExp(name: string): RegExp {
  const [first = '', ...rest] = name.split(anyNamespace).map(escapeRegExp)
  return new RegExp(`^${[first, ...rest].join('[^/:]+')}$`)
}

/** Returns the digests in the `imageID` of a container: `docker.io/x@sha256:…`, `docker-pullable://…`, or `sha256:…`. */
export function digestsOfImageId(imageId: string): readonly string[] {
  return imageId.split(/@|:\/\//).filter(isDigest)
}
