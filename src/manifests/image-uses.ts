/** Collects the images that a command is about: from manifests, and from the pods of a cluster. */
import type { Readable } from 'node:stream'
import type { Config } from '../config/config.ts'
import { readableWorkloads } from '../config/known-workloads.ts'
import { podKey } from '../config/pod-key.ts'
import { type PodContext, templateNamespace } from '../decision/fallback/pod-context.ts'
import { readPodContext } from '../decision/pod/pod-context.ts'
import type { ConnectOptions } from '../kube/connect.ts'
import type { KubeObject } from '../kube/object.ts'
import { imagesElsewhere } from './elsewhere.ts'
import type { ElsewhereInFile } from './elsewhere-summary.ts'
import { countCharts, plannedUses, unplannedMessages } from './elsewhere-uses.ts'
import { isKustomizationName } from './kustomize/kustomization.ts'
import { kustomizeUses } from './kustomize/kustomize-uses.ts'
import { type ManifestImage, manifestImages, requestedImages } from './manifest-images.ts'
import { addUnread, emptyStdin, readManifestFiles, requireSomeRead } from './manifest-files.ts'
import { readManifests } from './manifests.ts'
import type { ImagePlace } from './other-images.ts'
import { otherImageKinds } from './pod-locations.ts'
import type { UnreadFiles } from './unread-files.ts'

/** Where the images come from. */
export interface ImageSources {
  /** Manifest files, directories, or `-` for `stdin`. */
  readonly files: readonly string[]
  /** Whether subdirectories are read too. */
  readonly recursive: boolean
  readonly stdin: Readable
  /** The namespace of manifests without one (undefined: unknown), and the only one whose pods are read. */
  readonly namespace: string | undefined
  /** Which places outside of pod templates count; undefined for all that a plan can have. */
  readonly places?: readonly ImagePlace[]
  /** The cluster whose pods are read too; null to read manifests only. */
  readonly cluster: PodSource | null
  /** Receives messages, for example about files that are skipped. */
  readonly onProblem: (message: string) => void
  /** Receives the files that cannot be read. The caller ends with its `throwInvalid`. */
  readonly unread: UnreadFiles
}

export interface PodSource extends ConnectOptions {
  readonly allNamespaces: boolean
  readonly signal: AbortSignal
}

/** One image of the pods that a config treats alike in one namespace, however many they are. */
export interface ImageUse {
  readonly image: string
  /** The namespace of the pods; `default` if it is not known. */
  readonly namespace: string
  readonly pod: PodContext
  /** One of the objects that use it; for a manifest, with its file. */
  readonly by: string
}

/**
 * Returns each image of each namespace once for pods that the configs treat alike, in the order found. The first config
 * names the workloads. Throws `manifest-invalid` if none of the files can be read, and what the API client throws.
 */
export async function readImageUses(
  sources: ImageSources,
  ...configs: readonly [Config, ...Config[]]
): Promise<ImageUse[]> {
  const { namespace, cluster } = sources
  const written = await writtenUses(sources, configs[0])
  const running = cluster === null ? [] : await runningUses(cluster, namespace)
  const distinct = new Map(
    [...written, ...running].toReversed().map((use) => {
      const keys = configs.map((config) => podKey(config, use.pod))
      return [[use.namespace, use.image, ...keys].join(' '), use]
    }),
  )
  return [...distinct.values()].toReversed()
}

/** Returns the images of the manifests. */
async function writtenUses(
  { files, recursive, stdin, namespace, places, onProblem, unread }: ImageSources,
  config: Config,
): Promise<ImageUse[]> {
  const workloads = readableWorkloads(config)
  const manifestFiles = await readManifestFiles(files, { recursive, stdin, unread })
  const kustomized = kustomizeUses(manifestFiles, workloads)
  for (const note of kustomized.notes) onProblem(note)
  let read = 0
  const uses: ImageUse[] = []
  const elsewhere: ElsewhereInFile[] = []
  const charts = new Map<string, number>()
  const imageKinds = otherImageKinds(workloads)
  const options = { table: config.table, workloads, namespace: namespace ?? null }
  const add = (file: string, { image, pod: known, object }: ManifestImage) => {
    const pod = { ...known, namespace: known.namespace ?? namespace ?? null }
    uses.push({ image, namespace: templateNamespace(pod), pod, by: `${file}: ${object}` })
  }
  for (const file of manifestFiles) {
    if (file.name === '-' && file.text.trim() === '') {
      unread.reject(emptyStdin)
      continue
    }
    const result = readManifests(file.text, imageKinds)
    if (!result.ok) {
      addUnread(unread, file, result)
      continue
    }
    read += 1
    if (!kustomized.isBuilt(file))
      for (const use of manifestImages(result.manifests, workloads)) add(file.name, use)
    if (isKustomizationName(file.name)) continue
    for (const image of imagesElsewhere(result.manifests, options))
      if (places?.includes(image.place) !== false) elsewhere.push({ ...image, file: file.name })
    countCharts(result.manifests, charts)
  }
  for (const use of kustomized.images) add(use.file, use)
  unread.reportSkipped(onProblem)
  for (const message of unplannedMessages(elsewhere, charts)) onProblem(message)
  requireSomeRead(read, manifestFiles.length, unread)
  return [...uses, ...plannedUses(elsewhere)]
}

/** Returns the images that pods asked for; for pods that the webhook changed, the ones in their annotation. */
async function runningUses(
  { allNamespaces, signal, ...connection }: PodSource,
  namespace: string | undefined,
): Promise<ImageUse[]> {
  // Loading client-node takes half a second, so it is loaded only when a cluster is read.
  const { connect } = await import('../kube/connect.ts')
  const cluster = await connect(connection)
  try {
    const only = namespace ?? cluster.namespace
    const where = {
      apiVersion: 'v1',
      resource: 'pods',
      ...(allNamespaces ? {} : { namespace: only }),
    }
    const uses: ImageUse[] = []
    for await (const pod of cluster.api.list<KubeObject>(where, {}, signal)) {
      const { name, namespace: own = only } = pod.metadata
      const by = `Pod ${own}/${name}`
      const context = readPodContext(pod, own)
      for (const image of requestedImages(pod))
        uses.push({ image, namespace: own, pod: context, by })
    }
    return uses
  } finally {
    await cluster.close()
  }
}
