/** Which images a command is about: those of manifests, or those that a cluster's pods ask for. */
import type { Config } from '../config/config.ts'
import type { KubeObject } from '../kube/object.ts'
import { askedBy, imagesOf } from './images.ts'
import { readManifests } from './source.ts'
import { type Parsed, text, texts } from '../cli/options.ts'
import { type Io, print } from '../cli/io.ts'
import { readManifestFiles, refuse } from './manifest-files.ts'

/** The options that `readUses` reads. */
export const useOptions = {
  filename: { type: 'string', short: 'f', multiple: true },
  recursive: { type: 'boolean', short: 'R' },
  'from-cluster': { type: 'boolean' },
  'all-namespaces': { type: 'boolean', short: 'A' },
  namespace: { type: 'string', short: 'n' },
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
} as const

/** An image in a namespace, once, however many pods ask for it. */
export interface Use {
  readonly image: string
  readonly namespace: string
  /** One of those that ask, and for a file where it is. */
  readonly by: string
}

/** Throws `manifest-invalid`, and what the API server's client throws. */
export async function readUses(
  values: Parsed['values'],
  { workloads }: Pick<Config, 'workloads'>,
  io: Io,
): Promise<Use[]> {
  const names = texts(values, 'filename')
  const files = await readManifestFiles(names, {
    recursive: values['recursive'] === true,
    stdin: io.stdin,
  })
  const written = files.flatMap((file): Use[] => {
    const read = readManifests(file.text)
    if (!read.ok) {
      print(io.stderr, refuse(file, read))
      return []
    }
    const namespace = text(values, 'namespace') ?? 'default'
    return imagesOf(read.manifests, workloads).map((use) => ({
      image: use.image,
      namespace: use.namespace ?? namespace,
      by: `${file.name}: ${use.object}`,
    }))
  })
  const running = values['from-cluster'] === true ? await runningUses(values, io) : []
  const distinct = new Map(
    [...written, ...running].toReversed().map((use) => [`${use.namespace} ${use.image}`, use]),
  )
  return [...distinct.values()].toReversed()
}

/** What pods asked for: of those that the webhook has changed, the annotation says it. */
async function runningUses(values: Parsed['values'], io: Io): Promise<Use[]> {
  // client-node takes half a second to load, which nobody has to wait for who asks no cluster.
  const { connect } = await import('../kube/connect.ts')
  const cluster = await connect({
    kubeconfig: text(values, 'kubeconfig'),
    context: text(values, 'context'),
    env: io.env,
  })
  try {
    const everywhere = values['all-namespaces'] === true
    const namespace = text(values, 'namespace') ?? cluster.namespace
    const where = {
      apiVersion: 'v1',
      resource: 'pods',
      ...(everywhere ? {} : { namespace }),
    }
    const uses: Use[] = []
    for await (const pod of cluster.api.list<KubeObject>(where, {}, io.signal)) {
      const { name, namespace: own = namespace } = pod.metadata
      uses.push(
        ...askedBy(pod).map((image) => ({ image, namespace: own, by: `Pod ${own}/${name}` })),
      )
    }
    return uses
  } finally {
    await cluster.close()
  }
}
