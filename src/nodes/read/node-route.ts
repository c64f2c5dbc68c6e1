/** The route of a pull by a node's own files: the URLs that the runtime asks, in order. */
import { apiHost, hubReference } from '../../decision/fallback/registry-aliases.ts'
import {
  formatAsPulled,
  type Reference,
  withDefaultTag,
} from '../../decision/reference/reference.ts'
import { type CertsDirectory, directoryFor, hostsAskedFor } from './certs-d.ts'
import { type RegistriesConf, routeByRegistriesConf } from './registries-conf.ts'
import { endpointsFor, readRegistriesYaml } from './registries-yaml.ts'

/** The files of a node that the runtime reads. */
export type NodeState =
  /** One tree for each directory of config_path; the first with a directory for the host is used. */
  | { readonly kind: 'containerd'; readonly trees: readonly CertsDirectory[] }
  /** `closed`: K3s runs with disable-default-registry-endpoint. */
  | { readonly kind: 'k3s'; readonly text: string; readonly closed: boolean }
  | { readonly kind: 'crio'; readonly conf: RegistriesConf }

/** Returns the URLs, or a single line that starts with `cannot pull` if no pull can succeed. */
export function nodeRoute(state: NodeState, image: Reference): string[] {
  const reference = hubReference(withDefaultTag(image))
  if (state.kind === 'crio') return crioRoute(state.conf, reference)
  const { domain, path, tag, digest } = reference
  const suffix = `/${path}${digest === null ? `:${tag}` : `@${digest}`}`
  if (state.kind === 'k3s') {
    const endpoints = endpointsFor(readRegistriesYaml(state.text), domain, state.closed)
    return withoutOtherSchemes(endpoints).map((each) => `${each}${suffix}`)
  }
  const tree = state.trees.find((each) => directoryFor(each, domain) !== null) ?? new Map()
  const usable = hostsAskedFor(tree, domain).filter(
    ({ pull, resolve }) => pull && (resolve || digest !== null),
  )
  return withoutRepeats(
    usable.map(({ scheme, host, path: base }) => `${scheme}://${host}${base}${suffix}`),
  )
}

/** A URL that is asked twice in a row counts once. */
function withoutRepeats(urls: readonly string[]): string[] {
  return urls.filter((url, index) => url !== urls[index - 1])
}

function crioRoute(conf: RegistriesConf, reference: Reference): string[] {
  const route = routeByRegistriesConf(conf, formatAsPulled(reference))
  if ('fault' in route) return [`cannot pull: ${route.fault}`]
  return route.locations.map(({ image, insecure }) => {
    const slash = image.indexOf('/')
    const host = image.slice(0, slash)
    const authority = apiHost(host)
    return `${insecure ? 'http' : 'https'}://${authority}/v2${image.slice(slash)}`
  })
}

/** K3s asks a registry with an http endpoint by https too, last. Both schemes are the same registry. */
function withoutOtherSchemes(endpoints: readonly string[]): string[] {
  const withoutScheme = endpoints.map((each) => each.replace(/^https?:/, ''))
  return endpoints.filter((_, index) => withoutScheme.indexOf(withoutScheme[index] ?? '') === index)
}
