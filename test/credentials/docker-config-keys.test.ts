import { describe, expect, it } from 'vitest'
import {
  createKeyMatcher,
  isUsableKey,
  keyMismatch,
  parseKey,
} from '../../src/credentials/docker-config-keys.ts'

function matches(key: string, host: string, path: string): boolean {
  const parsed = parseKey(key)
  return parsed !== null && keyMismatch(parsed, host, path) === null
}

const ecr = '1.dkr.ecr.us-east-1.amazonaws.com'

interface Row {
  readonly keys: readonly string[]
  readonly host: string
  readonly path: string
  readonly used: readonly string[]
}

const hub = 'docker.io'

describe('docker config keys', () => {
  it.each<Row>([
    {
      keys: ['https://index.docker.io/v1/'],
      host: hub,
      path: 'library/nginx',
      used: ['https://index.docker.io/v1/'],
    },
    {
      keys: ['https://index.docker.io/v1/'],
      host: hub,
      path: 'acme/x',
      used: ['https://index.docker.io/v1/'],
    },
    { keys: ['index.docker.io'], host: hub, path: 'acme/x', used: ['index.docker.io'] },
    { keys: ['docker.io'], host: hub, path: 'acme/x', used: ['docker.io'] },
    { keys: ['https://docker.io/v2/'], host: hub, path: 'acme/x', used: ['https://docker.io/v2/'] },
    { keys: ['https://index.docker.io/v1'], host: hub, path: 'acme/x', used: [] },
    { keys: ['registry-1.docker.io'], host: hub, path: 'acme/x', used: [] },
    { keys: ['hub.docker.com'], host: hub, path: 'acme/x', used: [] },
    { keys: ['registry.hub.docker.com'], host: hub, path: 'acme/x', used: [] },
    { keys: ['index.docker.io', 'docker.io'], host: hub, path: 'acme/x', used: ['docker.io'] },
    { keys: ['ghcr.io/acme'], host: 'ghcr.io', path: 'acme-evil/x', used: ['ghcr.io/acme'] },
    { keys: ['ghcr.io/acme/'], host: 'ghcr.io', path: 'acme-evil/x', used: [] },
    { keys: ['ghcr.io/acme/'], host: 'ghcr.io', path: 'acme/x', used: ['ghcr.io/acme/'] },
    {
      keys: ['*.dkr.ecr.*.amazonaws.com'],
      host: ecr,
      path: 'acme/x',
      used: ['*.dkr.ecr.*.amazonaws.com'],
    },
    { keys: ['*.amazonaws.com'], host: ecr, path: 'acme/x', used: [] },
    {
      keys: ['*.dkr.ecr.*.amazonaws.com'],
      host: '1.dkr-ecr.us-east-1.on.aws',
      path: 'acme/x',
      used: [],
    },
    { keys: ['anubis:32000'], host: 'anubis:32000', path: 'acme/x', used: ['anubis:32000'] },
    { keys: ['anubis'], host: 'anubis:32000', path: 'acme/x', used: [] },
    { keys: ['reg.example:443'], host: 'reg.example', path: 'acme/x', used: [] },
    { keys: ['localhost:5000'], host: '127.0.0.1:5000', path: 'acme/x', used: [] },
    {
      keys: ['reg.example/v2/team'],
      host: 'reg.example',
      path: 'team/x',
      used: ['reg.example/v2/team'],
    },
  ])('of $keys match $host/$path: $used', ({ keys, host, path, used }) => {
    expect(createKeyMatcher(keys)(host, path)).toEqual(used)
  })

  it.each<Row>([
    {
      keys: ['ghcr.io', 'ghcr.io/acme/tools', 'ghcr.io/acme'],
      host: 'ghcr.io',
      path: 'acme/tools/x',
      used: ['ghcr.io/acme/tools', 'ghcr.io/acme', 'ghcr.io'],
    },
    { keys: ['*.io', 'ghcr.io'], host: 'ghcr.io', path: 'acme/x', used: ['ghcr.io', '*.io'] },
    {
      keys: ['http://a.example', 'a.example/x'],
      host: 'a.example',
      path: 'x',
      used: ['a.example/x', 'http://a.example'],
    },
  ])(
    'match in the reverse byte order of their normal form: $keys',
    ({ keys, host, path, used }) => {
      expect(createKeyMatcher(keys)(host, path)).toEqual(used)
    },
  )

  it.each([
    ['https://user@reg.example', 'reg.example', true],
    ['reg.example?a=b', 'reg.example', true],
    ['reg.example:', 'reg.example', true],
    ['reg.example:abc', 'reg.example:abc', false],
    ['', 'reg.example', false],
    ['REG.example', 'reg.example', false],
    ['[::1]:5000', '[::1]:5000', true],
    ['[::1]:5000', '[::1]:5001', false],
    // In a URL, `?` starts a query and is not a wildcard.
    ['reg.exampl?', 'reg.example', false],
    // Since Go 1.26, a bracket in a host starts an IPv6 address and not a character class.
    ['reg.[a-f]xample', 'reg.example', false],
    ['reg.[', 'reg.[', false],
    ['index.docker.io', 'docker.io', false],
    // Found with the kubelet's own code: what Go rejects in a URL, and what it decodes.
    ['[1:2]:5000', '[1:2]:5000', false],
    ['[::1]', '[::1]', false],
    ['[::A]', 'A', true],
    ['mé@reg.example', 'reg.example', false],
    ['m%zz@reg.example', 'reg.example', false],
    ['reg.example#%zz', 'reg.example', false],
    ['reg.example#top', 'reg.example', true],
    ['reg.example/%zz', 'reg.example', false],
    ['reg.example/%25zz', 'reg.example', false],
    ['reg.example/\u007f', 'reg.example', false],
    ['reg.example:1:2', 'reg.example:1', false],
    ['reg.example/%78', 'reg.example', true],
    ['reg.example/%2578', 'reg.example', true],
    ['reg.example/%3Facme', 'reg.example', true],
    ['reg.example/%23acme', 'reg.example', true],
    ['reg.example%2Fx', 'reg.example', false],
    ['r*g.ex*e', 'reg.example', true],
    ['HTTPS://reg.example', 'reg.example', false],
    ['https://https://reg.example', 'reg.example', false],
    ['reg.example/v1/v2/x', 'reg.example', false],
    ['rég.example', 'reg.example', false],
  ])('like %s match %s/x on their own: %s', (key, host, used) => {
    expect(matches(key, host, 'x')).toBe(used)
  })

  it('match with an escaped slash in their path', () => {
    expect(matches('reg.example/acme%2Fapp', 'reg.example', 'acme/app')).toBe(true)
  })

  it('do not match a repository whose host is not a URL', () => {
    expect(createKeyMatcher(['[1:2]:5000', '*', '*:5000'])('[1:2]:5000', 'x')).toEqual([])
  })

  it.each([
    ['reg.example', true],
    ['[fe80::1%25eth0]:5000', false],
    ['[::1]:5000', true],
    ['r[a-f]g.example', false],
    ['reg.example/%25zz', false],
  ])('like %s are usable: %s', (key, usable) => {
    expect(isUsableKey(key)).toBe(usable)
  })

  it('for Docker Hub match a host without a dot if no other key does', () => {
    expect(createKeyMatcher(['index.docker.io'])('localhost', 'x')).toEqual(['index.docker.io'])
  })
})
