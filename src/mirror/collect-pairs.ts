/** What to copy, from what the command line, manifests, a cluster or the config say. */
import type { Readable } from 'node:stream'
import { text as readAll } from 'node:stream/consumers'
import type { Config, MirrorImage } from '../config/config.ts'
import { BerthError } from '../errors.ts'
import { canonicalReference } from '../decision/fallback/registry-aliases.ts'
import type { ImagePair } from './image-pair.ts'
import { type CopyPlan, planCopies, type ImageToCopy } from './copy-plan.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { formatReference, type Reference, withDefaultTag } from '../decision/reference/reference.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import type { RegistryClient } from '../registry/registry-client.ts'
import { listTags } from '../registry/manifests/tags.ts'
import { type ImageSources, readImageUses, type ImageUse } from '../manifests/image-uses.ts'

/** What is to be copied, and what was asked for and cannot be. */
export interface CollectedPairs extends CopyPlan {
  readonly unlisted: readonly { readonly image: string; readonly reason: string }[]
}

/** What the command line asks for. */
export interface CollectPairsOptions extends ImageSources {
  /** Images, pairs `SRC=DST`, or `-` for the names on `stdin`. */
  readonly names: readonly string[]
  readonly signal: AbortSignal
}

/** Everything that was asked for, pairs first. Throws `usage`, `invalid-reference`, and what `readUses` throws. */
export async function collectPairs(
  { config, registries }: { readonly config: Config | null; readonly registries: RegistryClient },
  options: CollectPairsOptions,
): Promise<CollectedPairs> {
  const { pairs, rest } = givenPairs(options.names, config)
  if (config === null) return { pairs, skipped: [], unlisted: [] }
  const namespace = options.namespace ?? 'default'
  const names = await namesOf(rest, options.stdin)
  const uses = await readImageUses(options, config)
  const images: ImageToCopy[] = [
    ...names.map((name) => ({ reference: readImage(name), namespace })),
    ...uses.flatMap((use) => wantedBy(use, options.onProblem)),
  ]
  const unlisted: { image: string; reason: string }[] = []
  if (options.names.length === 0 && options.files.length === 0 && options.cluster === null) {
    for (const image of configured(config)) {
      const found = await imagesOfEntry(registries, image, options.signal)
      if (Array.isArray(found)) images.push(...found)
      else unlisted.push({ image: formatReference(image.reference), reason: found as string })
    }
  }
  const plan = planCopies(config.table, images)
  // Who names an image wants it copied; of a manifest's or a cluster's images some may well have no mirror.
  const named = new Set(names.map((name) => formatReference(readImage(name))))
  const isMissed = ({ image }: CopyPlan['skipped'][number]) => named.has(image)
  return {
    pairs: [...pairs, ...plan.pairs],
    skipped: plan.skipped.filter((each) => !isMissed(each)),
    unlisted: [...unlisted, ...plan.skipped.filter(isMissed)],
  }
}

function configured({ mirror }: Config): readonly MirrorImage[] {
  if (mirror.images.length > 0) return mirror.images
  const message =
    'nothing is named: give images, or a pair SRC DST, or list `mirror.images` in the config'
  throw new BerthError('usage', message)
}

/** Whether the names can be copied without a config: two names, or `SRC=DST` each. */
export function areAllPairs(names: readonly string[]): boolean {
  if (names.length === 0) return false
  return names.length === 2 || names.every((name) => name.includes('='))
}

const isNoPair = (name: string): boolean => !name.includes('=')

/**
 * `SRC=DST`, or two names of which the second is on a mirror (without a config, any two). Two images of a table are
 * thereby never taken for a pair: that would push one over the other.
 */
function givenPairs(
  positionals: readonly string[],
  config: Config | null,
): { readonly pairs: readonly ImagePair[]; readonly rest: readonly string[] } {
  const [source = '', destination = ''] = positionals
  if (positionals.length === 2 && positionals.every(isNoPair)) {
    const to = parseReference(destination)
    const isMirror =
      to.ok && config?.table.mirrors.has(canonicalReference(to.reference).domain) === true
    if (config === null || isMirror) return { pairs: [pairOf(source, destination)], rest: [] }
  }
  const pairs = positionals
    .filter((each) => !isNoPair(each))
    .map((each) => {
      const [from = '', to = ''] = each.split('=')
      return pairOf(from, to)
    })
  return { pairs, rest: positionals.filter(isNoPair) }
}

function pairOf(source: string, destination: string): ImagePair {
  const from = readImage(source)
  const parsed = parseReference(destination)
  if (!parsed.ok) throw new BerthError('invalid-reference', `${destination}: ${parsed.message}`)
  const to = canonicalReference(parsed.reference)
  const isBare = to.tag === null && to.digest === null
  const bare = { ...to, tag: from.tag, digest: from.tag === null ? from.digest : null }
  return { source: from, destination: isBare ? bare : to, row: null }
}

function readImage(name: string): Reference {
  const parsed = parseReference(name)
  if (!parsed.ok) throw new BerthError('invalid-reference', `${name}: ${parsed.message}`)
  return withDefaultTag(canonicalReference(parsed.reference))
}

/** `-` stands for the names on standard input, one a line. */
async function namesOf(positionals: readonly string[], stdin: Readable): Promise<string[]> {
  if (!positionals.includes('-')) return [...positionals]
  const lines = (await readAll(stdin)).split('\n').filter((line) => line.trim() !== '')
  return positionals.flatMap((each) => (each === '-' ? lines : [each]))
}

/** A name that does not parse is told of and passed over, as the webhook does. */
function wantedBy(
  { image, namespace, by }: ImageUse,
  onProblem: (message: string) => void,
): ImageToCopy[] {
  const parsed = parseReference(image)
  if (parsed.ok) return [{ reference: parsed.reference, namespace }]
  onProblem(`${image} is passed over: ${parsed.message} (${by})`)
  return []
}

/** The images that an entry of the config stands for, or why that cannot be told. */
async function imagesOfEntry(
  registries: RegistryClient,
  image: MirrorImage,
  signal: AbortSignal,
): Promise<readonly ImageToCopy[] | string> {
  const { reference, literalTags, needsTagList } = image
  const namespace = 'default'
  if (!needsTagList && literalTags.length === 0)
    return [{ reference: withDefaultTag(reference), namespace }]
  if (!needsTagList)
    return literalTags.map((tag) => ({ reference: { ...reference, tag }, namespace }))
  try {
    const repository = await registries.open(reference.domain, reference.path, 'pull')
    const tags = await listTags(repository, signal)
    if (tags === null) return 'the repository is not there'
    const { selectTags } = await import('./select-tags.ts')
    const chosen = selectTags(tags, image)
    if (chosen.length === 0) return `none of its ${tags.length} tags fits`
    return chosen.map((tag) => ({ reference: { ...reference, tag }, namespace }))
  } catch (error) {
    if (error instanceof RegistryError) return `its tags cannot be listed: ${error.message}`
    throw error
  }
}
