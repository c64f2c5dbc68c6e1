/**
 * Decides which token servers may receive credentials. A registry names its token server itself, so a malicious registry
 * could collect the credentials of another one (CVE-2020-15157). Berth therefore sends credentials only to known pairs of a
 * registry and a token server.
 */
import type { RegistrySettings } from '../http/registry-settings.ts'
import { displayHost, normalizeHost } from '../http/urls.ts'

/** Registries whose token server has another name, as their documentation says. */
const knownTokenServers: ReadonlyMap<string, string> = new Map([
  ['docker.io', 'auth.docker.io'],
  ['registry.gitlab.com', 'gitlab.com'],
])

export type TokenServerCheck =
  { readonly ok: true; readonly realm: URL } | { readonly ok: false; readonly detail: string }

/** Checks the realm of a challenge. The port counts: another port is another server. */
export function checkTokenServer(
  realmText: string | undefined,
  settings: Pick<RegistrySettings, 'host' | 'endpoint' | 'authHosts'>,
): TokenServerCheck {
  const { host, endpoint, authHosts } = settings
  if (realmText === undefined) return refuse(`${host} names no token server`)
  if (!URL.canParse(realmText)) return refuse(`the token server of ${host} is not a valid URL`)
  const realm = new URL(realmText)
  const name = displayHost(realm)
  if (realm.username !== '' || realm.password !== '') {
    return refuse(`the URL of the token server ${name} contains a user or password`)
  }
  const isPlainHttp = realm.protocol === 'http:'
  if (realm.protocol !== 'https:' && !isPlainHttp) {
    return refuse(`the token server of ${host} is neither http nor https`)
  }
  if (isPlainHttp && endpoint.protocol !== 'http:') {
    return refuse(`the token server ${name} uses plain HTTP, but ${host} uses https`)
  }
  const isKnown =
    realm.host === endpoint.host ||
    realm.host === normalizeHost(host, realm.protocol) ||
    realm.host === knownTokenServers.get(host) ||
    authHosts.some((each) => realm.host === normalizeHost(each, realm.protocol))
  if (isKnown) return { ok: true, realm }
  return refuse(
    `${name} is not a known token server of ${host}; if you trust it, list it under authHosts`,
  )
}

function refuse(detail: string): TokenServerCheck {
  return { ok: false, detail }
}
