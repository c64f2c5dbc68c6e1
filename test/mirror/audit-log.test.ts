import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { appendPruneLog, readTagHistory } from '../../src/mirror/audit-log.ts'

let directory: string
let file: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-audit-'))
  file = join(directory, 'audit.log')
})

afterEach(() => rmSync(directory, { recursive: true }))

const line = (day: number, status: string, mirrorDigest: string | null) =>
  JSON.stringify({ time: `2026-11-0${day}T00:00:00Z`, destination: 'm/a:1', status, mirrorDigest })

const historyOf = (...lines: readonly string[]) => {
  writeFileSync(file, lines.join('\n'))
  return readTagHistory(file)
}

describe('readTagHistory', () => {
  it('counts from the first line with the digest that the tag has had since', () => {
    const history = historyOf(
      line(1, 'copied', 'x'),
      line(2, 'current', 'x'),
      line(3, 'current', 'x'),
    )

    expect(history('m/a:1', 'x')).toMatchObject({
      since: Date.parse('2026-11-01T00:00:00Z'),
      isCopy: true,
    })
    expect(history('m/a:1', 'y')).toBe(null)
    expect(history('m/b:1', 'x')).toBe(null)
  })

  it('counts again from the start if the tag had another digest in between', () => {
    const history = historyOf(
      line(1, 'copied', 'x'),
      line(2, 'copied', 'y'),
      line(3, 'copied', 'x'),
    )

    expect(history('m/a:1', 'x')?.since).toBe(Date.parse('2026-11-03T00:00:00Z'))
  })

  it('counts from the copy after the tag was removed', () => {
    const history = historyOf(
      line(1, 'copied', 'x'),
      line(2, 'removed', 'x'),
      line(3, 'copied', 'x'),
      line(4, 'current', 'x'),
    )

    expect(history('m/a:1', 'x')).toMatchObject({
      since: Date.parse('2026-11-03T00:00:00Z'),
      isExact: true,
      isCopy: true,
    })
  })

  it('does not take a tag that nothing needs for a copy, unless Berth copied it before', () => {
    expect(historyOf(line(1, 'unneeded', 'x'))('m/a:1', 'x')?.isCopy).toBe(false)
    expect(historyOf(line(1, 'copied', 'x'), line(2, 'unneeded', 'x'))('m/a:1', 'x')?.isCopy).toBe(
      true,
    )
  })

  it('ignores failures, plans, and lines that do not parse', () => {
    const history = historyOf(line(1, 'failed', null), line(1, 'planned', 'x'), '{"time":', 'null')

    expect(history('m/a:1', 'x')).toBe(null)
  })
})

describe('appendPruneLog', () => {
  it('writes lines that readTagHistory reads', () => {
    appendPruneLog(file)([{ destination: 'm/a:1', status: 'unneeded', mirrorDigest: 'x' }])

    expect(readFileSync(file, 'utf8')).toMatch(/^\{"time":".*"unneeded".*\}\n$/)
    expect(readTagHistory(file)('m/a:1', 'x')).toMatchObject({ isCopy: false })
  })

  it('throws usage at once if the file cannot be written', () => {
    expect(() => appendPruneLog(directory)).toThrow('cannot be written')
  })
})
