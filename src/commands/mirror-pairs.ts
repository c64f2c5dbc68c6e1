/** What to copy, from what the command line, manifests, a cluster or the config say. */
import { readFileSync } from 'node:fs'
import { text as readAll } from 'node:stream/consumers'
import type { Config, MirrorImage } from '../config/config.ts'
import { BerthError } from '../errors.ts'
import { canonicalRepository } from '../fallback/alias.ts'
import { imagesOfPod } from '../mirror/pod-images.ts'
import type { Pair } from '../mirror/pair.ts'
import { type Plan, planImages, type WantedImage } from '../mirror/plan.ts'
import { member } from '../pod/sites.ts'
import { at, listedObjects, podPath } from '../pod/workload.ts'
import { parseReference } from '../reference/parse.ts'
import { formatReference, type Reference, withDefaultTag } from '../reference/reference.ts'
import { RegistryFault } from '../registry/fault.ts'
import type { Registries } from '../registry/repository.ts'
import { listTags } from '../registry/tags.ts'
import { type Parsed, text, texts } from './arguments.ts'
import { type Io, print } from './io.ts'
import { podsOf } from './mirror-cluster.ts'
import type { OpenedMirror } from './mirror-registries.ts'

/** What is to be copied, and what was asked for and cannot be. */
export interface Wanted extends Plan {
  readonly unlisted: readonly { readonly image: string; readonly reason: string }[]
}

/** Everything that was asked for, pairs first. Throws `usage`, `invalid-reference`, and what a kubeconfig can be wrong with. */
export async function wantedPairs(
  { config, registries }: OpenedMirror,
  { values, positionals }: Parsed,
  io: Io,
): Promise<Wanted> {
  const { pairs, rest } = givenPairs(positionals, config)
  if (config === null) return { pairs, skipped: [], unlisted: [] }
  const namespace = text(values, 'namespace') ?? 'default'
  const files = texts(values, 'filename')
  const images: WantedImage[] = []
  const names = await namesOf(rest, io)
  for (const name of names) images.push({ reference: readImage(name), namespace })
  for (const file of files) images.push(...(await imagesInManifest(file, namespace, io)))
  if (values['from-cluster'] === true) {
    for (const pod of await podsOf(values, io)) {
      const where = member(member(pod, 'metadata'), 'namespace')
      images.push(...imagesIn(pod, typeof where === 'string' ? where : namespace, io))
    }
  }
  const unlisted: { image: string; reason: string }[] = []
  if (positionals.length === 0 && files.length === 0 && values['from-cluster'] !== true) {
    for (const image of configured(config)) {
      const found = await imagesOfEntry(registries, image, io.signal)
      if (Array.isArray(found)) images.push(...found)
      else unlisted.push({ image: formatReference(image.reference), reason: found as string })
    }
  }
  const plan = planImages(config.table, images)
  // Who names an image wants it copied; of a manifest's or a cluster's images some may well have no mirror.
  const named = new Set(names.map((name) => formatReference(readImage(name))))
  const isMissed = ({ image }: Plan['skipped'][number]) => named.has(image)
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

const isNoPair = (name: string): boolean => !name.includes('=')

/**
 * `SRC=DST`, or two names of which the second is on a mirror (without a config, any two). Two images of a table are
 * thereby never taken for a pair: that would push one over the other.
 */
function givenPairs(
  positionals: readonly string[],
  config: Config | null,
): { readonly pairs: readonly Pair[]; readonly rest: readonly string[] } {
  const [source = '', destination = ''] = positionals
  if (positionals.length === 2 && positionals.every(isNoPair)) {
    const to = parseReference(destination)
    const isMirror =
      to.ok && config?.table.mirrors.has(canonicalRepository(to.reference).domain) === true
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

function pairOf(source: string, destination: string): Pair {
  const from = readImage(source)
  const parsed = parseReference(destination)
  if (!parsed.ok) throw new BerthError('invalid-reference', `${destination}: ${parsed.message}`)
  const to = canonicalRepository(parsed.reference)
  const isBare = to.tag === null && to.digest === null
  const bare = { ...to, tag: from.tag, digest: from.tag === null ? from.digest : null }
  return { source: from, destination: isBare ? bare : to, row: null }
}

function readImage(name: string): Reference {
  const parsed = parseReference(name)
  if (!parsed.ok) throw new BerthError('invalid-reference', `${name}: ${parsed.message}`)
  return withDefaultTag(canonicalRepository(parsed.reference))
}

/** `-` stands for the names on standard input, one a line. */
async function namesOf(positionals: readonly string[], io: Io): Promise<string[]> {
  if (!positionals.includes('-')) return [...positionals]
  const lines = (await readAll(io.stdin)).split('\n').filter((line) => line.trim() !== '')
  return positionals.flatMap((each) => (each === '-' ? lines : [each]))
}

async function imagesInManifest(file: string, namespace: string, io: Io): Promise<WantedImage[]> {
  const { parseAllDocuments } = await import('yaml')
  const documents = parseAllDocuments(await readManifest(file, io))
  const fault = [...documents].flatMap(({ errors }) => errors)[0]
  if (fault !== undefined) throw new BerthError('usage', `${file} is no YAML: ${fault.message}`)
  return [...documents]
    .flatMap((document) => listedObjects(document.toJS()))
    .flatMap((object) => {
      const path = podPath(object)
      if (path === null) return []
      const where = member(member(object, 'metadata'), 'namespace')
      return imagesIn(at(object, path), typeof where === 'string' ? where : namespace, io)
    })
}

async function readManifest(file: string, io: Io): Promise<string> {
  if (file === '-') return readAll(io.stdin)
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new BerthError('usage', `${file} cannot be read: ${code}; -f takes files and -`, {
      cause,
    })
  }
}

/** A name that does not parse is told of and passed over, as the webhook does. */
function imagesIn(pod: unknown, namespace: string, io: Io): WantedImage[] {
  return imagesOfPod(pod).flatMap((image) => {
    const parsed = parseReference(image)
    if (parsed.ok) return [{ reference: parsed.reference, namespace }]
    print(io.stderr, `berth: ${image} is passed over: ${parsed.message}`)
    return []
  })
}

/** The images that an entry of the config stands for, or why that cannot be told. */
async function imagesOfEntry(
  registries: Registries,
  image: MirrorImage,
  signal: AbortSignal,
): Promise<readonly WantedImage[] | string> {
  const { reference, named, isOpen } = image
  const namespace = 'default'
  if (!isOpen && named.length === 0) return [{ reference: withDefaultTag(reference), namespace }]
  if (!isOpen) return named.map((tag) => ({ reference: { ...reference, tag }, namespace }))
  try {
    const repository = await registries.open(reference.domain, reference.path, 'pull')
    const tags = await listTags(repository, signal)
    if (tags === null) return 'the repository is not there'
    const { selectTags } = await import('../mirror/select-tags.ts')
    const chosen = selectTags(tags, image)
    if (chosen.length === 0) return `none of its ${tags.length} tags fits`
    return chosen.map((tag) => ({ reference: { ...reference, tag }, namespace }))
  } catch (error) {
    if (error instanceof RegistryFault) return `its tags cannot be listed: ${error.message}`
    throw error
  }
}
