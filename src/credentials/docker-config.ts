/**
 * Which key of a docker config speaks for which repository: the kubelet's own rules, mistakes included, because what
 * it will do with a pull secret is what has to be foretold (k8s.io/kubernetes v1.36, pkg/credentialprovider/keyring.go).
 */
import { matchesLabel } from './label-glob.ts'

/** A key as the kubelet keeps it: the scheme is gone, and an API path such as `/v1/` as well. */
interface NormalKey {
  readonly host: string
  readonly path: string
}

/** The one key that is tried for Docker Hub when nothing else matched (keyring.go, defaultRegistryKey). */
const hubFallbackKey = 'index.docker.io'

/**
 * True when the kubelet would use this key for this repository: the same port, as many labels, each matched by its
 * pattern, and a path that begins with the key's. Docker Hub's last resort is in findMatches, which sees all keys.
 */
export function matchesKey(key: string, host: string, path: string): boolean {
  const normal = normaliseKey(key)
  return normal !== null && matchesNormal(normal, host, path)
}

/**
 * The keys that the kubelet would use for this repository, in its order, which is not by length but the reverse byte
 * order of the normalised key.
 */
export function findMatches(
  keys: readonly string[],
  host: string,
  path: string,
): readonly string[] {
  const entries = keys.flatMap((key) => {
    const normal = normaliseKey(key)
    return normal === null ? [] : [{ key, normal, text: normal.host + normal.path }]
  })
  const matching = entries
    .filter(({ normal }) => matchesNormal(normal, host, path))
    .sort((one, other) => Buffer.compare(Buffer.from(other.text), Buffer.from(one.text)))
  const found =
    matching.length === 0 && isHub(host)
      ? entries.filter(({ text }) => text === hubFallbackKey)
      : matching
  return found.map(({ key }) => key)
}

/** keyring.go, isDefaultRegistryMatch: a first component that could not be a host is a Docker Hub user. */
function isHub(host: string): boolean {
  return host === 'docker.io' || host === hubFallbackKey || !/[.:]/.test(host)
}

/** Null for a key that is no URL: the kubelet skips it. */
function normaliseKey(key: string): NormalKey | null {
  const parts = /^(?:https?:\/\/)?([^/?#]*)([^?#]*)/.exec(key)
  const [, authority = '', fullPath = ''] = parts ?? []
  const host = authority.slice(authority.lastIndexOf('@') + 1)
  // Go refuses a port that is not made of digits, and white space in a host (net/url, parseHost).
  if (host === '' || /\s/.test(host) || (/:[^:\]]*$/.test(host) && !/:[0-9]*$/.test(host))) {
    return null
  }
  const path = /^\/v[12]\//.test(fullPath) ? fullPath.slice('/v1'.length) : fullPath
  return { host, path: path === '/' ? '' : path }
}

function matchesNormal(key: NormalKey, host: string, path: string): boolean {
  const [patterns, keyPort] = splitHost(key.host)
  const [labels, port] = splitHost(host)
  return (
    keyPort === port &&
    patterns.length === labels.length &&
    // No boundary is looked for: `ghcr.io/acme` also speaks for `ghcr.io/acme-evil/x`.
    `/${path}`.startsWith(key.path) &&
    patterns.every((pattern, index) => matchesLabel(pattern, labels[index] ?? ''))
  )
}

/** keyring.go, SplitURL: a host without a port keeps its brackets, one with a port loses them (net.SplitHostPort). */
function splitHost(host: string): readonly [labels: readonly string[], port: string] {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):([0-9]*)$/.exec(host)
  if (match === null) return [host.split('.'), '']
  const [, bracketed, plain = '', port = ''] = match
  return [(bracketed ?? plain).split('.'), port]
}
