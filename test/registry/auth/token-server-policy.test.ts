import { describe, expect, it } from 'vitest'
import { checkTokenServer } from '../../../src/registry/auth/token-server-policy.ts'
import { registryAt } from '../../support/manifest-source.ts'

const hub = registryAt('https://registry-1.docker.io', { host: 'docker.io' })
const gitlab = registryAt('https://registry.gitlab.com')
const own = registryAt('https://reg.example:5000', {
  authHosts: ['auth.example', 'sso.example:8443'],
})
const plain = registryAt('http://anubis:32000', { authHosts: ['auth.anubis'] })

describe('checkTokenServer', () => {
  it.each([
    [hub, 'https://auth.docker.io/token'],
    [hub, 'https://AUTH.docker.io:443/token'],
    [hub, 'https://registry-1.docker.io/token'],
    [hub, 'https://docker.io/token'],
    [gitlab, 'https://gitlab.com/jwt/auth'],
    [own, 'https://reg.example:5000/token'],
    [own, 'https://auth.example/token?a=b'],
    [own, 'https://auth.example:443/token'],
    [own, 'https://sso.example:8443/token'],
    [plain, 'http://anubis:32000/token'],
    [plain, 'http://auth.anubis/token'],
    [plain, 'https://auth.anubis/token'],
  ])('allows $0.host to name %s', (settings, realm) => {
    expect(checkTokenServer(realm, settings)).toEqual({ ok: true, realm: new URL(realm) })
  })

  it.each([
    [
      hub,
      'https://evil.example/token',
      /evil\.example is not a known token server of docker\.io; if you trust it, list it under authHosts/,
    ],
    [hub, 'https://auth.docker.io.evil.example/token', /not a known token server/],
    [hub, 'https://evil-auth.docker.io/token', /not a known token server/],
    [hub, 'https://auth.docker.io:8443/token', /not a known token server/],
    [hub, 'https://auth.docker.io@evil.example/token', /contains a user or password/],
    [hub, 'https://user:pass@auth.docker.io/token', /contains a user or password/],
    [hub, 'https://gitlab.com/jwt/auth', /not a known token server/],
    [hub, 'http://auth.docker.io/token', /plain HTTP/],
    [hub, 'ftp://auth.docker.io/token', /neither http nor https/],
    [hub, 'file:///etc/passwd', /neither/],
    [hub, '/token', /not a valid URL/],
    [hub, '', /not a valid URL/],
    [hub, undefined, /names no token server/],
    [hub, 'https://169.254.169.254/latest', /not a known token server/],
    [hub, 'https://[::ffff:169.254.169.254]/', /not a known token server/],
    [hub, 'https://2852039166/', /not a known token server/],
    [own, 'https://reg.example/token', /not a known token server/],
    [own, 'https://reg.example:5001/token', /not a known token server/],
    [own, 'https://auth.example:5000/token', /not a known token server/],
    [own, 'https://auth.docker.io/token', /not a known token server/],
    [own, 'http://auth.example/token', /plain HTTP/],
    [own, String.raw`https://auth.example\@evil.example/token`, null],
    [plain, 'http://anubis/token', /not a known token server/],
    [plain, `https://${'a.'.repeat(500)}example/`, /…|not a valid URL/],
  ])('does not allow $0.host to name %s', (settings, realm, detail) => {
    const result = checkTokenServer(realm, settings)

    // URLs treat a backslash as a slash, so the realm with one is the listed host with an unusual path.
    expect(result.ok).toBe(detail === null)
    if (!result.ok && detail !== null) expect(result.detail).toMatch(detail)
  })
})
