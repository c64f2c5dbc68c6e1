import { spawn } from 'node:child_process'
import { once } from 'node:events'
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
    for (let line = 0; line < 2_000; line++) admissions.info({ line }, 'admission')
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

    // The flush at exit can overtake a write that has not finished, so the last lines may change places.
    expect([messages.length, messages.at(0)]).toEqual([2_002, 'first'])
    expect(messages.filter((message) => message === 'last')).toHaveLength(1)
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
