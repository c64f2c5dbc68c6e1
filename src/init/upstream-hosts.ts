/** Groups images by the registry that they come from, to make a row for each. Pure. */
import { isIP } from 'node:net'
import { isHost } from '../config/host.ts'
import { hostComponent } from '../decision/fallback/host-component.ts'
import { canonicalReference } from '../decision/fallback/registry-aliases.ts'
import { parseReference } from '../decision/reference/parse.ts'
import { type Reference, repositoryName, withDefaultTag } from '../decision/reference/reference.ts'
import { systemNetwork } from '../registry/http/ip-ranges.ts'

export interface UpstreamHost {
  readonly host: string
  /** How many repositories of it are used. */
  readonly repositories: number
  /** The first image, with a tag or digest; null if none was seen. */
  readonly example: Reference | null
}

export interface UpstreamHosts {
  /** The hosts with the most repositories first. */
  readonly hosts: readonly UpstreamHost[]
  /** What gets no row, and why. */
  readonly notes: readonly string[]
}

/** Rows in a config. People read them, and a cluster uses about a dozen registries. */
const maxHosts = 50

/** Returns the registries of the images, and those in `more`. Images on the mirror need no row: they stay there. */
export function upstreamHosts(
  images: Iterable<string>,
  { mirror, more }: { readonly mirror: string; readonly more: readonly string[] },
): UpstreamHosts {
  const found = new Map<string, { repositories: Set<string>; example: Reference | null }>(
    more.map((host) => [host, { repositories: new Set<string>(), example: null }]),
  )
  let invalid = 0
  for (const image of images) {
    const parsed = parseReference(image)
    if (!parsed.ok || parsed.reference.domain === '') {
      invalid += 1
      continue
    }
    const reference = canonicalReference(withDefaultTag(parsed.reference))
    const entry = found.get(reference.domain) ?? { repositories: new Set(), example: null }
    entry.repositories.add(repositoryName(reference))
    entry.example ??= reference
    found.set(reference.domain, entry)
  }
  found.delete(mirror)
  const components = new Set<string>()
  const notes = invalid === 0 ? [] : [`${invalid} images are not valid references`]
  const hosts = [...found]
    .map(([host, { repositories, example }]) => ({
      host,
      repositories: repositories.size,
      example,
    }))
    .sort((one, other) => other.repositories - one.repositories)
    .filter(({ host }) => {
      const why = reasonAgainst(host, { components, isGiven: more.includes(host) })
      if (why !== null) notes.push(`${host}: ${why}`)
      return why === null
    })
  for (const { host } of hosts.slice(maxHosts))
    notes.push(`${host}: the limit is ${maxHosts} rows, and other registries have more images`)
  return { hosts: hosts.slice(0, maxHosts), notes }
}

/** Returns why a host gets no row; null if it gets one. */
function reasonAgainst(
  host: string,
  { components, isGiven }: { readonly components: Set<string>; readonly isGiven: boolean },
): string | null {
  // Names with other characters, or in another spelling of an address, are not hosts that Berth contacts.
  if (!isHost(host) || !/[.:]/.test(host) || !isUsualSpelling(host))
    return 'not a valid host in its usual spelling'
  if (/^(?:localhost|127\.|\[::1\])/.test(host))
    return 'for pods and nodes, this name is another machine'
  // Anyone who can create a pod can name these, and the webhook would ask the address from inside the cluster.
  if (isLocalAddress(host)) return 'an address that only its own machine or network segment reaches'
  if (isService(host) && !isGiven)
    return `a Service of the cluster; if Berth should handle its images, run this again with --registry ${host}`
  const component = hostComponent(host)
  if (components.has(component))
    return 'its copies would get the same names as those of another registry'
  components.add(component)
  return null
}

function isLocalAddress(host: string): boolean {
  const address = hostnameOf(host)
  if (isIP(address) === 0) return false
  return ['loopback', 'link-local', 'reserved'].includes(systemNetwork.ipRangeOf(address))
}

/** The names that the DNS of a cluster resolves (Kubernetes, DNS-Based Service Discovery), with its default domain. */
function isService(host: string): boolean {
  return /\.(?:svc|cluster\.local|svc\..+)$/i.test(hostnameOf(host))
}

function hostnameOf(host: string): string {
  return new URL(`https://${host}`).hostname.replaceAll(/^\[|\]$|\.$/g, '')
}

function isUsualSpelling(host: string): boolean {
  return new URL(`https://${host}`).host === host.replace(/:443$/, '')
}
