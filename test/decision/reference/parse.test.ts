import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  isCanonical,
  isDigest,
  parseAnyReference,
  parseReference,
  withDigest,
  withTag,
} from '../../../src/decision/reference/parse.ts'
import {
  formatAsPulled,
  formatFamiliar,
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
  readonly familiar?: string
}

const vectors = data.vectors as readonly Vector[]

function parsed(text: string) {
  const result = parseReference(text)
  if (!result.ok) throw new Error(`${text}: ${result.code}`)
  return result.reference
}

describe('the grammar of distribution/reference (R-01)', () => {
  it.each(vectors.filter(({ ok }) => ok))('$id parses: $input', (vector) => {
    const reference = parsed(vector.input)

    expect({
      ...reference,
      normalized: formatReference(reference),
      tagged: formatReference(withDefaultTag(reference)),
      dockerRef: formatAsPulled(reference),
      familiar: formatFamiliar(reference),
    }).toEqual({
      domain: vector.domain,
      path: vector.path,
      tag: vector.tag,
      digest: vector.digest,
      normalized: vector.normalized,
      tagged: vector.tagged,
      dockerRef: vector.dockerRef,
      familiar: vector.familiar,
    })
  })

  it.each(vectors.filter(({ ok }) => !ok))('$id is $error: $input', (vector) => {
    expect(parseReference(vector.input)).toMatchObject({ ok: false, code: vector.error })
  })

  it.each(data.sha256Only)('with sha256 alone, $input is $error', ({ input, error }) => {
    expect(parseReference(input, new Set(['sha256']))).toMatchObject({ ok: false, code: error })
  })

  it.each(data.any)('as any reference: $input', (vector) => {
    const result = parseAnyReference(vector.input)
    const value = !result.ok
      ? null
      : 'digest' in result
        ? result.digest
        : formatReference(result.reference)

    expect(value).toBe(vector.value ?? null)
    expect(result.ok && 'digest' in result ? 'digest' : result.ok ? 'name' : undefined).toBe(
      vector.kind,
    )
  })

  it.each(data.canonical)('written in full: $input', ({ input, ok, error }) => {
    const result = parseReference(input)
    const code = !result.ok
      ? result.code
      : isCanonical(input, result.reference)
        ? undefined
        : 'not-canonical'

    expect({ ok: code === undefined, code }).toEqual({ ok, code: error })
  })

  it.each(data.withTag)('$base with tag $tag', ({ base, tag, ok, result }) => {
    const tagged = withTag(parsed(base), tag)

    expect(tagged && formatReference(tagged)).toBe(ok ? result : null)
  })

  it.each(data.withDigest)('$base with digest $digest', ({ base, digest, ok, result }) => {
    const pinned = withDigest(parsed(base), digest)

    expect(pinned && formatReference(pinned)).toBe(ok ? result : null)
  })
})

describe('any text at all', () => {
  it('gives itself back when it parses (R-07)', () => {
    for (const { input } of vectors.filter(({ ok, domain }) => ok && domain !== '')) {
      const reference = parsed(input)
      expect(parseReference(formatReference(reference))).toEqual({ ok: true, reference })
    }
  })

  it('never throws and parses only what it can format (R-02, R-08)', () => {
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
      { numRuns: 20_000 },
    )
  })

  it.each([
    ['dashes', `a${'-'.repeat(4000)}`],
    ['dotted hosts', `${'a.'.repeat(2000)}/x`],
    ['path separators', `${'a/'.repeat(2000)}!`],
    ['an unfinished digest', `a@sha512:${'f'.repeat(4000)}g`],
    ['colons', `a${':1'.repeat(2000)}`],
    ['colons before a slash', `${':'.repeat(4094)}/`],
  ])(
    'is answered for at once, where a backtracking pattern would never end: %s (R-02)',
    (_, text) => {
      expect(parseReference(text.slice(0, 4096))).toMatchObject({ ok: false })
    },
  )

  it('refuses a megabyte without looking at it', () => {
    expect(parseReference('a'.repeat(1 << 20))).toMatchObject({
      ok: false,
      code: 'invalid-format',
    })
  })
})

describe('what a person is told', () => {
  it.each([
    ['', 'empty'],
    [' nginx', 'white space around'],
    ['nginx\n', 'white space around'],
    ['docker://nginx', 'scheme'],
    ['${REGISTRY}/x', 'variable'],
    ['nginx:', 'tag after the last `:` is empty'],
    ['a//b', 'empty'],
    ['ｎginx', 'ASCII'],
  ])('%j: %s', (text, part) => {
    expect(parseReference(text)).toMatchObject({
      ok: false,
      message: expect.stringContaining(part),
    })
  })

  it.each([
    ['sha256:' + 'a'.repeat(64), true],
    ['sha256:' + 'A'.repeat(64), false],
    ['sha256:' + 'a'.repeat(63), false],
    ['sha1:' + 'a'.repeat(40), false],
    ['sha256:' + 'a'.repeat(64) + '\n', false],
    ['', false],
  ])('%j is a digest: %s', (text, want) => {
    expect(isDigest(text)).toBe(want)
  })
})
