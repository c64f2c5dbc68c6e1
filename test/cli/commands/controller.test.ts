import { describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'

const controller = (...args: readonly string[]) =>
  berth(['controller', '--console', '--config', '/nonexistent/berth.yaml', ...args])

describe('berth controller --console', () => {
  it.each([
    ['0.0.0.0'],
    ['::'],
    ['localhost.example'],
    ['10.0.0.7', '--console-url=https://berth.example.com'],
    ['0.0.0.0', '--console-token-file=/etc/token'],
  ])('refuses the address %s without a URL and a token', async (host, ...more) => {
    const { code, stderr } = await controller(`--console-host=${host}`, ...more)

    expect(code).toBe(2)
    expect(stderr).toContain(`--console-host ${host} needs --console-url and --console-token-file`)
  })

  it.each([
    'berth.example.com',
    'https://berth.example.com/console',
    'https://user@berth.example.com',
    'ftp://berth.example.com',
    'https://berth.example.com/?a',
  ])('refuses %s as --console-url', async (url) => {
    const { code, stderr } = await controller(`--console-url=${url}`)

    expect(code).toBe(2)
    expect(stderr).toContain('write for example https://berth.example.com, without a path')
  })

  it.each([
    [],
    ['--console-host=127.0.0.2'],
    ['--console-host=::1'],
    ['--console-host=0.0.0.0', '--console-url=https://b.example:8443', '--console-token-file=/t'],
  ])('accepts %s %s %s', async (...args) => {
    const { stderr } = await controller(...args)

    expect(stderr).not.toContain('--console')
    // It goes on to connect.
    expect(stderr).toContain('kubeconfig-invalid')
  })
})
