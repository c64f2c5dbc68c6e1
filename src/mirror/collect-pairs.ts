/** Collects the images to copy from the command line, manifests, a cluster, or the config. */
import type { Readable } from 'node:stream'
import { text as readAll } from 'node:stream/consumers'
import type { Config, MirrorImage } from '../config/config.ts'
import { unknownPod } from '../decision/fallback/pod-context.ts'
import { canonicalReference } from '../decision/fallback/registry-aliases.ts'
import { parseName } from '../decision/reference/parse-name.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { formatReference, type Reference, withDefaultTag } from '../decision/reference/reference.ts'
import { BerthError } from '../errors.ts'
import type { ImageSources, ImageUse } from '../manifests/image-uses.ts'
import { RegistryError } from '../registry/http/registry-error.ts'
import type { ImageStore } from '../registry/images/image-store.ts'
import type { CopyPlan, CopyPlanOptions, ImageToCopy } from './copy-plan.ts'
import type { ImagePair } from './image-pair.ts'

export interface CollectedPairs extends CopyPlan {
  /** Images that the user named and that cannot be copied. */
  readonly unlisted: readonly { readonly image: string; readonly reason: string }[]
}

export interface CollectPairsOptions extends ImageSources, CopyPlanOptions {
  /** Images, pairs `SRC=DST`, or `-` for names on `stdin`. */
  readonly names: readonly string[]
  /** True: the names are images, and never pairs. Default: false. */
  readonly areImages?: boolean
  /** Whether the two names are a pair, wherever the second one is. */
  readonly isPair?: boolean
  /** Whether no registry is asked, so that images whose tags only their registry knows are unlisted. Default: false. */
  readonly isOffline?: boolean
  readonly signal: AbortSignal
}

/** Returns the pairs that the user named, then those of the table. Throws `usage`, `invalid-reference`, and as `readImageUses`. */
export async function collectPairs(
  { config, images: store }: { readonly config: Config | null; readonly images: ImageStore },
  options: CollectPairsOptions,
): Promise<CollectedPairs> {
  const { areImages = false } = options
  const { pairs: named, rest } = areImages
    ? { pairs: [], rest: options.names }
    : splitPairs(options, config)
  if (config === null) return { pairs: named, skipped: [], unlisted: [] }
  // Loaded late, like the config: a pair needs no table.
  const { neverPushedReason, planCopies } = await import('./copy-plan.ts')
  const isIncluded = ({ destination }: ImagePair) =>
    options.includeNeverPushed === true || !config.table.neverPushed.has(destination.domain)
  const pairs = named.filter(isIncluded)
  const pod = { ...unknownPod, namespace: options.namespace ?? null }
  const names = await readNames(rest, options.stdin)
  const uses = await readUses(options, config)
  const images: ImageToCopy[] = [
    ...names.map((name) => ({ reference: readImage(name), pod })),
    ...uses.flatMap((use) => imageOfUse(use, options.onProblem)),
  ]
  const unlisted: { image: string; reason: string }[] = named
    .filter((pair) => !isIncluded(pair))
    .map((pair) => ({ image: formatReference(pair.source), reason: neverPushedReason(pair) }))
  if (options.names.length === 0 && options.files.length === 0 && options.cluster === null) {
    for (const image of configuredImages(config)) {
      const expanded =
        options.isOffline === true && image.needsTagList
          ? 'only its registry knows its tags, and --no-probe asks none'
          : await expandImage(store, image, options.signal)
      if (typeof expanded === 'string') {
        unlisted.push({ image: formatReference(image.reference), reason: expanded })
      } else appendAll(images, expanded)
    }
  }
  const plan = planCopies(config.table, images, options)
  // An image that the user names should be copied; images of manifests and clusters need not have a mirror.
  const wanted = new Set(names.map((name) => formatReference(readImage(name))))
  const isNamed = ({ image }: CopyPlan['skipped'][number]) => wanted.has(image)
  return {
    pairs: [...pairs, ...plan.pairs],
    skipped: plan.skipped.filter((each) => !isNamed(each)),
    unlisted: [...unlisted, ...plan.skipped.filter(isNamed).map(withPairHint(rest))],
  }
}

/** Says how to write a pair if two names were taken for two images. */
function withPairHint(names: readonly string[]) {
  return (skipped: CopyPlan['skipped'][number]): CopyPlan['skipped'][number] => {
    const [source = '', destination = ''] = names
    if (names.length !== 2) return skipped
    const hint = `to copy one image to the other, write ${source}=${destination}, or use --pair`
    return { ...skipped, reason: `${skipped.reason}; ${hint}` }
  }
}

/** Loads the readers of manifests and clusters only if there are any: with their libraries, they take a third of the start. */
async function readUses(options: CollectPairsOptions, config: Config): Promise<ImageUse[]> {
  if (options.files.length === 0 && options.cluster === null) return []
  const { readImageUses } = await import('../manifests/image-uses.ts')
  return readImageUses(options, config)
}

/** Not `push(...more)`: a call takes a limited number of arguments, and a repository can have 250,000 tags. */
function appendAll<Item>(items: Item[], more: readonly Item[]): void {
  for (const item of more) items.push(item)
}

function configuredImages({ mirror }: Config): readonly MirrorImage[] {
  if (mirror.images.length > 0) return mirror.images
  const message =
    'no images to copy: name images or a pair SRC DST, or list `mirror.images` in the config'
  throw new BerthError('usage', message)
}

/** Returns whether the names can be copied without a config: two names, or only pairs `SRC=DST`. */
export function areAllPairs(names: readonly string[]): boolean {
  if (names.length === 0) return false
  return names.length === 2 || names.every(isPair)
}

const isPair = (name: string): boolean => name.includes('=')

/**
 * Separates pairs from images. Two names are a pair if the second one is on a mirror, if there is no config, or with `--pair`.
 * Two images of the table are therefore never copied onto each other by mistake.
 */
function splitPairs(
  { names, isPair: isGivenPair = false }: Pick<CollectPairsOptions, 'names' | 'isPair'>,
  config: Config | null,
): { readonly pairs: readonly ImagePair[]; readonly rest: readonly string[] } {
  const [source = '', destination = ''] = names
  if (isGivenPair && (names.length !== 2 || names.some(isPair) || names.includes('-')))
    throw new BerthError('usage', '--pair needs two image names: SOURCE DESTINATION')
  if (names.length === 2 && !names.some(isPair)) {
    const to = parseName(destination)
    const isMirror =
      to.ok && config?.table.mirrors.has(canonicalReference(to.reference).domain) === true
    if (config === null || isMirror || isGivenPair)
      return { pairs: [pairOf(source, destination)], rest: [] }
  }
  const pairs = names.filter(isPair).map((name) => {
    const [from = '', to = ''] = name.split('=')
    return pairOf(from, to)
  })
  return { pairs, rest: names.filter((name) => !isPair(name)) }
}

/** A destination without a tag and digest gets those of the source. */
function pairOf(source: string, destination: string): ImagePair {
  const from = readImage(source)
  const parsed = parseName(destination)
  if (!parsed.ok) throw new BerthError('invalid-reference', `${destination}: ${parsed.message}`)
  const to = canonicalReference(parsed.reference)
  const isBare = to.tag === null && to.digest === null
  const withTag = { ...to, tag: from.tag, digest: from.tag === null ? from.digest : null }
  return { source: from, destination: isBare ? withTag : to, row: null }
}

/** Parses a name that the user gave. Throws `invalid-reference`. */
export function readImage(name: string): Reference {
  const parsed = parseName(name)
  if (!parsed.ok) throw new BerthError('invalid-reference', `${name}: ${parsed.message}`)
  return withDefaultTag(canonicalReference(parsed.reference))
}

/** Replaces `-` with the names on standard input, one per line. */
async function readNames(names: readonly string[], stdin: Readable): Promise<string[]> {
  if (!names.includes('-')) return [...names]
  const lines = (await readAll(stdin)).split('\n').filter((line) => line.trim() !== '')
  if (lines.length === 0) throw new BerthError('usage', 'standard input has no image names')
  return names.flatMap((name) => (name === '-' ? lines : [name]))
}

/** Reports and skips an image that does not parse, as the webhook does. */
function imageOfUse(
  { image, pod, by }: ImageUse,
  onProblem: (message: string) => void,
): ImageToCopy[] {
  const parsed = parseReference(image)
  if (parsed.ok) return [{ reference: parsed.reference, pod }]
  onProblem(`skipped ${image}: ${parsed.message} (${by})`)
  return []
}

/** Returns the images of an entry of `mirror.images`, or the reason why its tags are not known. */
export async function expandImage(
  store: ImageStore,
  image: MirrorImage,
  signal: AbortSignal,
): Promise<readonly ImageToCopy[] | string> {
  const { reference, literalTags, needsTagList } = image
  const pod = unknownPod
  if (!needsTagList && literalTags.length === 0)
    return [{ reference: withDefaultTag(reference), pod }]
  if (!needsTagList) return literalTags.map((tag) => ({ reference: { ...reference, tag }, pod }))
  try {
    const repository = await store.open(reference.domain, reference.path, 'pull')
    const tags = await repository.listTags(signal)
    if (tags === null) return 'the repository does not exist'
    // Loads semver, which most commands do not need.
    const { selectTags } = await import('./select-tags.ts')
    const selected = selectTags(tags, image)
    if (selected.length === 0) return `none of its ${tags.length} tags matches`
    return selected.map((tag) => ({ reference: { ...reference, tag }, pod }))
  } catch (error) {
    if (error instanceof RegistryError) return `its tags cannot be listed: ${error.message}`
    throw error
  }
}
