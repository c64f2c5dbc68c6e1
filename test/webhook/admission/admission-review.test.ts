import { describe, expect, it } from 'vitest'
import { unchanged, toReview } from '../../../src/webhook/admission/admission-response.ts'
import { readReview } from '../../../src/webhook/admission/admission-review.ts'
import { podOf, reviewOf } from '../../support/reviews.ts'

const read = (value: unknown) =>
  readReview(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)))

describe('reading a review', () => {
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
  ])('%j is refused: %s', (body, part) => {
    expect(read(body)).toMatchObject({ ok: false, message: expect.stringContaining(part) })
  })

  it.each([null, [], 'x', { spec: { containers: 'x' } }, { metadata: null }])(
    'takes any object: %j',
    (object) => {
      expect(read(reviewOf(object)).ok).toBe(true)
    },
  )

  it('takes `__proto__` and `constructor` for data', () => {
    const pod = '{"spec":{"nodeSelector":{"__proto__":"a","constructor":"b"},"containers":[]}}'
    const body = JSON.stringify(reviewOf('OBJECT')).replace('"OBJECT"', pod)

    expect(read(body).ok).toBe(true)
    expect(({} as Record<string, unknown>)['a']).toBeUndefined()
  })
})

describe('the answer', () => {
  const response = (verdict: Partial<typeof unchanged>) =>
    (toReview('u', { ...unchanged, ...verdict }) as { response: Record<string, unknown> }).response

  it('without a change has neither patch nor patchType (P2)', () => {
    expect(toReview('u', unchanged)).toEqual({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: 'u', allowed: true },
    })
  })

  it('with a change has both', () => {
    const { patch, patchType } = response({ patch: [{ op: 'add', path: '/a', value: 1 }] })

    expect([patchType, JSON.parse(Buffer.from(String(patch), 'base64').toString())]).toEqual([
      'JSONPatch',
      [{ op: 'add', path: '/a', value: 1 }],
    ])
  })

  it('that denies carries no patch', () => {
    expect(response({ denied: 'no', patch: [{ op: 'add', path: '/a', value: 1 }] })).toEqual({
      uid: 'u',
      allowed: false,
      status: { code: 403, reason: 'Forbidden', message: 'no' },
    })
  })

  it('has at most five warnings of 120 printable characters (P10)', () => {
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
