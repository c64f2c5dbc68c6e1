/**
 * Matches the keys of a docker config with repositories. Follows the kubelet exactly, including its bugs, to predict what it does
 * with a pull secret (k8s.io/kubernetes v1.36, pkg/credentialprovider/keyring.go).
 */
import { type GoUrl, parseGoUrl, toByteString } from './go-url.ts'
import { matchesHostLabel } from './host-label-glob.ts'

/** A key as the kubelet's keyring stores it. */
export interface DockerConfigKey {
  /** Without scheme, user and query; the path is decoded and without its `/v1`. A byte string that defines the order. */
  readonly text: string
  /** The text, parsed as a URL again. Null if that fails: the kubelet never uses such a key. */
  readonly url: GoUrl | null
}

/** Why a key does not match a repository. */
export type KeyMismatch =
  /** Go does not accept the key as a URL, or not the text that the keyring makes of it. */
  | 'not-a-url'
  /** A name of Docker Hub other than the two that the kubelet knows. */
  | 'hub-name'
  /** The key contains `*`, which matches one label, and has another number of labels than the host. */
  | 'label-count'
  | 'other-host'
  /** The host matches and the port does not. No port is not the same as 443. */
  | 'other-port'
  /** The path does not start with the path of the key. */
  | 'other-path'
  /** The kubelet uses `index.docker.io` for Docker Hub only if no other key matches. */
  | 'last-resort'

/** The key that the kubelet uses for Docker Hub if no other one matches (keyring.go, defaultRegistryKey). */
const hubFallbackKey = 'index.docker.io'

/** Names that people use for Docker Hub, and that match none of its images. */
const hubNames: ReadonlySet<string> = new Set([
  hubFallbackKey,
  'docker.io',
  'registry-1.docker.io',
  'hub.docker.com',
  'registry.hub.docker.com',
])

/** Returns a key for messages, without the user and password that its URL may contain, wherever Go takes them to end. */
export function redactKey(key: string): string {
  return key.replace(/^(https?:\/\/)?.*@/s, '$1')
}

/** Returns false for a key that the kubelet never uses, because it is not a URL. */
export function isUsableKey(key: string): boolean {
  return (parseKey(key)?.url ?? null) !== null
}

/** Returns a function that finds the keys that the kubelet uses for a repository, in its order. */
export function createKeyMatcher(
  keys: readonly string[],
): (host: string, path: string) => readonly string[] {
  const entries = sortLikeKubelet(
    keys.flatMap((key) => {
      const registry = parseKey(key)
      return registry === null ? [] : [{ key, registry }]
    }),
  )
  return (host, path) => entriesFor(entries, host, path).map(({ key }) => key)
}

/** Sorts entries by the reverse byte order of their keys, not by length. Keeps the order of entries with the same key. */
export function sortLikeKubelet<Entry extends { readonly registry: DockerConfigKey }>(
  entries: readonly Entry[],
): readonly Entry[] {
  return entries.toSorted(({ registry: { text: one } }, { registry: { text: other } }) =>
    one === other ? 0 : one < other ? 1 : -1,
  )
}

/** Returns the entries that the kubelet tries for a repository (keyring.go, Lookup). `entries` are sorted like in the kubelet. */
export function entriesFor<Entry extends { readonly registry: DockerConfigKey }>(
  entries: readonly Entry[],
  host: string,
  path: string,
): readonly Entry[] {
  const target = parseTarget(host, path)
  const matching = entries.filter(({ registry }) => mismatchOf(registry, target) === null)
  return matching.length === 0 && isDockerHub(host)
    ? entries.filter(({ registry }) => registry.text === hubFallbackKey)
    : matching
}

/** Returns null for a key that is not a URL, which the kubelet skips (keyring.go, Add). */
export function parseKey(key: string): DockerConfigKey | null {
  const url = parseGoUrl(toByteString(key.replace(/^https?:\/\//, '')))
  if (url === null) return null
  const path = /^\/v[12]\//.test(url.path) ? url.path.slice('/v1'.length) : url.path
  const text = url.host + (path === '/' ? '' : path)
  return { text, url: parseGoUrl(text) }
}

/** Returns null if the key matches without the fallback for Docker Hub, else the first reason that the user can act on. */
export function keyMismatch(key: DockerConfigKey, host: string, path: string): KeyMismatch | null {
  return mismatchOf(key, parseTarget(host, path))
}

/** A repository, parsed as the kubelet parses it. */
interface Target {
  readonly host: string
  readonly labels: readonly string[]
  readonly port: string
  readonly path: string
}

/** Returns null for a repository that is not a URL, such as `[1:2]/x`: no key matches it. */
function parseTarget(host: string, path: string): Target | null {
  const url = parseGoUrl(`${host}/${path}`)
  if (url === null) return null
  const [labels, port] = splitHost(url.host)
  return { host, labels, port, path: url.path }
}

function mismatchOf(key: DockerConfigKey, target: Target | null): KeyMismatch | null {
  if (key.url === null) return 'not-a-url'
  if (target === null) return 'other-host'
  const { labels } = target
  const [patterns, port] = splitHost(key.url.host)
  const hasSameLength = patterns.length === labels.length
  const matchesHost =
    hasSameLength &&
    patterns.every((pattern, index) => matchesHostLabel(pattern, labels[index] ?? ''))
  if (!matchesHost) return hostMismatch(key, target.host, hasSameLength)
  if (port !== target.port) return 'other-port'
  // The kubelet compares prefixes, not path segments: `ghcr.io/acme` also matches `ghcr.io/acme-evil/x`.
  return target.path.startsWith(key.url.path) ? null : 'other-path'
}

function hostMismatch(key: DockerConfigKey, host: string, hasSameLength: boolean): KeyMismatch {
  if (isDockerHub(host) && key.text === hubFallbackKey) return 'last-resort'
  const keyHost = key.url?.host ?? ''
  if (host === 'docker.io' && hubNames.has(keyHost)) return 'hub-name'
  return !hasSameLength && keyHost.includes('*') ? 'label-count' : 'other-host'
}

/** keyring.go, isDefaultRegistryMatch: a first component that cannot be a host is a Docker Hub user. */
function isDockerHub(host: string): boolean {
  return host === 'docker.io' || host === hubFallbackKey || !/[.:]/.test(host)
}

/** keyring.go, SplitURL: a host without a port keeps its brackets, one with a port loses them (net.SplitHostPort). */
function splitHost(host: string): readonly [labels: readonly string[], port: string] {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):([0-9]*)$/.exec(host)
  if (match === null) return [host.split('.'), '']
  const [, bracketed, plain = '', port = ''] = match
  return [(bracketed ?? plain).split('.'), port]
}
