import { execFileSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import {
  readLimitedFile,
  readLimitedStream,
  readRegularFile,
} from '../../src/files/read-limited.ts'

const file = join(mkdtempSync(join(tmpdir(), 'berth-test-')), 'file')
const text = 'é'.repeat(100_000)
writeFileSync(file, text)

describe('readLimitedFile', () => {
  it('returns all bytes of a file that is not too large', () => {
    expect(readLimitedFile(file, 200_000).toString()).toBe(text)
  })

  it.each([
    [file, 199_999],
    ['/dev/zero', 1_000_000],
  ])('does not read %s beyond the limit', (name, limit) => {
    expect(() => readLimitedFile(name, limit)).toThrow(`it has more than ${limit} bytes`)
  })

  it.each([
    ['/nowhere/file', 'ENOENT'],
    [tmpdir(), 'EISDIR'],
  ])('throws the error of the operating system for %s', (name, code) => {
    expect(() => readLimitedFile(name, 1)).toThrow(expect.objectContaining({ code }))
  })
})

describe('readRegularFile', () => {
  it('returns all bytes of a file that is not too large', () => {
    expect(readRegularFile(file, 200_000).toString()).toBe(text)
    expect(() => readRegularFile(file, 199_999)).toThrow('it has more than 199999 bytes')
  })

  it('refuses a pipe without a writer, and a device, without waiting', () => {
    const pipe = join(mkdtempSync(join(tmpdir(), 'berth-test-')), 'pipe')
    execFileSync('mkfifo', [pipe])

    for (const name of [pipe, '/dev/zero', '/dev/null'])
      expect(() => readRegularFile(name, 10)).toThrow('not a regular file')
  })

  it('throws the error of the operating system', () => {
    expect(() => readRegularFile(tmpdir(), 10)).toThrow(expect.objectContaining({ code: 'EISDIR' }))
    expect(() => readRegularFile('/nowhere', 10)).toThrow(
      expect.objectContaining({ code: 'ENOENT' }),
    )
  })
})

describe('readLimitedStream', () => {
  it('returns all bytes, or rejects at the limit', async () => {
    const chunks = ['é'.repeat(50_000), Buffer.from('é'.repeat(50_000))]

    expect((await readLimitedStream(Readable.from(chunks), 200_000)).toString()).toBe(text)
    await expect(readLimitedStream(Readable.from(chunks), 199_999)).rejects.toThrow(
      'it has more than 199999 bytes',
    )
  })
})
