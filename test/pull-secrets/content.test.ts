import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readKeyring } from '../../src/credentials/keyring.ts'
import { hashOf, readContent } from '../../src/pull-secrets/content.ts'
import type { SourceSecret } from '../../src/pull-secrets/objects.ts'

const from = [{ namespace: 'a', name: 'one' }]
const modern = 'kubernetes.io/dockerconfigjson'
const legacy = 'kubernetes.io/dockercfg'
const pair = (user: string, password: string) =>
  Buffer.from(`${user}:${password}`).toString('base64')
const good = { auth: pair('u', 'p:w') }

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

describe('one source', () => {
  it('is copied byte for byte, white space and all', () => {
    const text = `{ "auths":\n{"x.io": {"auth":"${good.auth}"} }}`
    const source = secret(modern, '.dockerconfigjson', text)

    expect(read(source)).toMatchObject({
      kind: 'good',
      type: modern,
      data: source.data['.dockerconfigjson'],
      keys: ['x.io'],
      uids: ['uid-1'],
    })
  })

  it('of the legacy type stays legacy, or stands in the newer form with the same entries', () => {
    const source = secret(legacy, '.dockercfg', { 'x.io': good })
    const converted = read(source, 'dockerconfigjson')

    expect(read(source)).toMatchObject({ type: legacy, member: '.dockercfg' })
    expect(converted).toMatchObject({ type: modern, member: '.dockerconfigjson', keys: ['x.io'] })
    expect(converted.kind === 'good' && hashOf(decode(converted.data))).toBe(
      hashOf(JSON.stringify({ auths: { 'x.io': good } })),
    )
  })

  it('that is not there, or does not consent, is absent', () => {
    expect(read(null)).toMatchObject({ kind: 'absent' })
  })

  it.each<[string, SourceSecret, string]>([
    ['another type', secret('Opaque', '.dockerconfigjson', { auths: {} }), 'type Opaque'],
    ['no member', secret(modern, 'other', {}), 'has no .dockerconfigjson'],
    ['no JSON', secret(modern, '.dockerconfigjson', '{'), 'is not JSON'],
    ['a list', secret(modern, '.dockerconfigjson', []), 'is not a JSON object'],
    ['no entries', config({}), 'has no entries'],
    [
      'helpers alone',
      secret(modern, '.dockerconfigjson', { credsStore: 'desktop' }),
      'credential helper',
    ],
    ['an empty entry', config({ 'x.io': good, 'y.io': {} }), 'key y.io has no user'],
    ['an identitytoken', config({ 'x.io': { identitytoken: 't' } }), 'only an identitytoken'],
    ['an auth that is no base64', config({ 'x.io': good, 'y.io': { auth: '%' } }), 'key y.io'],
    ['an auth without a colon', config({ 'y.io': { auth: 'YWJj' } }), 'key y.io'],
  ])('with %s is refused, and says why', (_, source, words) => {
    const content = read(source)

    expect(content).toMatchObject({ kind: 'invalid', reason: expect.stringContaining(words) })
    expect(content.kind === 'invalid' && content.reason).toContain('a/one')
  })

  it('may have as many bytes as a Secret, and not one more', () => {
    const of = (bytes: number) => {
      const empty = JSON.stringify({ auths: { 'x.io': { ...good, email: '' } } })
      const email = 'e'.repeat(bytes - empty.length)
      return read(config({ 'x.io': { ...good, email } }))
    }

    expect(of(1_048_576)).toMatchObject({ kind: 'good' })
    expect(of(1_048_577)).toMatchObject({
      kind: 'invalid',
      reason: expect.stringMatching('1048577'),
    })
  })

  it('says nothing of its passwords when it is refused', () => {
    const source = config({ 'x.io': { auth: pair('user', 'canary') }, 'y.io': { auth: 'canary%' } })

    expect(JSON.stringify(read(source))).not.toMatch(/canary|Y2FuYXJ5/)
  })
})

it('a converted source gives a kubelet the same credentials', () => {
  const source = secret(legacy, '.dockercfg', {
    'https://index.docker.io/v1/': good,
    '*.x.io': { username: 'u', password: 'p' },
    'x.io/team': { auth: pair('other', 'x') },
  })
  const converted = read(source, 'dockerconfigjson')
  const data = converted.kind === 'good' ? { [converted.member]: converted.data } : {}
  const entries = (type: string, of: Readonly<Record<string, string>>) =>
    readKeyring(['s'], () => ({ type, data: of })).entries

  expect(entries(modern, data)).toEqual(entries(legacy, source.data))
  expect(entries(modern, data)).toHaveLength(3)
})

describe('several sources', () => {
  it('make one config, the same in any order', () => {
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

        expect(one.kind).toBe('good')
        expect(
          parts === 1 || (one.kind === 'good' && other.kind === 'good' && one.data === other.data),
        ).toBe(true)
        expect(one.kind === 'good' && [...one.keys].sort()).toEqual(names.sort())
      }),
    )
  })

  it('with two passwords for one key are refused, whatever the key is written like', () => {
    const content = readAll([
      config({ 'https://index.docker.io/v1/': good }),
      config({ 'index.docker.io': { auth: pair('u', 'another') } }),
    ])

    expect(content).toMatchObject({
      kind: 'invalid',
      reason: expect.stringMatching(
        /^a\/0 and a\/1 have different credentials for index\.docker\.io/,
      ),
    })
  })

  it('of which one is not there make a config of the others', () => {
    const content = readContent(
      { from: [...from, { namespace: 'b', name: 'two' }], type: 'keep' },
      ({ namespace }) => (namespace === 'b' ? config({ 'x.io': good }) : null),
    )

    expect(content).toMatchObject({ kind: 'good', from: ['b/two'] })
  })
})

it('the hash is of what a config says, not of how it is written', () => {
  expect(hashOf('{"a":1,"b":{"d":2,"c":[1,2]}}')).toBe(hashOf('{ "b": {"c":[1,2],"d":2}, "a": 1 }'))
  expect(hashOf('{"a":[1,2]}')).not.toBe(hashOf('{"a":[2,1]}'))
  expect(hashOf('{')).not.toBe(hashOf('}'))
})

function decode(data: string): string {
  return Buffer.from(data, 'base64').toString('utf8')
}
