/** A registry of one version as upstream and as mirror, with HAProxy in front of the mirror. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { currentCluster } from '../harness/cluster.ts'
import { type Haproxy, type HaproxyOptions, startHaproxy } from '../harness/haproxy.ts'
import { pushImage } from '../harness/images.ts'
import { type Registry, type RegistryOptions, startRegistry } from '../harness/registry.ts'
import { digestOfTag } from '../harness/registry-client.ts'

/** The name of the mirror in configs. */
export const mirrorHost = 'proxy.example'

/** An image on the upstream registry with a layer of 9 MiB and the tag `1`. */
export const large = 'team/large'

export type Site = {
  upstream: Registry
  mirror: Registry
  /** The directory of the site's files. */
  directory: string
  startRegistry: (suffix: string, options: Partial<RegistryOptions>) => Promise<Registry>
  /** Starts HAProxy in front of the mirror. */
  startProxy: (suffix: string, options?: Partial<HaproxyOptions>) => Promise<Haproxy>
  /** Writes a config with the upstream registry and this proxy as the mirror. */
  configFor: (proxy: Haproxy, more?: { registry?: string; rest?: string }) => string
  stop(): Promise<void>
}

/** Starts both registries with a program. Lists of tags of the upstream registry have pages of 4, if the version can do that. */
export async function startSite(name: string, program: string): Promise<Site> {
  const cluster = currentCluster()
  const directory = join(cluster.runDir, `registries-${name}`)
  mkdirSync(directory, { recursive: true })
  const stops: (() => Promise<void>)[] = []
  const start = async (suffix: string, options: Partial<RegistryOptions> = {}) => {
    const settings = { name: `${name}-${suffix}`, program, ...options }
    const registry = await startRegistry(cluster, settings)
    stops.unshift(() => registry.stop())
    return registry
  }
  const upstream = await start('upstream', { maxTags: 4 })
  const mirror = await start('mirror')
  const content = randomBytes(9 * 1024 * 1024)
  await pushImage({ registry: upstream.url, repository: large, tag: '1', content })
  let configs = 0
  return {
    upstream,
    mirror,
    directory,
    startRegistry: start,
    startProxy: async (suffix, options = {}) => {
      const settings = { name: `${name}-${suffix}`, backend: mirror.host, ...options }
      const proxy = await startHaproxy(cluster, settings)
      stops.unshift(() => proxy.stop())
      return proxy
    },
    configFor: ({ url, certificate }, { registry = '', rest = '' } = {}) => {
      configs += 1
      const file = join(directory, `berth-${configs}.yaml`)
      writeFileSync(
        file,
        `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: '${upstream.host}', endpoint: '${upstream.url}' }
  - { host: ${mirrorHost}, endpoint: '${url}', mirror: true, ca: '${certificate}'${registry} }
fallback: [{ name: all, images: ['**'], try: ['${mirrorHost}/{path}'] }]
${rest}`,
      )
      return file
    },
    stop: async () => {
      for (const stop of stops) await stop()
    },
  }
}

/** Returns the digest of a tag or digest on a registry; undefined if the registry does not have it. */
export function digestOn(registry: Registry, repository: string, tag: string) {
  return digestOfTag({ registry: registry.url, repository }, tag)
}
