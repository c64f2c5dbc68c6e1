import { describe, expect, it } from 'vitest'
import { createLogs } from '../../src/telemetry/log.ts'

function linesOf(write: (logs: ReturnType<typeof createLogs>) => void): string[] {
  const lines: string[] = []
  write(createLogs('info', { write: (line: string) => lines.push(line) }))
  return lines
}

describe('the log', () => {
  const canary = 'canary-8f21'

  it.each([
    ['at the top', { password: canary }],
    ['one level down', { credential: { username: 'u', password: canary } }],
    ['two levels down', { secret: { body: { data: canary, token: canary } } }],
    [
      'in an error',
      { err: Object.assign(new Error('no'), { auth: canary, headers: { authorization: canary } }) },
    ],
  ])('redacts what looks like a credential: %s', (_, fields) => {
    const [line = ''] = linesOf(({ log }) => log.error(fields, 'something'))

    expect(line).toContain('[redacted]')
    expect(line).not.toContain(canary)
  })

  it('writes JSON with the level as a word, and nothing below its level', () => {
    const lines = linesOf(({ log }) => {
      log.debug('too much')
      log.warn({ a: 1 }, 'enough')
    })

    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { level: 'warn', time: expect.any(String), a: 1, msg: 'enough' },
    ])
  })
})
