import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { createConcurrencyLimit } from '../../../src/webhook/server/concurrency-limit.ts'
import { denyUnread, type UnreadReviewError } from '../../../src/webhook/server/unread-review.ts'
import { readBody } from '../../../src/webhook/server/read-body.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

function createRequest(): IncomingMessage {
  return Object.assign(new EventEmitter(), { headers: {} }) as unknown as IncomingMessage
}

/** Sends a chunk, and returns a reference that does not keep it. */
function send(request: IncomingMessage, bytes = 100_000): WeakRef<Buffer> {
  const chunk = Buffer.alloc(bytes, 'a')
  request.emit('data', chunk)
  return new WeakRef(chunk)
}

describe('the body of a request', () => {
  it('does not stay in memory in chunks while the request is answered', async () => {
    const slot = createConcurrencyLimit(() => 0).begin('caller')
    const request = createRequest()
    if (slot === null) throw new Error('no place')
    const body = readBody(request, slot)
    const chunks = [send(request), send(request)]
    request.emit('end')

    expect(await body).toHaveLength(200_000)
    // References are kept until the end of a turn of the event loop.
    await new Promise((resolve) => setTimeout(resolve, 10))
    collectGarbage()
    expect(chunks.map((chunk) => chunk.deref())).toEqual([undefined, undefined])
    expect(request.listenerCount('end')).toBe(1)
  })

  it('does not stay in memory in chunks while it arrives', async () => {
    const slot = createConcurrencyLimit(() => 0).begin('caller')
    const request = createRequest()
    if (slot === null) throw new Error('no place')
    const body = readBody(request, slot)
    const chunks = Array.from({ length: 10_000 }, () => send(request, 200))
    // References are kept until the end of a turn of the event loop.
    await new Promise((resolve) => setTimeout(resolve, 10))
    collectGarbage()

    expect(chunks.filter((chunk) => chunk.deref() !== undefined)).toEqual([])
    request.emit('end')
    expect((await body).toString()).toBe('a'.repeat(2_000_000))
  })

  it('that gets no memory is refused with what a denial needs', async () => {
    const slot = createConcurrencyLimit(() => 0).begin('caller')
    const request = createRequest()
    if (slot === null) throw new Error('no place')
    const body = readBody(request, { ...slot, use: () => false }).catch((error: unknown) => error)
    const head =
      '{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"a-1","kind"'
    request.emit('data', Buffer.from(head))
    const error = await body

    expect(error).toMatchObject({ statusCode: 503, uid: 'a-1' })
    expect(denyUnread(error as UnreadReviewError)).toMatch(/"allowed":false.*try again/)
  })
})
