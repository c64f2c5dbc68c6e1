/** Collects the images that a command is about: from manifests, and from the pods of a cluster. */
import type { Readable } from 'node:stream'
import type { Config } from '../config/config.ts'
import { podKey } from '../config/pod-key.ts'
import { type PodContext, templateNamespace } from '../decision/fallback/pod-context.ts'
import { readPodContext } from '../decision/pod/pod-context.ts'
import type { ConnectOptions } from '../kube/connect.ts'
import type { KubeObject } from '../kube/object.ts'
import { requestedImages, manifestImages } from './manifest-images.ts'
import { readManifestFiles, skipFile } from './manifest-files.ts'
import { readManifests } from './manifests.ts'

/** Where the images come from. */
export interface ImageSources {
  /** Manifest files, directories, or `-` for `stdin`. */
  readonly files: readonly string[]
  /** Whether subdirectories are read too. */
  readonly recursive: boolean
  readonly stdin: Readable
  /** The namespace of manifests without one (undefined: unknown), and the only one whose pods are read. */
  readonly namespace: string | undefined
  /** The cluster whose pods are read too; null to read manifests only. */
  readonly cluster: PodSource | null
  /** Receives a message about each file that is skipped. */
  readonly onProblem: (message: string) => void
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
 * names the workloads. Throws `manifest-invalid`, and what the API client throws.
 */
export async function readImageUses(
  { files, recursive, stdin, namespace, cluster, onProblem }: ImageSources,
  ...configs: readonly [Config, ...Config[]]
): Promise<ImageUse[]> {
  const [{ workloads }] = configs
  const manifestFiles = await readManifestFiles(files, { recursive, stdin, onProblem })
  const written = manifestFiles.flatMap((file): ImageUse[] => {
    const read = readManifests(file.text)
    if (!read.ok) {
      onProblem(skipFile(file, read))
      return []
    }
    return manifestImages(read.manifests, workloads).map((use) => {
      const pod = { ...use.pod, namespace: use.pod.namespace ?? namespace ?? null }
      return {
        image: use.image,
        namespace: templateNamespace(pod),
        pod,
        by: `${file.name}: ${use.object}`,
      }
    })
  })
  const running = cluster === null ? [] : await runningUses(cluster, namespace)
  const distinct = new Map(
    [...written, ...running].toReversed().map((use) => {
      const keys = configs.map((config) => podKey(config, use.pod))
      return [[use.namespace, use.image, ...keys].join(' '), use]
    }),
  )
  return [...distinct.values()].toReversed()
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
