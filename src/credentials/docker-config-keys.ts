/**
 * Which key of a docker config speaks for which repository: the kubelet's own rules, mistakes included, because what
 * it will do with a pull secret is what has to be foretold (k8s.io/kubernetes v1.36, pkg/credentialprovider/keyring.go).
 */
import { parseGoUrl, toByteString, type GoUrl } from './go-url.ts'
import { matchesHostLabel } from './host-label-glob.ts'

/** A key as the keyring keeps it. */
export interface DockerConfigKey {
  /** Without scheme, user and query, the path decoded and without its `/v1`: a byte string, which gives the order. */
  readonly text: string
  /** The keyring reads its own text as a URL once more. Null when that cannot be done: such a key is never used. */
  readonly url: GoUrl | null
}

/** Why a key does not speak for a repository. */
export type KeyMismatch =
  /** Neither is it a URL to Go, nor is what the keyring makes of it. */
  | 'not-a-url'
  /** Another name of Docker Hub than those two that the kubelet knows. */
  | 'hub-name'
  /** It has a `*`, but not as many labels as the host: a `*` stands for one. */
  | 'label-count'
  | 'other-host'
  /** The host is right, the port is not: no port is not 443. */
  | 'other-port'
  /** The path does not begin with the key's. */
  | 'other-path'
  /** `index.docker.io` is used for Docker Hub only when no other key is. */
  | 'last-resort'

/** The one key that is tried for Docker Hub when nothing else matched (keyring.go, defaultRegistryKey). */
const hubFallbackKey = 'index.docker.io'

/** Names under which people know Docker Hub, and which match none of its images. */
const hubNames: ReadonlySet<string> = new Set([
  hubFallbackKey,
  'docker.io',
  'registry-1.docker.io',
  'hub.docker.com',
  'registry.hub.docker.com',
])

/**
 * True when the kubelet would use this key for this repository: the same port, as many labels, each matched by its
 * pattern, and a path that begins with the key's. Docker Hub's last resort is in selectFor, which sees all keys.
 */
export function matchesKey(key: string, host: string, path: string): boolean {
  const registry = parseKey(key)
  return registry !== null && keyMismatch(registry, host, path) === null
}

/** A key for people to read: without the user and password that a URL may hold, wherever Go takes them to end. */
export function redactKey(key: string): string {
  return key.replace(/^(https?:\/\/)?.*@/s, '$1')
}

/** False for a key that the kubelet can use for no image, because it is no URL to it. */
export function isUsableKey(key: string): boolean {
  return (parseKey(key)?.url ?? null) !== null
}

/** The keys that the kubelet would use for this repository, in its order. */
export function matchingKeys(
  keys: readonly string[],
  host: string,
  path: string,
): readonly string[] {
  return createKeyMatcher(keys)(host, path)
}

/** Like findMatches, for many repositories: the keys are read once. */
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

/** Not the longest first, but the reverse byte order of the key's text; those of one text stay as they were. */
export function sortLikeKubelet<Entry extends { readonly registry: DockerConfigKey }>(
  entries: readonly Entry[],
): readonly Entry[] {
  return entries.toSorted(({ registry: { text: one } }, { registry: { text: other } }) =>
    one === other ? 0 : one < other ? 1 : -1,
  )
}

/** The entries that the kubelet tries for a repository, of those given in the keyring's order (keyring.go, Lookup). */
export function entriesFor<Entry extends { readonly registry: DockerConfigKey }>(
  entries: readonly Entry[],
  host: string,
  path: string,
): readonly Entry[] {
  const target = readTarget(host, path)
  const matching = entries.filter(({ registry }) => mismatch(registry, target) === null)
  return matching.length === 0 && isHub(host)
    ? entries.filter(({ registry }) => registry.text === hubFallbackKey)
    : matching
}

/** Null for a key that is no URL: the kubelet passes it over (keyring.go, Add). */
export function parseKey(key: string): DockerConfigKey | null {
  const url = parseGoUrl(toByteString(key.replace(/^https?:\/\//, '')))
  if (url === null) return null
  const path = /^\/v[12]\//.test(url.path) ? url.path.slice('/v1'.length) : url.path
  const text = url.host + (path === '/' ? '' : path)
  return { text, url: parseGoUrl(text) }
}

/** Null when the key matches by itself; otherwise the first reason that tells people what to change. */
export function keyMismatch(key: DockerConfigKey, host: string, path: string): KeyMismatch | null {
  return mismatch(key, readTarget(host, path))
}

interface Target {
  readonly host: string
  readonly labels: readonly string[]
  readonly port: string
  readonly path: string
}

/** Null for a repository that is no URL, `[1:2]/x` for one: no key is for it. */
function readTarget(host: string, path: string): Target | null {
  const url = parseGoUrl(`${host}/${path}`)
  if (url === null) return null
  const [labels, port] = splitHost(url.host)
  return { host, labels, port, path: url.path }
}

function mismatch(key: DockerConfigKey, target: Target | null): KeyMismatch | null {
  if (key.url === null) return 'not-a-url'
  if (target === null) return 'other-host'
  const { labels } = target
  const [patterns, port] = splitHost(key.url.host)
  const isHost =
    patterns.length === labels.length &&
    patterns.every((pattern, index) => matchesHostLabel(pattern, labels[index] ?? ''))
  if (!isHost) return hostMismatch(key, target.host, patterns.length !== labels.length)
  if (port !== target.port) return 'other-port'
  // No boundary is looked for: `ghcr.io/acme` also speaks for `ghcr.io/acme-evil/x`.
  return target.path.startsWith(key.url.path) ? null : 'other-path'
}

function hostMismatch(key: DockerConfigKey, host: string, isCountOff: boolean): KeyMismatch {
  if (isHub(host) && key.text === hubFallbackKey) return 'last-resort'
  const name = key.url?.host ?? ''
  if (host === 'docker.io' && hubNames.has(name)) return 'hub-name'
  return isCountOff && name.includes('*') ? 'label-count' : 'other-host'
}

/** keyring.go, isDefaultRegistryMatch: a first component that could not be a host is a Docker Hub user. */
function isHub(host: string): boolean {
  return host === 'docker.io' || host === hubFallbackKey || !/[.:]/.test(host)
}

/** keyring.go, SplitURL: a host without a port keeps its brackets, one with a port loses them (net.SplitHostPort). */
function splitHost(host: string): readonly [labels: readonly string[], port: string] {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):([0-9]*)$/.exec(host)
  if (match === null) return [host.split('.'), '']
  const [, bracketed, plain = '', port = ''] = match
  return [(bracketed ?? plain).split('.'), port]
}
