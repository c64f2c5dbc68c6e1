/** Two registries that most scenarios use: a mirror, which the table names first, and an upstream that stands in for Docker Hub. */
import { currentCluster } from './cluster.ts'
import { pushImage } from './images.ts'
import { removeNodeHost, setNodeHost } from './node-hosts.ts'
import { type Registry, startRegistry } from './registry.ts'

export type MirrorAndUpstream = {
  mirror: Registry
  upstream: Registry
  /** The config for both: images of docker.io come from the mirror first, and `latest` is pinned. */
  config: string
  push(to: Registry, repository: string, tag: string, marker?: string): Promise<string>
  stop(): Promise<void>
}

/**
 * Starts both registries. `name` keeps their content apart from that of other scenarios. Pass `podAddress` as the address
 * when Berth runs as a pod.
 */
export async function startMirrorAndUpstream(
  name: string,
  address: string = currentCluster().address,
): Promise<MirrorAndUpstream> {
  const cluster = currentCluster()
  const home = { ...cluster, address }
  const mirror = await startRegistry(home, { name: `${name}-mirror` })
  const upstream = await startRegistry(home, { name: `${name}-upstream` })
  setNodeHost(cluster, 'mirror.example', [mirror.url])
  setNodeHost(cluster, 'docker.io', [upstream.url])
  return {
    mirror,
    upstream,
    config: `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: mirror.example, endpoint: '${mirror.url}', mirror: true }
  - { host: docker.io, endpoint: '${upstream.url}' }
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
      await Promise.all([mirror.stop(), upstream.stop()])
    },
  }
}
