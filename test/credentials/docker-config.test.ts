import { describe, expect, it } from 'vitest'
import { helperFor, readUsableEntries } from '../../src/credentials/docker-config.ts'

const canary = 'canary-secret'

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

function parseOne(entry: unknown) {
  const result = readUsableEntries(JSON.stringify({ auths: { 'a.example': entry } }), 'config')
  return result.ok ? (result.entries[0] ?? result.skipped[0]?.reason) : result.reason
}

describe('an entry of a docker config', () => {
  it.each([
    ['user and password', { username: 'u', password: 'p' }, 'u', 'p'],
    ['auth', { auth: base64('u:p') }, 'u', 'p'],
    ['auth without padding', { auth: base64('user:p').replace(/=+$/, '') }, 'user', 'p'],
    [
      'auth with a line break',
      { auth: `${base64('u:p').slice(0, 2)}\n${base64('u:p').slice(2)}` },
      'u',
      'p',
    ],
    ['colons in the password', { auth: base64('u:p:q:r') }, 'u', 'p:q:r'],
    [
      'auth instead of username and password',
      { username: 'a', password: 'b', auth: base64('u:p') },
      'u',
      'p',
    ],
    ['an empty auth', { username: 'u', password: 'p', auth: '' }, 'u', 'p'],
    ['letters above ASCII', { auth: base64('ü:ß') }, 'ü', 'ß'],
    ['a token without a user', { auth: base64(':token') }, '', 'token'],
    // As Go, and therefore the kubelet, reads JSON.
    ['members in another case', { UserName: 'u', PASSWORD: 'p' }, 'u', 'p'],
    ['the last of two cases', { username: 'a', Username: 'u', password: 'p' }, 'u', 'p'],
    [
      'null, which sets nothing',
      { username: 'u', Username: null, password: 'p', auth: null },
      'u',
      'p',
    ],
    ['a long s', { username: 'u', paſsword: 'p' }, 'u', 'p'],
    ['half a surrogate pair', { username: 'u', password: '\ud800' }, 'u', '\ufffd'],
  ])('is read with %s', (_, entry, username, password) => {
    expect(parseOne(entry)).toEqual({ key: 'a.example', username, password, identityToken: null })
  })

  it.each([
    ['alone', {}, ''],
    ['with the user `<token>`', { auth: base64('<token>:') }, '<token>'],
    [
      'of `az acr login`',
      { auth: base64('00000000-0000-0000-0000-000000000000:') },
      expect.any(String),
    ],
  ])('is usable with an identitytoken %s', (_, entry, username) => {
    expect(parseOne({ ...entry, identitytoken: 't' })).toEqual({
      key: 'a.example',
      username: username as string,
      password: '',
      identityToken: 't',
    })
  })

  it.each([
    ['no members, as with a credential helper', {}, /credential helper/],
    ['auth that is not base64', { auth: '%%%' }, /base64/],
    ['auth in URL-safe base64', { auth: '_-_-' }, /base64/],
    ['auth with the wrong padding', { auth: 'dTpw=' }, /base64/],
    ['auth of an impossible length', { auth: 'dTpwd' }, /base64/],
    ['auth without a colon', { auth: base64(canary) }, /base64/],
    ['auth that is a number', { auth: 1 }, /not a string/],
    ['an email that is a number', { auth: base64('u:p'), email: 1 }, /not a string/],
    ['null instead of an object', null, /neither username nor password/],
    ['a string instead of an object', canary, /not an object/],
  ])('is skipped with a reason for %s', (_, entry, reason) => {
    const result = parseOne(entry)

    expect(result).toMatch(reason)
    expect(JSON.stringify(result)).not.toContain(canary)
  })
})

describe('helperFor', () => {
  const file = JSON.stringify({ credsStore: 'desktop', credHelpers: { 'b.example': 'ecr-login' } })

  it.each([
    [file, 'a.example', 'desktop'],
    [file, 'b.example', 'ecr-login'],
    ['{}', 'a.example', null],
    ['{', 'a.example', null],
    ['{"credsStore": "../x"}', 'a.example', null],
    ['{"credsStore": ["x"]}', 'a.example', null],
    ['{"credHelpers": {"a.example": "x; y"}}', 'a.example', null],
    ['{"credHelpers": {}}', 'constructor', null],
  ])('reads %s for %s', (text, server, expected) => {
    expect(helperFor(text, server)).toBe(expected)
  })
})

describe('readUsableEntries', () => {
  const entries = { 'a.example': { auth: base64('u:p') } }
  const wanted = [{ key: 'a.example', username: 'u', password: 'p', identityToken: null }]

  it.each([
    ['config', { auths: entries, credsStore: 'desktop' }, wanted],
    ['legacy', entries, wanted],
    ['config', { credsStore: 'desktop' }, []],
    ['config', { Auths: entries }, wanted],
    ['config', { auths: {}, AUTHS: entries }, wanted],
    ['config', { auths: entries, AUTHS: null }, []],
    ['config', { auths: entries, HttpHeaders: { a: 5 } }, wanted],
    ['config', null, []],
  ] as const)('reads a %s config: %j', (form, document, expected) => {
    expect(readUsableEntries(JSON.stringify(document), form)).toMatchObject({
      ok: true,
      entries: expected,
    })
  })

  it.each([`{"auths": ${canary}`, '', '[]', '"x"', `{"auths": ["${canary}"]}`])(
    'rejects %j without quoting it',
    (text) => {
      const result = readUsableEntries(text, 'config')

      expect(result.ok).toBe(false)
      expect(JSON.stringify(result)).not.toContain(canary)
    },
  )

  it('returns the valid entries of a config with an invalid one', () => {
    const text = JSON.stringify({ auths: { ...entries, 'b.example': { auth: '!' } } })

    expect(readUsableEntries(text, 'config')).toEqual({
      ok: true,
      entries: wanted,
      skipped: [
        { key: 'b.example', reason: 'has an auth that is not the base64 of username:password' },
      ],
    })
  })
})
