import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { type ByteBudget, createByteBudget } from '../../../src/async/byte-budget.ts'
import { type BodyOptions, readBody } from '../../../src/registry/http/response-body.ts'

/** Counts the bytes that a budget lends at the same time. */
function countedBudget(maxBytes: number) {
  const budget = createByteBudget(maxBytes)
  const lent = { now: 0, most: 0, total: 0 }
  const counted: ByteBudget = {
    maxBytes,
    async acquire(bytes, signal) {
      const release = await budget.acquire(bytes, signal)
      lent.now += bytes
      lent.total += bytes
      lent.most = Math.max(lent.most, lent.now)
      return () => {
        lent.now -= bytes
        release()
      }
    },
  }
  return { budget: counted, lent }
}

function read(body: Readable, options: Partial<BodyOptions> = {}) {
  return readBody(body, {
    maxBytes: 1_000,
    contentLength: null,
    consumer: null,
    budget: createByteBudget(1_000_000),
    signal: new AbortController().signal,
    ...options,
  })
}

const bodyOf = (...pieces: string[]) => Readable.from(pieces.map((piece) => Buffer.from(piece)))

describe('readBody', () => {
  it('returns a body of the maximum size, and null for a larger one', async () => {
    const [fits, large] = [bodyOf('x'.repeat(999), 'y'), bodyOf('x'.repeat(1_000), 'y')]

    expect((await read(fits))?.length).toBe(1_000)
    expect(await read(large)).toBeNull()
    expect(large.destroyed).toBe(true)
  })

  it('does not read a body that states a larger size', async () => {
    let reads = 0
    const body = new Readable({ read: () => void (reads += 1) })

    expect(await read(body, { contentLength: 1_001 })).toBeNull()
    expect([body.destroyed, reads]).toEqual([true, 0])
  })

  it.each([
    ['the stated size', 10, 10],
    ['the maximum size if none is stated', null, 1_000],
    ['nothing for an empty body', 0, 0],
  ])('takes %s from the budget', async (_, contentLength, bytes) => {
    const { budget, lent } = countedBudget(1_000_000)

    await read(bodyOf(''), { contentLength, budget })

    expect(lent).toEqual({ now: 0, most: bytes, total: bytes })
  })

  it('reads no more bodies at once than fit into the budget', async () => {
    const { budget, lent } = countedBudget(2_500)
    const bodies = Array.from({ length: 20 }, () => read(bodyOf('x'.repeat(1_000)), { budget }))

    expect((await Promise.all(bodies)).map((body) => body?.length)).toEqual(Array(20).fill(1_000))
    expect(lent).toEqual({ now: 0, most: 2_000, total: 20_000 })
  })

  it('gives the bytes back after a body that breaks off, is too large, or is aborted', async () => {
    const { budget, lent } = countedBudget(1_000)
    const broken = new Readable({
      read() {
        this.destroy(new Error('reset'))
      },
    })
    const abort = new AbortController()
    const waiting = read(bodyOf('late'), { budget, signal: abort.signal })
    await expect(read(broken, { budget })).rejects.toThrow('reset')
    await read(bodyOf('x'.repeat(2_000)), { budget })
    await waiting
    const holder = await budget.acquire(1_000, abort.signal)
    const aborted = read(bodyOf('x'), { budget, signal: abort.signal })
    abort.abort(new Error('stopped'))
    await expect(aborted).rejects.toThrow('stopped')
    holder()

    expect(lent.now).toBe(0)
  })

  it('hands pieces to a consumer, and stops when it returns false', async () => {
    const pieces: string[] = []
    const consumer = (stopAt: string) => ({
      start: () => undefined,
      write: (piece: Buffer) => pieces.push(String(piece)) > 0 && String(piece) !== stopAt,
    })

    expect(await read(bodyOf('a', 'b'), { consumer: consumer('') })).toEqual(Buffer.alloc(0))
    expect(await read(bodyOf('c', 'd', 'e'), { consumer: consumer('d') })).toBeNull()
    expect(pieces).toEqual(['a', 'b', 'c', 'd'])
  })

  it('takes the same bytes for every body that a consumer receives', async () => {
    const { budget, lent } = countedBudget(1_000_000)
    const consumer = { start: () => undefined, write: () => true }

    await read(bodyOf('x'.repeat(900)), { consumer, budget, contentLength: 900 })

    expect(lent.total).toBe(128 * 1024)
  })
})
