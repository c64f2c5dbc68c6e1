/**
 * What a registry was seen to say, as the verdicts need it: the room `registry` finds it out, and the commands bring the two
 * together. Everything here was asked from the machine that Berth runs on, never from the node. Pure.
 */

/** The same words as `HeardOutcome` of the registry's room. */
export type TryOutcome =
  | 'found'
  | 'absent'
  | 'refused'
  | 'no-right'
  | 'limited'
  | 'unreachable'
  | 'invalid'
  | 'timeout'
  | 'unasked'

/** One question about the image, by one of those who may ask. */
export interface Try {
  /** `pod`: a credential that the kubelet would try. `other`: one that the pod does not have, of Berth's config or the cluster's global secret. */
  readonly by: 'anonymous' | 'pod' | 'other'
  /** For people: `secret a, key b`. */
  readonly source: string
  readonly secret: string | null
  readonly outcome: TryOutcome
  readonly status: number | null
  readonly scheme: 'basic' | 'bearer' | null
  readonly detail: string
}

export type Fault =
  'dns' | 'off-limits' | 'refused' | 'timeout' | 'unroutable' | 'cut' | 'not-tls' | 'other'

export interface Certificate {
  readonly issuer: string
  readonly names: readonly string[]
  readonly validFrom: string
  readonly validTo: string
  readonly problems: readonly ('unknown-ca' | 'wrong-name' | 'out-of-date')[]
}

/** All that was seen of one image's registry. */
export interface Seen {
  /** Where it was asked: `https://registry-1.docker.io`. */
  readonly endpoint: string
  /** The image's path there. */
  readonly repository: string
  readonly addresses: readonly string[]
  readonly fault: Fault | null
  readonly certificate: Certificate | null
  /** Empty when the registry could not be reached. */
  readonly tries: readonly Try[]
  /** Of the repository; null when nobody asked or nothing was said. */
  readonly tags: readonly string[] | 'absent' | null
  /** Tags near the one that is missing, each of them asked for and there. */
  readonly near: readonly string[]
  readonly quota: { readonly limit: string; readonly remaining: string } | null
  /** `linux/arm64`, of an index; null for an image of one platform, and when nobody looked. */
  readonly platforms: readonly string[] | null
  readonly blobs: { readonly asked: number; readonly missing: readonly string[] } | null
}

/** What is worth finding out for a rule, beside whether the endpoint can be reached. */
export type ProbeSubject = 'manifest' | 'tags' | 'quota' | 'platforms' | 'blobs'

const networkRules = ['D45', 'D46', 'D47', 'D48', 'D50', 'D51', 'D52', 'D53', 'D55', 'D56', 'D67']
const accessRules = [
  'D07',
  'D08',
  'D09',
  'D06',
  'D05',
  'D21',
  'D22',
  'D23',
  'D25',
  'D26',
  'D27',
  'D28',
  'D29',
  'D30',
]
const missingRules = ['D37', 'D38', 'D40'] // prettier-ignore

const wanted: ReadonlyMap<string, readonly ProbeSubject[]> = new Map<
  string,
  readonly ProbeSubject[]
>([
  ...networkRules.map((rule) => [rule, ['manifest']] as const),
  ...accessRules.map((rule) => [rule, ['manifest', 'tags']] as const),
  ...missingRules.map((rule) => [rule, ['manifest', 'tags']] as const),
  ['D20', ['manifest', 'quota']],
  ['D35', ['manifest', 'platforms']],
  ['D39', ['manifest', 'blobs']],
  ['D36', ['manifest']],
  ['D65', ['manifest']],
  ['D66', ['manifest']],
  ['D69', ['manifest']],
  ['D70', ['manifest']],
])

/** What to find out for a rule; null when no registry can tell anything of it. */
export function wantedFor(rule: string): readonly ProbeSubject[] | null {
  return wanted.get(rule) ?? null
}

/** Whether a failure lies between the node and the registry, where the fallback table has an answer. */
export function isOfNetwork(rule: string): boolean {
  return networkRules.includes(rule) || ['D20', 'D54', 'D64', 'D66', 'D69'].includes(rule)
}

/** More than that is a list to read, not a hint. */
const shown = 3

/** The tags most like the missing one, at most three, to be asked for before anybody is told of them. */
export function nearest(tag: string, tags: readonly string[]): readonly string[] {
  const distance = new Map(tags.map((each) => [each, distanceOf(tag, each)]))
  return tags
    .filter((each) => each !== tag)
    .toSorted(
      (one, other) =>
        (distance.get(one) ?? 0) - (distance.get(other) ?? 0) ||
        other.localeCompare(one, 'en', { numeric: true }),
    )
    .slice(0, shown)
}

/** Levenshtein's distance over 128 characters, which is what a tag has at the most. */
function distanceOf(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (const [i, letter] of [...one].entries()) {
    const next = [i + 1]
    for (const [j, otherLetter] of [...other].entries()) {
      const changed = (row[j] ?? 0) + (letter === otherLetter ? 0 : 1)
      next.push(Math.min(changed, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row[other.length] ?? 0
}
