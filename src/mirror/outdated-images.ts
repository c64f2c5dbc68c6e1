/** Which workloads run an image of a mirror that has moved on, and how they are told to start their pods anew. Pure. */
import { canonicalReference } from '../decision/fallback/registry-aliases.ts'
import { findSites } from '../decision/pod/sites.ts'
import { member } from '../json/json.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { formatReference, type Reference, withDefaultTag } from '../decision/reference/reference.ts'

/** What a mirror serves now. */
export interface ServedImage {
  readonly image: Reference
  readonly digest: string
  /** True when it was changed just now: then pods without a digest may run the old one as well. */
  readonly isNew: boolean
}

/** The controller of an object. */
export interface OwnerRef {
  readonly kind: string
  readonly name: string
}

/** What `kubectl rollout restart` writes (kubectl, polymorphichelpers/objectrestarter.go): a template that has changed is rolled out. */
export function restartPatch(now: Date): object {
  const restartedAt = now.toISOString().replace(/\.[0-9]{3}Z$/, 'Z')
  const annotations = { 'kubectl.kubernetes.io/restartedAt': restartedAt }
  return { spec: { template: { metadata: { annotations } } } }
}

/** Images of the mirror that the pod runs and that the mirror serves no longer, by what its spec says. */
export function outdatedImages(pod: unknown, served: readonly ServedImage[]): readonly string[] {
  const byName = new Map(served.map((each) => [nameOf(each.image), each]))
  return findSites(pod).flatMap(({ image }) => {
    const parsed = parseReference(image)
    if (!parsed.ok) return []
    const reference = canonicalReference(parsed.reference)
    const now = byName.get(nameOf(reference))
    if (now === undefined) return []
    const isOld = reference.digest === null ? now.isNew : reference.digest !== now.digest
    return isOld ? [nameOf(now.image)] : []
  })
}

function nameOf(reference: Reference): string {
  return formatReference({ ...withDefaultTag({ ...reference, digest: null }), digest: null })
}

/** Null for what nobody would start again. */
export function ownerOf(object: unknown): OwnerRef | null {
  const owners = member(member(object, 'metadata'), 'ownerReferences')
  if (!Array.isArray(owners)) return null
  const owner: unknown = owners.find((each: unknown) => member(each, 'controller') === true)
  const [kind, name] = [member(owner, 'kind'), member(owner, 'name')]
  return typeof kind === 'string' && typeof name === 'string' ? { kind, name } : null
}
