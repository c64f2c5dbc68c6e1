import { fc, runs } from '../../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import { isDigest, isTag, parseReference } from '../../../src/decision/reference/parse.ts'
import {
  formatAsPulled,
  formatReference,
  withDefaultTag,
} from '../../../src/decision/reference/reference.ts'
import data from '../../fixtures/references.json' with { type: 'json' }

interface Vector {
  readonly id: string
  readonly input: string
  readonly ok: boolean
  readonly error?: string
  readonly domain?: string
  readonly path?: string
  readonly tag?: string | null
  readonly digest?: string | null
  readonly normalized?: string
  readonly tagged?: string
  readonly dockerRef?: string
}

const vectors = data.vectors as readonly Vector[]

function parsed(text: string) {
  const result = parseReference(text)
  if (!result.ok) throw new Error(`${text}: ${result.code}`)
  return result.reference
}

describe('parseReference, compared with distribution/reference', () => {
  it.each(vectors.filter(({ ok }) => ok))('$id: parses $input', (vector) => {
    const reference = parsed(vector.input)

    expect({
      ...reference,
      normalized: formatReference(reference),
      tagged: formatReference(withDefaultTag(reference)),
      dockerRef: formatAsPulled(reference),
    }).toEqual({
      domain: vector.domain,
      path: vector.path,
      tag: vector.tag,
      digest: vector.digest,
      normalized: vector.normalized,
      tagged: vector.tagged,
      dockerRef: vector.dockerRef,
    })
  })

  it.each(vectors.filter(({ ok }) => !ok))('$id: returns $error for $input', (vector) => {
    expect(parseReference(vector.input)).toMatchObject({ ok: false, code: vector.error })
  })

  it.each(data.tags)('isTag($tag) is $ok', ({ tag, ok }) => {
    expect(isTag(tag)).toBe(ok)
  })
})

describe('parseReference', () => {
  it('parses a formatted reference to the same reference', () => {
    for (const { input } of vectors.filter(({ ok, domain }) => ok && domain !== '')) {
      const reference = parsed(input)
      expect(parseReference(formatReference(reference))).toEqual({ ok: true, reference })
    }
  })

  it('never throws, and parses only what it can format and parse again', () => {
    const alphabet = fc.constantFrom(
      ...'aA0._-/:@[]% \n\u0000éK$',
      'sha256:',
      'docker.io/',
      'f'.repeat(64),
    )
    fc.assert(
      fc.property(fc.string({ unit: alphabet, maxLength: 40 }), (text) => {
        const result = parseReference(text)
        if (!result.ok) return result.message.length > 0
        return parseReference(formatReference(result.reference)).ok
      }),
      runs(20_000),
    )
  })

  it.each([
    ['dashes', `a${'-'.repeat(4000)}`],
    ['dotted hosts', `${'a.'.repeat(2000)}/x`],
    ['path separators', `${'a/'.repeat(2000)}!`],
    ['an unfinished digest', `a@sha512:${'f'.repeat(4000)}g`],
    ['colons', `a${':1'.repeat(2000)}`],
    ['colons before a slash', `${':'.repeat(4094)}/`],
  ])('rejects a text that would stall a backtracking pattern: %s', (_, text) => {
    expect(parseReference(text.slice(0, 4096))).toMatchObject({ ok: false })
  })

  it.each([
    ['a'.repeat(246), true],
    ['a'.repeat(247), false],
  ])('takes a host for a host up to 253 characters: %s', (name, ok) => {
    const results = [`${name}.host.x/app`, `${name}.host.x:0443/app`].map(parseReference)

    expect(results.map((result) => result.ok)).toEqual([ok, ok])
    if (!ok)
      expect(results[0]).toMatchObject({
        code: 'invalid-format',
        message: 'the host has 254 characters; the maximum is 253',
      })
  })

  it('rejects an image of a megabyte by its length', () => {
    expect(parseReference('a'.repeat(1 << 20))).toMatchObject({
      ok: false,
      code: 'invalid-format',
    })
  })
})

describe('messages', () => {
  it.each([
    ['', 'empty'],
    [' nginx', 'white space around'],
    ['nginx\n', 'white space around'],
    ['docker://nginx', 'scheme'],
    ['${REGISTRY}/x', 'variable'],
    ['nginx:', 'tag after the last `:` is empty'],
    ['a//b', 'empty part'],
    ['ｎginx', 'ASCII'],
  ])('explains what is wrong with %j: %s', (text, part) => {
    expect(parseReference(text)).toMatchObject({
      ok: false,
      message: expect.stringContaining(part),
    })
  })
})

describe('isDigest', () => {
  it.each([
    ['sha256:' + 'a'.repeat(64), true],
    ['sha256:' + 'A'.repeat(64), false],
    ['sha256:' + 'a'.repeat(63), false],
    ['sha1:' + 'a'.repeat(40), false],
    ['sha256:' + 'a'.repeat(64) + '\n', false],
    ['', false],
  ])('of %j is %s', (text, want) => {
    expect(isDigest(text)).toBe(want)
  })
})
