import { describe, expect, it } from 'vitest'
import { createPainter } from '../../../src/cli/output/colour.ts'

describe('createPainter', () => {
  it.each([
    ['colours on a terminal', true, {}, true],
    ['does not colour a terminal if NO_COLOR is set', true, { NO_COLOR: '1' }, false],
    ['colours if NO_COLOR is empty', true, { NO_COLOR: '' }, true],
    ['does not colour files and pipes', false, {}, false],
  ])('%s', (_, isTTY, env, isColoured) => {
    expect(createPainter({ isTTY }, env)('red', 'x') !== 'x').toBe(isColoured)
  })
})
