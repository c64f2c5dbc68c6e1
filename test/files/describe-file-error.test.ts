import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { describeFileError } from '../../src/files/describe-file-error.ts'

function errorOf(read: () => unknown): unknown {
  try {
    read()
  } catch (error) {
    return error
  }
  return null
}

describe('describeFileError', () => {
  const directory = mkdtempSync(join(tmpdir(), 'berth-file-error-'))

  it('says in words what the file system reports', () => {
    const missing = errorOf(() => readFileSync(join(directory, 'missing')))
    const folder = errorOf(() => readFileSync(directory))

    expect(describeFileError(missing)).toBe('it does not exist')
    expect(describeFileError(folder)).toBe('it is a directory')
  })

  it('keeps a code that it does not know, and a message without a code', () => {
    expect(describeFileError(Object.assign(new Error('x'), { code: 'ESTALE' }))).toBe('ESTALE')
    expect(describeFileError(new Error('it has more than 5 bytes'))).toBe(
      'it has more than 5 bytes',
    )
  })
})
