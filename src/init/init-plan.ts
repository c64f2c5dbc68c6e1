/** The facts and answers from which `berth init` makes a config. */
import { hostComponent } from '../decision/fallback/host-component.ts'
import { formatReference, type Reference } from '../decision/reference/reference.ts'
import { isLocalUrl } from '../proxy/no-proxy.ts'
import { defaultEndpoint } from '../registry/http/registry-settings.ts'
import type { MirrorKind } from './mirror-kind.ts'
import type { UpstreamHost } from './upstream-hosts.ts'

export interface PlannedMirror {
  readonly host: string
  /** Null for https at the host. */
  readonly endpoint: string | null
  readonly kind: MirrorKind
  /** What each path begins with, such as a project of Harbor; empty for nothing. */
  readonly prefix: string
  /** The upstream registries that it caches itself, and the prefixes of their paths. */
  readonly caches: ReadonlyMap<string, string>
  /** The pull secret for it; null for anonymous. */
  readonly secret: string | null
  /** A path from the directory of the config; null for the public CAs. */
  readonly ca: string | null
}

export interface PlannedUpstream extends UpstreamHost {
  /** Null for the default. */
  readonly endpoint: string | null
  /** The problem that the probe found, for a comment; null for none. */
  readonly note: string | null
}

export interface InitPlan {
  /** Where editors find the JSON Schema; null if it is in no file. */
  readonly schema: string | null
  readonly mirror: PlannedMirror
  readonly upstreams: readonly PlannedUpstream[]
  /** Platforms of the nodes; empty if they are not known. */
  readonly platforms: readonly string[]
  /** The proxy for upstream registries, without a password; null for none. */
  readonly proxy: string | null
  /** Operators in the cluster whose images Berth leaves alone. */
  readonly operators: readonly string[]
  /** What gets no row, and why. */
  readonly notes: readonly string[]
}

/** Returns whether Berth reaches the mirror at a loopback address, which in a pod is the pod itself. */
export function isOnLoopback({ host, endpoint }: PlannedMirror): boolean {
  return isLocalUrl(new URL(endpoint ?? defaultEndpoint(host)))
}

/** Returns the template for the copies of a registry on the mirror. */
export function mirrorTemplate({ host, prefix, caches }: PlannedMirror, upstream: string): string {
  const cache = caches.get(upstream)
  const parts = cache === undefined ? [host, prefix, '{host}', '{path}'] : [host, cache, '{path}']
  return parts.filter((part) => part !== '').join('/')
}

/** Returns the name of an image on the mirror. */
export function mirrorName(mirror: PlannedMirror, image: Reference): string {
  const name = mirrorTemplate(mirror, image.domain)
    .replace('{host}', hostComponent(image.domain))
    .replace('{path}', image.path)
  const suffix = formatReference(image).slice(`${image.domain}/${image.path}`.length)
  return `${name}${suffix}`
}

/** Returns a name for the row of each host, in order. All differ. */
export function rowNames(hosts: readonly string[]): readonly string[] {
  const names = new Set<string>()
  return hosts.map((host) => {
    const base = wellKnownNames.get(host) ?? host.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
    let name = base.replaceAll(/^-|-$/g, '')
    for (let number = 2; names.has(name); number++) name = `${base}-${number}`
    names.add(name)
    return name
  })
}

const wellKnownNames: ReadonlyMap<string, string> = new Map([
  ['docker.io', 'docker-hub'],
  ['ghcr.io', 'ghcr'],
  ['quay.io', 'quay'],
  ['registry.k8s.io', 'kubernetes'],
])
