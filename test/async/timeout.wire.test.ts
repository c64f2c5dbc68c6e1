import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { startTimeout } from '../../src/async/timeout.ts'

const server = createServer()
let client: Socket | null = null

afterEach(() => {
  client?.destroy()
  server.close()
})

describe('a timeout', () => {
  it('expires after data that arrived in time is read, even if the event loop was busy', async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    client = connect((server.address() as AddressInfo).port, '127.0.0.1')
    const [peer] = (await once(server, 'connection')) as [Socket]
    const events: string[] = []
    client.on('data', () => events.push('data'))
    const { promise: expired, resolve } = Promise.withResolvers<void>()
    const expire = () => {
      events.push('expired')
      resolve()
    }
    // After an immediate, timers run next, before sockets are read.
    await setImmediate()
    startTimeout(1, expire)
    peer.write('x')
    const end = performance.now() + 20
    while (performance.now() < end);
    await expired

    expect(events).toEqual(['data', 'expired'])
  })
})
