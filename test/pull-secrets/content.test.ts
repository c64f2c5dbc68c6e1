import { fc } from '../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import { readKeyring } from '../../src/credentials/keyring.ts'
import { readContent } from '../../src/pull-secrets/content.ts'
import { contentHash } from '../../src/pull-secrets/content-hash.ts'
import type { SourceSecret } from '../../src/pull-secrets/objects.ts'

const from = [{ namespace: 'a', name: 'one' }]
const modern = 'kubernetes.io/dockerconfigjson'
const legacy = 'kubernetes.io/dockercfg'
const pair = (user: string, password: string) =>
  Buffer.from(`${user}:${password}`).toString('base64')
const valid = { auth: pair('u', 'p:w') }

function secret(type: string, member: string, content: unknown): SourceSecret {
  const text = typeof content === 'string' ? content : JSON.stringify(content)
  const data = { [member]: Buffer.from(text).toString('base64') }
  return { uid: 'uid-1', type, data, expiresAt: null }
}

const config = (auths: unknown) => secret(modern, '.dockerconfigjson', { auths })

function read(source: SourceSecret | null, type: 'keep' | 'dockerconfigjson' = 'keep') {
  return readContent({ from, type }, () => source)
}

/** Several sources, `a/0` and so on. */
function readAll(sources: readonly SourceSecret[]) {
  const names = sources.map((_, index) => ({ namespace: 'a', name: String(index) }))
  return readContent({ from: names, type: 'keep' }, ({ name }) => sources[Number(name)] ?? null)
}

describe('a single source', () => {
  it('is copied byte for byte', () => {
    const text = `{ "auths":\n{"x.io": {"auth":"${valid.auth}"} }}`
    const source = secret(modern, '.dockerconfigjson', text)

    expect(read(source)).toMatchObject({
      kind: 'valid',
      type: modern,
      data: source.data['.dockerconfigjson'],
      keys: ['x.io'],
      uids: ['uid-1'],
    })
  })

  it('of the legacy type stays legacy, or is converted to the newer type with the same entries', () => {
    const source = secret(legacy, '.dockercfg', { 'x.io': valid })
    const converted = read(source, 'dockerconfigjson')

    expect(read(source)).toMatchObject({ type: legacy, member: '.dockercfg' })
    expect(converted).toMatchObject({ type: modern, member: '.dockerconfigjson', keys: ['x.io'] })
    expect(converted.kind === 'valid' && contentHash(decode(converted.data))).toBe(
      contentHash(JSON.stringify({ auths: { 'x.io': valid } })),
    )
  })

  it('is absent when it does not exist or does not consent', () => {
    expect(read(null)).toMatchObject({ kind: 'absent' })
  })

  it.each<[string, SourceSecret, string]>([
    ['another type', secret('Opaque', '.dockerconfigjson', { auths: {} }), 'type Opaque'],
    ['no member', secret(modern, 'other', {}), 'has no .dockerconfigjson'],
    ['content that is not JSON', secret(modern, '.dockerconfigjson', '{'), 'is not JSON'],
    ['a JSON list', secret(modern, '.dockerconfigjson', []), 'is not a JSON object'],
    ['no entries', config({}), 'has no entries'],
    [
      'only a credential helper',
      secret(modern, '.dockerconfigjson', { credsStore: 'desktop' }),
      'credential helper',
    ],
    ['an empty entry', config({ 'x.io': valid, 'y.io': {} }), 'key y.io has no username'],
    ['an identitytoken', config({ 'x.io': { identitytoken: 't' } }), 'only an identitytoken'],
    ['an auth that is not base64', config({ 'x.io': valid, 'y.io': { auth: '%' } }), 'key y.io'],
    ['an auth without a colon', config({ 'y.io': { auth: 'YWJj' } }), 'key y.io'],
  ])('with %s is invalid, and the reason names it', (_, source, words) => {
    const content = read(source)

    expect(content).toMatchObject({ kind: 'invalid', reason: expect.stringContaining(words) })
    expect(content.kind === 'invalid' && content.reason).toContain('a/one')
  })

  it('is invalid when the copy is larger than a Secret may be', () => {
    const readWithSize = (bytes: number) => {
      const empty = JSON.stringify({ auths: { 'x.io': { ...valid, email: '' } } })
      const email = 'e'.repeat(bytes - empty.length)
      return read(config({ 'x.io': { ...valid, email } }))
    }

    expect(readWithSize(1_048_576)).toMatchObject({ kind: 'valid' })
    expect(readWithSize(1_048_577)).toMatchObject({
      kind: 'invalid',
      reason: expect.stringMatching('1048577'),
    })
  })

  it('keeps passwords out of the reason', () => {
    const source = config({ 'x.io': { auth: pair('user', 'canary') }, 'y.io': { auth: 'canary%' } })

    expect(JSON.stringify(read(source))).not.toMatch(/canary|Y2FuYXJ5/)
  })
})

describe('a converted source', () => {
  it('gives the kubelet the same credentials', () => {
    const source = secret(legacy, '.dockercfg', {
      'https://index.docker.io/v1/': valid,
      '*.x.io': { username: 'u', password: 'p' },
      'x.io/team': { auth: pair('other', 'x') },
    })
    const converted = read(source, 'dockerconfigjson')
    const data = converted.kind === 'valid' ? { [converted.member]: converted.data } : {}
    const entries = (type: string, of: Readonly<Record<string, string>>) =>
      readKeyring(['s'], () => ({ type, data: of })).entries

    expect(entries(modern, data)).toEqual(entries(legacy, source.data))
    expect(entries(modern, data)).toHaveLength(3)
  })
})

describe('several sources', () => {
  it('are merged into one config that does not depend on their order', () => {
    const entry = fc.record({
      user: fc.string({ minLength: 1 }),
      password: fc.string({ minLength: 1 }),
    })
    const auths = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}\.io$/), entry, {
      minKeys: 1,
      maxKeys: 5,
    })
    fc.assert(
      fc.property(auths, fc.integer({ min: 1, max: 4 }), (all, parts) => {
        const names = Object.keys(all)
        const sources = Array.from({ length: parts }, (_, part) =>
          config(
            Object.fromEntries(
              names
                .filter((_, index) => index % parts === part || index === 0)
                .map((name) => [
                  name,
                  { username: all[name]?.user, password: all[name]?.password },
                ]),
            ),
          ),
        )
        const one = readAll(sources)
        const other = readAll(sources.toReversed())

        expect(one.kind).toBe('valid')
        expect(
          parts === 1 ||
            (one.kind === 'valid' && other.kind === 'valid' && one.data === other.data),
        ).toBe(true)
        expect(one.kind === 'valid' && [...one.keys].sort()).toEqual(names.sort())
      }),
    )
  })

  it('with different credentials for one registry are invalid, however its key is written', () => {
    const content = readAll([
      config({ 'https://index.docker.io/v1/': valid }),
      config({ 'index.docker.io': { auth: pair('u', 'another') } }),
    ])

    expect(content).toMatchObject({
      kind: 'invalid',
      reason: expect.stringMatching(
        /^a\/0 and a\/1 have different credentials for index\.docker\.io/,
      ),
    })
  })

  it('are merged without a source that does not exist', () => {
    const content = readContent(
      { from: [...from, { namespace: 'b', name: 'two' }], type: 'keep' },
      ({ namespace }) => (namespace === 'b' ? config({ 'x.io': valid }) : null),
    )

    expect(content).toMatchObject({ kind: 'valid', from: ['b/two'] })
  })
})

function decode(data: string): string {
  return Buffer.from(data, 'base64').toString('utf8')
}
