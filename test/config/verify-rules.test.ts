import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { compileIdentity } from '../../src/config/verify-rules.ts'
import { ecdsaKey } from '../support/cosign.ts'

const directory = mkdtempSync(join(tmpdir(), 'berth-verify-rules-'))
const key = ecdsaKey()
const root = {
  mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
  certificateAuthorities: [],
}
writeFileSync(join(directory, 'cosign.pub'), key.publicPem)
writeFileSync(
  join(directory, 'cosign.key'),
  key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
)
writeFileSync(join(directory, 'root.json'), JSON.stringify(root))
afterAll(() => rmSync(directory, { recursive: true }))

function read(entry: object) {
  const config = {
    apiVersion: 'berth.dev/v1alpha1',
    kind: 'BerthConfig',
    mirror: { verify: [{ images: ['docker.io/acme/*'], ...entry }] },
  }
  return readConfig(JSON.stringify(config), directory)
}

function problemsOf(entry: object): string[] {
  const result = read(entry)
  const problems = result.ok ? result.config.warnings : result.problems
  return problems.map(({ severity, path, message }) => `${severity}: ${path}: ${message}`)
}

const keyless = {
  identity: 'https://github.com/acme/app/.github/workflows/release.yaml@refs/tags/*',
  issuer: 'https://token.actions.githubusercontent.com',
  trustedRoot: 'root.json',
}

describe('an entry of mirror.verify', () => {
  it.each([
    ['a key file', { cosign: { key: 'cosign.pub' } }],
    ['a key', { cosign: { key: key.publicPem } }],
    ['an identity', { cosign: keyless }],
    ['a trusted root', { cosign: { ...keyless, trustedRoot: JSON.stringify(root) } }],
    ['an age', { minAge: '48h' }],
    ['an age of zero', { minAge: '0s' }],
  ])('is accepted with %s', (_, entry) => {
    expect(problemsOf(entry)).toEqual([])
  })

  it.each([
    ['nothing', {}, 'mirror.verify[0]: the entry has neither `cosign` nor `minAge`'],
    ['an empty signer', { cosign: {} }, 'mirror.verify[0].cosign: add `key`, or `identity`'],
    [
      'an identity without an issuer',
      { cosign: { ...keyless, issuer: undefined } },
      'mirror.verify[0].cosign: `issuer` is missing; add it: anyone can get a certificate',
    ],
    [
      'an issuer without an identity',
      { cosign: { ...keyless, identity: undefined } },
      'mirror.verify[0].cosign: `identity` is missing',
    ],
    [
      'an identity without a trusted root',
      { cosign: { ...keyless, trustedRoot: undefined } },
      'mirror.verify[0].cosign: `trustedRoot` is missing, and Berth does not download it',
    ],
    [
      'an identity that trusts everyone',
      { cosign: { ...keyless, identity: '**' } },
      'mirror.verify[0].cosign.identity: trusts everyone',
    ],
    [
      'a key and an identity',
      { cosign: { ...keyless, key: 'cosign.pub' } },
      'mirror.verify[0].cosign.identity: `identity` is for keyless signatures',
    ],
    [
      'a key of a management service',
      { cosign: { key: 'awskms:///alias/cosign' } },
      'mirror.verify[0].cosign.key: Berth asks no key management service',
    ],
    [
      'a file with a private key',
      { cosign: { key: 'cosign.key' } },
      `cosign.key has a private key; use the public key`,
    ],
    [
      'a file that is not a key',
      { cosign: { key: 'root.json' } },
      'root.json has no PEM block PUBLIC KEY',
    ],
    [
      'a file that is not a trusted root',
      { cosign: { ...keyless, trustedRoot: 'cosign.pub' } },
      'cosign.pub is not a trusted root of sigstore',
    ],
    [
      'other JSON as a trusted root',
      { cosign: { ...keyless, trustedRoot: '{}' } },
      'mirror.verify[0].cosign.trustedRoot: the text is not a trusted root',
    ],
    ['an age without a unit', { minAge: '48' }, 'mirror.verify[0].minAge: not a time'],
    ['an unknown key', { cosign: { keys: 'x' } }, 'unknown key; did you mean "key"?'],
    ['an invalid pattern', { images: ['UPPER/'], minAge: '1h' }, 'mirror.verify[0].images[0]: '],
  ])('is rejected with %s', (_, entry, message) => {
    const [problem] = problemsOf(entry)

    expect(problem).toMatch(/^error: /)
    expect(problem).toContain(message)
  })

  it('repeats no private key in a message', () => {
    const pem = key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const body = pem.split('\n')[1] ?? ''

    expect(problemsOf({ cosign: { key: pem } }).join()).toContain('private key')
    expect(problemsOf({ cosign: { key: pem } }).join()).not.toContain(body)
  })

  it.each([
    ['key', { cosign: { key: 'gone.pub' } }],
    ['trusted root', { cosign: { ...keyless, trustedRoot: 'gone.json' } }],
  ])(
    'gives a warning for a %s that does not exist, because it may be mounted later',
    (_, entry) => {
      expect(problemsOf(entry)).toEqual([
        expect.stringMatching(
          /^warning: mirror\.verify\[0\]\.cosign\.\w+: cannot read .*gone\.\w+: it does not exist; until/,
        ),
      ])
    },
  )

  it('selects images by their canonical names', () => {
    const result = read({ minAge: '2d' })
    const rule = result.ok ? result.config.mirror.verify[0] : undefined

    expect(rule).toMatchObject({ name: 'mirror.verify[0]', cosign: null, minAgeMs: 172_800_000 })
    expect(rule?.images[0]?.text).toBe('docker.io/acme/*')
  })
})

describe('an identity', () => {
  it.each([
    ['https://github.com/acme/app', 'https://github.com/acme/app', true],
    ['https://github.com/acme/app', 'https://github.com/acme/app-evil', false],
    ['https://github.com/acme/**', 'https://github.com/acme/app/.github/x@refs/heads/main', true],
    ['https://github.com/acme/**', 'https://github.com/acme-evil/app', false],
    ['https://github.com/acme/**', 'https://evil.example/https://github.com/acme/app', false],
    ['https://github.com/acme/*', 'https://github.com/acme/app', true],
    ['https://github.com/acme/*', 'https://github.com/acme/app/.github/x', false],
    ['https://ci/*/build@refs/tags/*', 'https://ci/app/build@refs/tags/v1', true],
    ['https://ci/*/build@refs/tags/*', 'https://ci/app/evil@a/build@refs/tags/v1', false],
    ['https://ci/**/build@refs/tags/*', 'https://ci/app/evil@a/build@refs/tags/v1', true],
    ['*@acme.com', 'dev@acme.com', true],
    ['*@acme.com', 'dev@acme.com.evil', false],
    ['*@acme.com', 'dev@acme_com', false],
    ['a*b*c', 'abc', true],
    ['a*b*c', 'axxbxxc', true],
    ['a*b*c', 'ac', false],
    ['a*ba', 'aba', true],
    ['ab*ba', 'aba', false],
    ['a.c', 'abc', false],
    ['a/**', 'a/', true],
    ['a/*', '', false],
  ])('%s and %s: %s', (pattern, identity, matches) => {
    expect(compileIdentity(pattern)?.(identity)).toBe(matches)
  })

  it('with more than 2,048 characters is not trusted', () => {
    const matches = compileIdentity('a**')

    expect(matches?.('a'.repeat(2_048))).toBe(true)
    expect(matches?.('a'.repeat(2_049))).toBe(false)
  })
})
