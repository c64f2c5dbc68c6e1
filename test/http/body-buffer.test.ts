import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createBodyBuffer } from '../../src/http/body-buffer.ts'

it('returns the pieces of a body as one, whatever their number, sizes and the expected size', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 20 })),
      fc.nat({ max: 500 }),
      (pieces, expected) => {
        const body = createBodyBuffer(expected)
        for (const piece of pieces) body.append(Buffer.from(piece))

        expect(body.bytes()).toEqual(Buffer.concat(pieces))
      },
    ),
  )
})

it('does not write into the pieces', () => {
  const memory = Buffer.from('abcdef')
  const body = createBodyBuffer(100)
  body.append(memory.subarray(0, 2))
  body.append(Buffer.from('xy'))

  expect(body.bytes().toString()).toBe('abxy')
  expect(memory.toString()).toBe('abcdef')
})
