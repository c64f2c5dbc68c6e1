import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'

/** Starting a process takes long on a busy machine. */
const slow = { timeout: 30_000 }

describe('the log of a process', slow, () => {
  const url = new URL('../../src/telemetry/log.ts', import.meta.url).href
  const start = `
    import { createLogs } from ${JSON.stringify(url)}
    const { log, admissions } = createLogs('info', process.stderr)
    log.info('first')
    for (let line = 0; line < 2_000; line++) admissions.info('"line":' + line, 'admission')
    log.info('last')
  `

  async function messagesOf(end: string): Promise<string[]> {
    const child = spawn(process.execPath, ['--input-type=module', '-e', start + end], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const [output] = await Promise.all([text(child.stderr), once(child, 'exit')])
    return output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => (JSON.parse(line) as { msg: string }).msg)
  }

  it.each([
    ['ends', ''],
    ['calls process.exit', 'process.exit(0)'],
    ['throws', 'setTimeout(() => { throw new Error() })'],
  ])('is complete when the process %s', async (_, end) => {
    const messages = await messagesOf(end)

    expect([messages.length, messages.at(0), messages.at(-1)]).toEqual([2_002, 'first', 'last'])
  })

  it('is written while the process runs', async () => {
    const child = spawn(
      process.execPath,
      ['--input-type=module', '-e', `${start}; setInterval(() => {}, 1_000)`],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    let output = ''
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    await expect.poll(() => output, slow).toContain('"last"')
    child.kill()
  })
})

/** What the reader of standard error does. */
type Reader = 'is a full disk' | 'has gone' | 'does not read'

describe('the log of a process whose standard error', slow, () => {
  const url = new URL('../../src/telemetry/log.ts', import.meta.url).href
  /** Logs 20 MB in pieces, prints what became of them, and ends. */
  const script = `
    import { setTimeout as sleep } from 'node:timers/promises'
    import { createLogs } from ${JSON.stringify(url)}
    const { admissions, droppedLines } = createLogs('info', process.stderr)
    const before = process.memoryUsage().rss
    for (let round = 0; round < 20; round++) {
      for (let line = 0; line < 1_000; line++) admissions.info('"pad":"' + 'x'.repeat(1_000) + '"', 'admission')
      await sleep(10)
    }
    process.stdout.write(JSON.stringify({ dropped: droppedLines(), grown: process.memoryUsage().rss - before }))
  `

  it.each<Reader>(['is a full disk', 'has gone', 'does not read'])(
    '%s survives, counts the lines that are lost, and does not grow',
    async (reader) => {
      const full = reader === 'is a full disk' ? openSync('/dev/full', 'w') : 'pipe'
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', full],
      })
      if (reader === 'has gone') child.stderr?.destroy()
      if (child.stdout === null) throw new Error('no standard output')
      const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')])
      child.stderr?.destroy()
      if (typeof full === 'number') closeSync(full)
      const { dropped, grown } = JSON.parse(output) as { dropped: number; grown: number }

      expect(code).toBe(0)
      expect(dropped).toBeGreaterThan(10_000)
      expect(grown).toBeLessThan(48 * 1024 * 1024)
    },
  )

  it('is read again says how many lines were lost', async () => {
    const child = spawn(
      process.execPath,
      ['--input-type=module', '-e', `${script}; setInterval(() => {}, 1_000)`],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    await once(child.stdout, 'data')
    let output = ''
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    await expect.poll(() => output, slow).toContain('log lines dropped')
    child.kill()
    const lines = output
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as { msg: string; lines?: number })

    expect(lines.filter(({ msg }) => msg === 'log lines dropped')).toEqual([
      expect.objectContaining({ level: 'warn', lines: 20_000 - lines.length + 1 }),
    ])
  })
})
