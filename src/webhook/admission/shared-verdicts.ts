/**
 * Keeps the verdicts of new pods, so that the pods of a workload share one patch, one annotation and one audit annotation. Each
 * pod is still decided: a verdict is shared only if all decisions are the same objects, and everything else that it is made
 * from is equal. So nothing has to be invalidated when a config, a registry or a namespace changes.
 */
import { LRUCache } from 'lru-cache'
import { imagesAnnotation } from '../../decision/pod/images-annotation.ts'
import type { SiteDecision } from '../../decision/pod/decide-sites.ts'
import { optOutWarnings } from '../../decision/pod/site-warnings.ts'
import { isObject, member } from '../../json/json.ts'
import type { AdmissionVerdict } from './admission-response.ts'
import type { PullSecretsResult } from './pull-secrets.ts'
import type { VerdictInput } from './verdict.ts'

/** Returns the verdict of an earlier pod that must get the same one; otherwise makes it. */
export type SharedVerdicts = (
  input: VerdictInput,
  secrets: PullSecretsResult,
  make: () => AdmissionVerdict,
) => AdmissionVerdict

/** Workloads that create pods at the same time. A verdict for five images takes 15 kB. */
const maxVerdicts = 1_000
const maxBytes = 8_000_000

/** Far below the room that the annotation needs next to others, at three bytes of UTF-8 for each character. */
const maxAnnotationCharacters = 32 * 1024

const maxKeyCharacters = 8 * 1024

interface SharedVerdict {
  readonly decisions: readonly SiteDecision[]
  readonly verdict: AdmissionVerdict
}

/** Creates the store of one webhook. */
export function createSharedVerdicts(): SharedVerdicts {
  const store = new LRUCache<string, SharedVerdict>({
    max: maxVerdicts,
    maxSize: maxBytes,
    sizeCalculation: ({ verdict: { auditAnnotations, denied } }, key) =>
      2_000 + 2 * key.length + 8 * ((auditAnnotations['images'] ?? denied)?.length ?? 0),
  })
  return (input, secrets, make) => {
    const key = keyOf(input, secrets)
    if (key === null) return make()
    const known = store.get(key)
    if (known !== undefined && haveSameDecisions(known.decisions, input.decisions))
      return known.verdict
    const verdict = { ...make(), texts: { response: null, logged: null } }
    store.set(key, { decisions: input.decisions, verdict })
    return verdict
  }
}

/** Returns null if the verdict depends on more of the pod than its decisions and the key. */
function keyOf(
  { request, rest, mode, pod, decisions }: VerdictInput,
  { names, warnings }: PullSecretsResult,
): string | null {
  if (request.operation !== 'CREATE' || rest !== null || decisions.length === 0) return null
  if (names.length + warnings.length + optOutWarnings(pod, decisions).length > 0) return null
  const metadata = member(request.object, 'metadata')
  if (!isObject(metadata)) return null
  const annotations = member(metadata, 'annotations')
  if (isObject(annotations) && !isOrdinary(annotations)) return null
  let key = `${mode} ${isObject(annotations)}`
  for (const { site } of decisions) key += ` ${site.name} ${site.image}`
  return key.length > maxKeyCharacters ? null : key
}

function isOrdinary(annotations: Readonly<Record<string, unknown>>): boolean {
  if (Object.hasOwn(annotations, imagesAnnotation)) return false
  let characters = 0
  for (const name of Object.keys(annotations)) {
    const value = annotations[name]
    characters += name.length + (typeof value === 'string' ? value.length : 0)
  }
  return characters <= maxAnnotationCharacters
}

function haveSameDecisions(a: readonly SiteDecision[], b: readonly SiteDecision[]): boolean {
  if (a.length !== b.length) return false
  for (let index = 0; index < a.length; index++)
    if (!isSameDecision(a[index] as SiteDecision, b[index] as SiteDecision)) return false
  return true
}

function isSameDecision(a: SiteDecision, b: SiteDecision): boolean {
  return (
    a.resolution !== null &&
    a.resolution === b.resolution &&
    a.image === b.image &&
    a.why === b.why &&
    a.requested === b.requested &&
    a.pullPolicy === b.pullPolicy &&
    a.site.name === b.site.name &&
    a.site.image === b.site.image &&
    a.site.pullPolicy === b.site.pullPolicy &&
    a.site.imageKey === b.site.imageKey &&
    a.site.holder.every((token, index) => token === b.site.holder[index])
  )
}
