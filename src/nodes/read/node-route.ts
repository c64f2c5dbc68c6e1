/** The route of a pull by a node's own files: the URLs that the runtime asks, in order. */
import { apiHost, hubReference } from '../../decision/fallback/registry-aliases.ts'
import {
  formatAsPulled,
  formatReference,
  type Reference,
  withDefaultTag,
} from '../../decision/reference/reference.ts'
import { type CertsDirectory, directoryFor, hostsAskedFor } from './certs-d.ts'
import { type RegistriesConf, routeByRegistriesConf } from './registries-conf.ts'
import { placesFor, readRegistriesYaml } from './registries-yaml.ts'
import { isShortName, resolveShortName } from './short-names.ts'

/** The files of a node that the runtime reads. */
export type NodeState =
  /** One tree for each directory of config_path; the first with a directory for the host is used. */
  | {
      readonly kind: 'containerd'
      readonly trees: readonly CertsDirectory[]
      /** Why containerd does not pull at all; null if it does. */
      readonly fault: string | null
    }
  /** `closed`: K3s runs with disable-default-registry-endpoint. */
  | { readonly kind: 'k3s'; readonly text: string; readonly closed: boolean }
  /** `refusesAmbiguous`: a short name is an error if there is more than one search registry. */
  | { readonly kind: 'crio'; readonly conf: RegistriesConf; readonly refusesAmbiguous: boolean }

/** An image as a pod names it. */
export interface NamedImage {
  readonly reference: Reference
  /** Without a registry, it is a short name, which CRI-O does not read as an image of Docker Hub. */
  readonly text: string
}

/** Returns the image under its full name. */
export function namedImage(reference: Reference): NamedImage {
  return { reference, text: formatReference(reference) }
}

/** Returns the URLs, or a single line that starts with `cannot pull` if no pull can succeed. */
export function nodeRoute(state: NodeState, image: NamedImage): string[] {
  if (state.kind === 'crio') return crioRoute(state, image)
  const reference = hubReference(withDefaultTag(image.reference))
  const { domain, path, tag, digest } = reference
  const version = digest === null ? `:${tag}` : `@${digest}`
  if (state.kind === 'k3s') {
    const places = placesFor(readRegistriesYaml(state.text), domain, path, state.closed)
    const urls = places.map(({ endpoint, paths }) =>
      paths.map((each) => `${endpoint}/${each}${version}`).join(' or '),
    )
    return withoutOtherSchemes(urls)
  }
  if (state.fault !== null) return [`cannot pull: ${state.fault}`]
  const tree = state.trees.find((each) => directoryFor(each, domain) !== null) ?? new Map()
  const usable = hostsAskedFor(tree, domain).filter(
    ({ pull, resolve }) => pull && (resolve || digest !== null),
  )
  return withoutRepeats(
    usable.map(({ scheme, host, path: base }) => `${scheme}://${host}${base}/${path}${version}`),
  )
}

/** A URL that is asked twice in a row counts once. */
function withoutRepeats(urls: readonly string[]): string[] {
  return urls.filter((url, index) => url !== urls[index - 1])
}

function crioRoute(
  { conf, refusesAmbiguous }: Extract<NodeState, { kind: 'crio' }>,
  { reference, text }: NamedImage,
): string[] {
  const answer = isShortName(text)
    ? resolveShortName(conf.shortNames, text, refusesAmbiguous)
    : { images: [reference] }
  const fault = conf.fault ?? ('fault' in answer ? answer.fault : null)
  if (fault !== null || 'fault' in answer) return [`cannot pull: ${fault}`]
  const routes = answer.images.map((each) => routeOnCrio(conf, each))
  return withoutRepeats(routes.flat())
}

function routeOnCrio(conf: RegistriesConf, image: Reference): string[] {
  const reference = hubReference(withDefaultTag(image))
  const route = routeByRegistriesConf(conf, formatAsPulled(reference))
  if ('fault' in route) return [`cannot pull: ${route.fault}`]
  return route.locations.map((location) => {
    const slash = location.image.indexOf('/')
    const authority = apiHost(location.image.slice(0, slash))
    return `${location.insecure ? 'http' : 'https'}://${authority}/v2${location.image.slice(slash)}`
  })
}

/** K3s asks a registry with an http endpoint by https too, last. Both schemes are the same registry. */
function withoutOtherSchemes(urls: readonly string[]): string[] {
  const withoutScheme = urls.map((each) => each.replace(/^https?:/, ''))
  return urls.filter((_, index) => withoutScheme.indexOf(withoutScheme[index] ?? '') === index)
}
