/** Where a node's own files send a pull: the places that are asked, in order, in the words of route.ts. */
import { canonicalReference } from '../../decision/fallback/registry-aliases.ts'
import {
  defaultDomain,
  formatAsPulled,
  type Reference,
  withDefaultTag,
} from '../../decision/reference/reference.ts'
import { directoryFor, hostsAskedFor, type CertsDirectory } from './certs-d.ts'
import { type RegistriesConf, routeByRegistriesConf } from './registries-conf.ts'
import { endpointsFor, readRegistriesYaml } from './registries-yaml.ts'

/** The files of a node that are in force. */
export type NodeState =
  /** One tree for each directory of config_path; the first that has a directory for a host counts. */
  | { readonly kind: 'containerd'; readonly trees: readonly CertsDirectory[] }
  | { readonly kind: 'k3s'; readonly text: string; readonly closed: boolean }
  | { readonly kind: 'crio'; readonly conf: RegistriesConf }

/** A single line that begins with `nothing` where no pull can succeed. */
export function nodeRoute(state: NodeState, asked: Reference): string[] {
  const reference = canonicalReference(withDefaultTag(asked))
  if (state.kind === 'crio') return crioRoute(state.conf, reference)
  const { domain, path, tag, digest } = reference
  const rest = `/${path}${digest === null ? `:${tag}` : `@${digest}`}`
  if (state.kind === 'k3s')
    return withoutOtherSchemes(
      endpointsFor(readRegistriesYaml(state.text), domain, state.closed),
    ).map((each) => `${each}${rest}`)
  const tree = state.trees.find((each) => directoryFor(each, domain) !== null) ?? new Map()
  const able = hostsAskedFor(tree, domain).filter(
    ({ pull, resolve }) => pull && (resolve || digest !== null),
  )
  return once(able.map((host) => `${host.scheme}://${host.host}${host.path}${rest}`))
}

/** A place that is asked twice in a row is one place. */
function once(places: readonly string[]): string[] {
  return places.filter((place, index) => place !== places[index - 1])
}

function crioRoute(conf: RegistriesConf, reference: Reference): string[] {
  const route = routeByRegistriesConf(conf, formatAsPulled(reference))
  if ('fault' in route) return [`nothing: ${route.fault}`]
  return route.places.map(({ image, insecure }) => {
    const slash = image.indexOf('/')
    const host = image.slice(0, slash)
    const authority = host === defaultDomain ? 'registry-1.docker.io' : host
    return `${insecure ? 'http' : 'https'}://${authority}/v2${image.slice(slash)}`
  })
}

/** K3s asks a registry that it was told to reach by http by https as well, at last: the same place. */
function withoutOtherSchemes(endpoints: readonly string[]): string[] {
  const bare = endpoints.map((each) => each.replace(/^https?:/, ''))
  return endpoints.filter((_, index) => bare.indexOf(bare[index] ?? '') === index)
}
