/** What most scenarios stand on: a mirror that the table names first, and Docker Hub behind it, both real registries. */
import { currentCluster } from './cluster.ts'
import { pushImage } from './images.ts'
import { removeNodeHost, setNodeHost } from './node-hosts.ts'
import { type Registry, startRegistry } from './registry.ts'

export type MirrorAndHub = {
  mirror: Registry
  hub: Registry
  /** The table over both: docker.io from the mirror first, `latest` pinned. */
  config: string
  push(to: Registry, repository: string, tag: string, marker?: string): Promise<string>
  stop(): Promise<void>
}

/** Starts both; the name keeps their content apart from other scenarios'. At another address where Berth itself is a pod. */
export async function startMirrorAndHub(
  name: string,
  address: string = currentCluster().address,
): Promise<MirrorAndHub> {
  const cluster = currentCluster()
  const home = { ...cluster, address }
  const mirror = await startRegistry(home, { name: `${name}-mirror` })
  const hub = await startRegistry(home, { name: `${name}-hub` })
  setNodeHost(cluster, 'mirror.example', [mirror.url])
  setNodeHost(cluster, 'docker.io', [hub.url])
  return {
    mirror,
    hub,
    config: `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: mirror.example, endpoint: '${mirror.url}', mirror: true }
  - { host: docker.io, endpoint: '${hub.url}' }
fallback:
  - { name: hub, images: ['docker.io/**'], try: ['mirror.example/{path}', 'docker.io/{path}'] }
pin: { tags: [latest] }
pullPolicy: [{ images: ['mirror.example/**'], set: IfNotPresent }]
`,
    push: (to, repository, tag, marker = `${to.name}/${repository}:${tag}`) =>
      pushImage({ registry: to.url, repository, tag, binary: cluster.pauseBinary, marker }),
    stop: async () => {
      removeNodeHost(cluster, 'mirror.example')
      removeNodeHost(cluster, 'docker.io')
      await Promise.all([mirror.stop(), hub.stop()])
    },
  }
}
