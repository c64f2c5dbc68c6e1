/** Property tests with reviews that can exhaust a process. For the number of runs see test/support/fast-check.ts. */
import { fc, runs, slow } from '../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import { maxImages } from '../../src/decision/pod/decide-pod.ts'
import { findSites } from '../../src/decision/pod/sites.ts'
import { expectErrorResponse, expectResponse } from './expect-response.ts'
import { applyOperations, differences, type Operation } from './json-patch.ts'
import { deepOrWideBody, podWithLongNames, podWithManyImages } from './large-reviews.ts'
import { mayChange } from './may-change.ts'
import { reviewText } from './pods.ts'
import { createSubject, deniedImage } from './subject.ts'
import { createTestServer } from './test-server.ts'

describe('a pod with many images or long names', () => {
  const subject = createSubject({ denies: true })

  it(
    'is denied if a rule denies one of them, and else gets a response within its limits',
    slow,
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.oneof(podWithManyImages, podWithLongNames), async (pod) => {
          const response = await subject.answer(reviewText(pod))
          const object = JSON.parse(pod) as unknown
          const operations = expectResponse(response)
          const hasDenied = findSites(object).some(({ image }) => image === deniedImage)

          expect(subject.bugs).toEqual([])
          expect(response['allowed']).toBe(!hasDenied)
          expect(subject.asked.length).toBeLessThanOrEqual(2 * maxImages)
          expectWithinLimits(response, operations)
          expect(
            differences(object, applyOperations(object, operations)).every((path) =>
              mayChange(object, path),
            ),
          ).toBe(true)
        }),
        runs(60),
      )
    },
  )
})

/** A response is at most as large as an API server accepts, apart from the images that change. */
function expectWithinLimits(
  { status, auditAnnotations = {} }: Readonly<Record<string, unknown>>,
  operations: readonly Operation[],
): void {
  const annotation = operations.find(({ path }) => path.startsWith('/metadata'))
  expect(Buffer.byteLength(JSON.stringify(annotation?.value ?? ''))).toBeLessThan(300 * 1024)
  expect(Buffer.byteLength(JSON.stringify(auditAnnotations))).toBeLessThan(64 * 1024)
  expect(JSON.stringify(status ?? '').length).toBeLessThan(8 * 1024)
}

describe('a body with deep or wide JSON', () => {
  it('gets a review or an error in plain text', slow, async () => {
    const { app, bugs } = await createTestServer()
    await fc.assert(
      fc.asyncProperty(deepOrWideBody, async (payload) => {
        const { statusCode, headers, body } = await app.inject({
          method: 'POST',
          url: '/mutate?timeout=5s',
          headers: { 'content-type': 'application/json' },
          payload,
        })
        expect(bugs).toEqual([])
        if (statusCode !== 200)
          return expectErrorResponse(statusCode, headers['content-type'], body)
        const { response } = JSON.parse(body) as { response: Record<string, unknown> }
        expectResponse(response)
        expect(response['allowed']).toBe(true)
      }),
      runs(150),
    )
    await app.close()
  })
})
