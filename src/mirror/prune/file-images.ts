/** Reads the images of manifests, of lock files and of the config, which stay on the mirrors. */
import type { Readable } from 'node:stream'
import type { Config } from '../../config/config.ts'
import { readableWorkloads } from '../../config/known-workloads.ts'
import { readLock } from '../../config/lock-file.ts'
import type { ImageLock } from '../../decision/lock/image-lock.ts'
import { formatReference } from '../../decision/reference/reference.ts'
import { BerthError } from '../../errors.ts'
import { kustomizeUses } from '../../manifests/kustomize/kustomize-uses.ts'
import { readManifestFiles } from '../../manifests/manifest-files.ts'
import { readManifests } from '../../manifests/manifests.ts'
import { objectTitle, podLocationsIn, unchangeableImages } from '../../manifests/pod-locations.ts'
import { createUnreadFiles } from '../../manifests/unread-files.ts'
import type { ImageStore } from '../../registry/images/image-store.ts'
import { expandImage } from '../collect-pairs.ts'
import { imagesOfPodObject } from './cluster-images.ts'
import type { NeededImages } from './needed-images.ts'

export interface ManifestSources {
  readonly files: readonly string[]
  readonly recursive: boolean
  readonly stdin: Readable
  /** The namespace of manifests without one; undefined: any. */
  readonly namespace: string | undefined
  /** Receives messages about objects whose images only their operator knows. */
  readonly onProblem: (message: string) => void
}

/** Adds the images of manifests. Throws `manifest-invalid` for files that are none, also in a directory. */
export async function addManifestImages(
  needed: NeededImages,
  config: Config,
  { files, recursive, stdin, namespace, onProblem }: ManifestSources,
): Promise<void> {
  const kinds = readableWorkloads(config)
  const unread = createUnreadFiles()
  const reject = (place: string, why: string): void =>
    unread.reject(`${place}: ${why}; what it needs is not known`)
  const addObject = (value: unknown, name: string): void => {
    const by = `${objectTitle(value)} in ${name}`
    for (const message of unchangeableImages(value)) onProblem(`${by}: ${message}`)
    const images = podLocationsIn(value, kinds).flatMap(({ pod, context }) =>
      imagesOfPodObject(pod).map((image) => ({ image, own: context.namespace })),
    )
    for (const { image, own } of images) {
      const problem = needed.addImage(image, own ?? namespace ?? null, by)
      if (problem !== null) reject(by, `${image}: ${problem}`)
    }
  }
  const options = { recursive, stdin, unread: { ...unread, skip: reject } }
  const manifestFiles = await readManifestFiles(files, options)
  for (const { name, text } of manifestFiles) {
    const read = readManifests(text)
    if (!read.ok) reject(`${name}:${read.line ?? 1}`, read.message)
    else for (const { value } of read.manifests.objects) addObject(value, name)
  }
  // The images in the files stay too: a kustomization that is not given may deploy them as they are.
  const kustomized = kustomizeUses(manifestFiles, kinds)
  for (const note of kustomized.notes) onProblem(note)
  for (const { image, pod, object, file } of kustomized.images) {
    const by = `${object} in ${file}`
    const problem = needed.addImage(image, pod.namespace ?? namespace ?? null, by)
    if (problem !== null) reject(by, `${image}: ${problem}`)
  }
  unread.throwInvalid()
}

/** Adds the images of the lock of the config and of more lock files. Throws `lock-invalid`. */
export function addLockedImages(
  needed: NeededImages,
  { lock }: Config,
  files: readonly string[],
): void {
  for (const file of [...(lock === null ? [] : [lock.file]), ...files]) {
    const { source, result } = readLock(file)
    if (!result.ok) throw new BerthError('lock-invalid', `${file} ${result.message}`)
    if (source === null)
      throw new BerthError('lock-invalid', `${file} cannot be read; what it locks is not known`)
    addLock(needed, result.lock, file)
  }
}

function addLock(needed: NeededImages, lock: ImageLock, file: string): void {
  for (const { image, digest } of lock.values()) needed.addImage(`${image}@${digest}`, null, file)
}

/** Adds the images of `mirror.images` and `tests` of the config. Throws `prune-refused` if the tags upstream are not known. */
export async function addConfiguredImages(
  needed: NeededImages,
  { mirror, tests }: Config,
  store: ImageStore,
  signal: AbortSignal,
): Promise<void> {
  for (const { image, expect, namespace } of tests)
    for (const each of [image, expect]) needed.addImage(each, namespace, '`tests` of the config')
  for (const image of mirror.images) {
    const expanded = await expandImage(store, image, signal)
    if (typeof expanded === 'string') {
      const name = formatReference(image.reference)
      const message = `nothing is planned, because ${name} of mirror.images is not known: ${expanded}`
      throw new BerthError('prune-refused', message)
    }
    for (const { reference } of expanded)
      needed.addImage(formatReference(reference), null, '`mirror.images` of the config')
  }
}
