import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Registry } from 'prom-client'
import { createHealthApp, listen } from '../../src/telemetry/health-server.ts'

let app: Awaited<ReturnType<typeof createHealthApp>>
let port: number

beforeEach(async () => {
  app = await createHealthApp({ metrics: { registry: new Registry() }, notReady: () => null })
  port = await listen(app, '127.0.0.1', 0)
})

afterEach(async () => {
  app.server.closeAllConnections()
  await app.close()
})

async function open(localAddress: string): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, localAddress })
  socket.on('error', () => undefined).resume()
  await once(socket, 'connect')
  return socket
}

describe('the health server', () => {
  it('answers health checks while others keep 200 connections open, and closes the oldest of them', async () => {
    const sockets: Socket[] = []
    for (let index = 0; index < 200; index++)
      sockets.push(await open(index % 2 === 0 ? '127.0.0.2' : '127.0.0.3'))
    const response = await fetch(`http://127.0.0.1:${port}/healthz`)
    await expect
      .poll(() => sockets.filter(({ destroyed }) => !destroyed).length)
      .toBeLessThanOrEqual(128)
    for (const socket of sockets) socket.destroy()

    expect(response.status).toBe(200)
    expect(sockets[0]?.destroyed).toBe(true)
  })

  it('reads no body', async () => {
    const body = JSON.stringify('x'.repeat(500_000))
    const headers = { 'content-type': 'application/json' }
    const { status } = await fetch(`http://127.0.0.1:${port}/healthz`, {
      method: 'POST',
      headers,
      body,
    })

    expect([404, 415]).toContain(status)
  })
})
