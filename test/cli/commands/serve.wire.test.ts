import { mkdtempSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'

const directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
const config = join(directory, 'berth.yaml')

beforeAll(async () => {
  writeFileSync(config, 'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n')
  await berth(['certs', '--out', join(directory, 'certs'), '--names', 'localhost,127.0.0.1'])
})

describe('berth serve', () => {
  const certificate = [
    '--tls-cert',
    join(directory, 'certs/tls.crt'),
    '--tls-key',
    join(directory, 'certs/tls.key'),
  ]

  it('logs its ports, and stops when the signal aborts', async () => {
    const stop = new AbortController()
    stop.abort()
    const { code, stderr } = await berth(
      [
        'serve',
        '--config',
        config,
        '--host',
        '127.0.0.1',
        '--port',
        '0',
        '--metrics-port',
        '0',
        ...certificate,
      ],
      '',
      stop.signal,
    )
    const messages = stderr
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { msg: string }).msg)

    expect(code).toBe(0)
    expect(messages.slice(-2)).toEqual(['listening', 'stopped'])
  })

  it('fails with the address of a port that is in use', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as AddressInfo
    const { code, stderr } = await berth([
      'serve',
      '--config',
      config,
      '--host',
      '127.0.0.1',
      '--port',
      String(port),
      '--metrics-port',
      '0',
      ...certificate,
    ])
    other.close()

    expect(code).toBe(2)
    expect(stderr).toContain(`berth: listen-failed: cannot listen on 127.0.0.1:${port}: EADDRINUSE`)
  })

  it.each([
    [
      'that is missing',
      ['--tls-cert', '/nowhere/tls.crt', '--tls-key', '/nowhere/tls.key'],
      'cannot be read: it does not exist',
    ],
    [
      'with another key',
      [
        '--tls-cert',
        join(directory, 'certs/tls.crt'),
        '--tls-key',
        join(directory, 'certs/ca.key'),
      ],
      'does not match the key',
    ],
  ])('rejects a certificate %s', async (_, options, message) => {
    const { code, stderr } = await berth(['serve', '--config', config, ...options])

    expect(code).toBe(2)
    expect(stderr).toContain('berth: certificate-invalid')
    expect(stderr).toContain(message)
  })
})
