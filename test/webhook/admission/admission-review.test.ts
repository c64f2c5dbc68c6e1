import { describe, expect, it } from 'vitest'
import { unchanged, writeReview } from '../../../src/webhook/admission/admission-response.ts'
import { readReview } from '../../../src/webhook/admission/admission-review.ts'
import { podOf, reviewOf } from '../../support/reviews.ts'

const read = (value: unknown) =>
  readReview(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)))

describe('readReview', () => {
  it('takes the namespace from the request', () => {
    const result = read(reviewOf(podOf(['nginx']), { namespace: 'team' }))

    expect(result).toMatchObject({
      ok: true,
      request: {
        namespace: 'team',
        operation: 'CREATE',
        isPod: true,
        subResource: '',
        dryRun: false,
      },
    })
  })

  it.each([
    ['', 'not JSON'],
    ['{', 'not JSON'],
    ['null', 'not an AdmissionReview'],
    ['[]', 'not an AdmissionReview'],
    [
      { ...reviewOf({}), apiVersion: 'admission.k8s.io/v1beta1' },
      'not an AdmissionReview of admission.k8s.io/v1',
    ],
    [{ ...reviewOf({}), request: null }, 'uid'],
    [reviewOf({}, { uid: '' }), 'uid'],
    [reviewOf({}, { uid: 5 }), 'uid'],
    [reviewOf({}, { namespace: 'a'.repeat(254) }), 'namespace has more than 253 characters'],
  ])('rejects %j: %s', (body, part) => {
    expect(read(body)).toMatchObject({ ok: false, message: expect.stringContaining(part) })
  })

  it.each([null, [], 'x', { spec: { containers: 'x' } }, { metadata: null }])(
    'accepts any object: %j',
    (object) => {
      expect(read(reviewOf(object)).ok).toBe(true)
    },
  )

  it('treats `__proto__` and `constructor` as data', () => {
    const pod = '{"spec":{"nodeSelector":{"__proto__":"a","constructor":"b"},"containers":[]}}'
    const body = JSON.stringify(reviewOf('OBJECT')).replace('"OBJECT"', pod)

    expect(read(body).ok).toBe(true)
    expect(({} as Record<string, unknown>)['a']).toBeUndefined()
  })
})

describe('writeReview', () => {
  const reviewOf = (verdict: Partial<typeof unchanged>) =>
    JSON.parse(writeReview('u', { ...unchanged, ...verdict })) as {
      response: Record<string, unknown>
    }
  const response = (verdict: Partial<typeof unchanged>) => reviewOf(verdict).response

  it('sets neither patch nor patchType without a change', () => {
    expect(reviewOf({})).toEqual({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: 'u', allowed: true },
    })
  })

  it('sets both patch and patchType with a change', () => {
    const { patch, patchType } = response({ patch: [{ op: 'add', path: '/a', value: 1 }] })

    expect([patchType, JSON.parse(Buffer.from(String(patch), 'base64').toString())]).toEqual([
      'JSONPatch',
      [{ op: 'add', path: '/a', value: 1 }],
    ])
  })

  it('sets no patch in a denial', () => {
    expect(response({ denied: 'no', patch: [{ op: 'add', path: '/a', value: 1 }] })).toEqual({
      uid: 'u',
      allowed: false,
      status: { code: 403, reason: 'Forbidden', message: 'no' },
    })
  })

  it('limits warnings to five lines of 120 printable characters', () => {
    const warnings = Array.from(
      { length: 100 },
      (_, index) => `berth: ${index}\n\u0007é${'x'.repeat(200)}`,
    )
    const lines = response({ warnings })['warnings'] as string[]

    expect(lines).toHaveLength(5)
    expect(lines.every((line) => /^[ -~]{1,120}$/.test(line))).toBe(true)
    expect(lines.at(-1)).toContain('96 more')
  })
})
