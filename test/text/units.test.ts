import { describe, expect, it } from 'vitest'
import { bytesText } from '../../src/text/units.ts'

describe('bytesText', () => {
  it.each([
    [999, '999 B'],
    [1_500, '1.5 kB'],
    [8_388_608, '8.4 MB'],
    [2_147_483_648, '2.1 GB'],
    [120_000_000, '120 MB'],
  ])('formats %i as %s', (bytes, text) => {
    expect(bytesText(bytes)).toBe(text)
  })
})
