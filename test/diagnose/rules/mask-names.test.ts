import { fc } from '../../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import { classify, classifyLine } from '../../../src/diagnose/rules/classify.ts'

/** Words that rules match, as parts of names. */
const words = [
  'timeout', 'unauthorized', '429', '401', '403', '404', '502', 'denied', 'x509', 'no-such-host', 'not-found',
  'manifest-unknown', 'eof', 'proxyconnect', 'toomanyrequests', 'is-blocked-in', 'signature-was-required',
  'sandbox-image', 'pause', 'forbidden', 'insufficient_scope', 'blob-unknown', 'billing', 'quarantine',
  'expired-token', 'failed-precondition', 'refused', 'app', 'web',
] // prettier-ignore

const word = fc.constantFrom(...words)
const path = fc.array(word, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))
const host = fc
  .tuple(word, fc.constantFrom('.example', '.io', ':5000', '.corp.example:8443'))
  .map(([name, end]) => `${name.replaceAll('_', '-')}${end}`)
const tag = fc.array(word, { minLength: 1, maxLength: 2 }).map((parts) => parts.join('.'))
const names = fc.record({ host, path, tag, name: word })

type Names = Readonly<Record<'host' | 'path' | 'tag' | 'name', string>>

const templates: readonly (readonly [string, (names: Names) => string])[] = [
  ['D40', (n) => `Failed to pull image "${ref(n)}": rpc error: code = NotFound desc = failed to pull and unpack image "${ref(n)}": failed to resolve reference "${ref(n)}": ${ref(n)}: not found`],
  ['D26', (n) => `failed to resolve reference "${ref(n)}": failed to authorize: failed to fetch anonymous token: unexpected status from GET request to https://${n.host}/token?scope=repository%3A${n.path.replaceAll('/', '%2F')}%3Apull&service=${n.host}: 401 Unauthorized`],
  ['D25', (n) => `failed to resolve reference "${ref(n)}": failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://${n.host}/token?service=${n.host}: 403 Forbidden`],
  ['D37', (n) => `rpc error: code = Unknown desc = Error response from daemon: manifest for ${ref(n)} not found: manifest unknown: manifest unknown`],
  ['D28', (n) => `Error response from daemon: pull access denied for ${n.host}/${n.path}, repository does not exist or may require 'docker login': denied: requested access to the resource is denied`],
  ['D37', (n) => `initializing source docker://${ref(n)}: reading manifest ${n.tag} in ${n.host}/${n.path}: manifest unknown`],
  ['D20', (n) => `failed to copy: httpReadSeeker: failed open: unexpected status code https://${n.host}/v2/${n.path}/manifests/${n.tag}: 429 Too Many Requests`],
  ['D53', (n) => `failed to do request: Head "https://${n.host}/v2/${n.path}/manifests/${n.tag}": dial tcp 203.0.113.7:443: i/o timeout`],
  ['D50', (n) => `Get "https://${n.host}/v2/": dial tcp: lookup ${n.host.split(':')[0]} on 10.0.0.10:53: no such host`],
  ['D47', (n) => `failed to do request: Head "https://${n.host}/v2/${n.path}/manifests/${n.tag}": tls: failed to verify certificate: x509: certificate signed by unknown authority`],
  ['D45', (n) => `failed to do request: Head "https://${n.host}/v2/${n.path}/manifests/${n.tag}": http: server gave HTTP response to HTTPS client`],
  ['D35', (n) => `failed to pull and unpack image "${ref(n)}": no match for platform in manifest: not found`],
  ['D02', (n) => `Container image "${ref(n)}" is not present with pull policy of Never`],
  ['D05', (n) => `Unable to retrieve some image pull secrets (${n.name}); attempting to pull the image may not succeed.`],
  ['D14', (n) => `Failed to pull image "${ref(n)}": pull QPS exceeded`],
  ['D12', (n) => `Failed to inspect image "": rpc error: code = Unknown desc = short name mode is enforcing, but image name ${n.path}:${n.tag} returns ambiguous list`],
  ['D64', (n) => `rpc error: code = Canceled desc = failed to pull and unpack image "${ref(n)}": context canceled`],
  ['D99', (n) => `Back-off pulling image "${ref(n)}"`],
  ['D99', (n) => `failed to "StartContainer" for "${n.name}" with ImagePullBackOff: "Back-off pulling image \\"${ref(n)}\\""`],
] // prettier-ignore

function ref({ host, path, tag }: Names): string {
  return `${host}/${path}:${tag}`
}

describe('names in a message', () => {
  it.each(templates)('do not change the verdict %s', (rule, template) => {
    fc.assert(
      fc.property(names, (each) => {
        expect(classify(template(each)).rule.id).toBe(rule)
      }),
    )
  })

  it.each([
    ['D40', 'timeout/unauthorized:429: not found'],
    [
      'D28',
      'pull access denied for timeout/unauthorized, repository does not exist or may require authorization',
    ],
    ['D53', 'Failed to pull image "timeout/unauthorized:429": context deadline exceeded'],
    ['D99', 'Back-off pulling image "timeout/unauthorized:429"'],
    [
      'D40',
      'failed to resolve reference "<repository>/<tag:timeout>": <repository>/<tag:timeout>: not found',
    ],
  ])('do not match a rule: %s %s', (rule, message) => {
    expect(classify(message).rule.id).toBe(rule)
  })

  it('are not taken for an ECR host if they are only in the path', () => {
    const status = (host: string) =>
      `unexpected status from HEAD request to https://${host}/v2/app/manifests/1: 403 Forbidden`

    expect(classify(status('111122223333.dkr.ecr.eu-west-1.amazonaws.com')).rule.id).toBe('D77')
    expect(
      classify(status('mirror.example/111122223333.dkr.ecr.eu-west-1.amazonaws.com')).rule.id,
    ).toBe('D30')
  })
})

describe('classify', () => {
  const noise = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 400 }),
    fc
      .array(fc.constantFrom('[', ']', '(Mirrors also failed: ', '"', '\\', ', ', ': ', 'x', 'rpc error: ', '‹', 'a/b:c', 'https://'), { maxLength: 200 })
      .map((parts) => parts.join('')),
  ) // prettier-ignore

  it('returns a rule and errors for any text', () => {
    fc.assert(
      fc.property(noise, (text) => {
        const { rule, errors } = classifyLine(text)

        expect(rule.id).toMatch(/^D[0-9]{2}$/)
        expect(errors.length).toBeGreaterThan(0)
      }),
    )
  })

  it('returns the same for the same text', () => {
    fc.assert(
      fc.property(noise, (text) => {
        expect(classify(text)).toEqual(classify(text))
      }),
    )
  })

  it('accepts 64 KiB of repeated patterns', () => {
    for (const unit of ['[', 'a', ' ', '"', '\\"', 'manifest ', 'https://', '/a', 'lookup ', 'x:', '[::1] ', 'exec: ', "couldn't find key ", '/nydus', 'Warning Failed 5m ', 'ref a '])
      expect(classifyLine(unit.repeat(65_536 / unit.length)).rule.id).toMatch(/^D/)
  }) // prettier-ignore
})
