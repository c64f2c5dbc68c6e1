/**
 * Which token server may be asked. A registry names its token server itself, so a registry that is not honest could
 * name anybody's, and be sent the credentials (CVE-2020-15157): the pair of both hosts has to be known beforehand.
 */
import { shortHost } from '../http/network-error.ts'
import type { RegistrySettings } from '../http/registry-settings.ts'

/** Registries whose token server has another name, as both publish it. */
const knownPairs: ReadonlyMap<string, string> = new Map([
  ['docker.io', 'auth.docker.io'],
  ['registry.gitlab.com', 'gitlab.com'],
])

export type TokenServerCheck =
  { readonly ok: true; readonly realm: URL } | { readonly ok: false; readonly detail: string }

/** Checks a realm. The port belongs to the host: another port is another server. */
export function checkTokenServer(
  text: string | undefined,
  settings: RegistrySettings,
): TokenServerCheck {
  const { host, endpoint, authHosts } = settings
  if (text === undefined) return refuse(`${host} names no token server`)
  if (!URL.canParse(text)) return refuse(`${host} names a token server that is no URL`)
  const realm = new URL(text)
  const name = shortHost(realm)
  if (realm.username !== '' || realm.password !== '') {
    return refuse(`the token server ${name} comes with a user in its URL, which is refused`)
  }
  const isPlain = realm.protocol === 'http:'
  if (realm.protocol !== 'https:' && !isPlain) {
    return refuse(`the token server of ${host} is neither http nor https`)
  }
  if (isPlain && endpoint.protocol !== 'http:') {
    return refuse(`the token server ${name} is plain HTTP, and ${host} is not`)
  }
  const isKnown =
    realm.host === endpoint.host ||
    realm.host === normalizeHost(host, realm.protocol) ||
    realm.host === knownPairs.get(host) ||
    authHosts.some((listed) => realm.host === normalizeHost(listed, realm.protocol))
  if (isKnown) return { ok: true, realm }
  return refuse(`the token server ${name} is not known for ${host}; list it under authHosts`)
}

/** Without the port that the scheme has anyway, and in the spelling that URLs have. */
export function normalizeHost(host: string, protocol: string): string | null {
  const text = `${protocol}//${host}`
  return URL.canParse(text) ? new URL(text).host : null
}

function refuse(detail: string): TokenServerCheck {
  return { ok: false, detail }
}
