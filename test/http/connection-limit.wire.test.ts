import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import { type AddressInfo, connect as connectTcp } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { connect, type TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeCertificates } from '../../src/webhook/certificate/self-signed.ts'
import { limitConnections } from '../../src/http/connection-limit.ts'

const request = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n'

let server: Server
let ca: string
let port: number
let responses: ServerResponse[]

beforeEach(async () => {
  const certificates = await makeCertificates({ names: ['localhost'], days: 1, now: new Date() })
  ca = certificates.ca.cert
  responses = []
  server = createServer({ ...certificates.leaf }, (_, response) => responses.push(response))
  limitConnections(server, { total: 4, perCaller: 3 })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ;({ port } = server.address() as AddressInfo)
})

afterEach(() => {
  server.closeAllConnections()
  server.close()
})

/** Opens a connection from one of the addresses of this machine. */
async function open(localAddress: string): Promise<TLSSocket> {
  const options = { host: '127.0.0.1', port, ca, servername: 'localhost', localAddress }
  const socket = connect(options)
  socket.on('error', () => undefined).resume()
  await Promise.race([once(socket, 'secureConnect'), once(socket, 'close')]).catch(() => undefined)
  // With TLS 1.3, the server ends its handshake after the client. What is written inside of this event is not sent.
  if (!socket.destroyed) await once(socket, 'session')
  await setImmediate()
  return socket
}

const isOpen = (socket: TLSSocket) => !socket.destroyed

async function send(socket: TLSSocket): Promise<void> {
  const count = responses.length
  socket.write(request)
  await expect.poll(() => responses.length).toBe(count + 1)
}

describe('the connection limit', () => {
  it('closes the oldest idle connection of the caller with the most', async () => {
    const one = [await open('127.0.0.1'), await open('127.0.0.1'), await open('127.0.0.1')]
    const [two, three] = [await open('127.0.0.2'), await open('127.0.0.3')]
    await expect.poll(() => one.map(isOpen)).toEqual([false, true, true])

    expect([two, three].map(isOpen)).toEqual([true, true])
    await send(three)
    responses[0]?.end('thanks')
    expect(String((await once(three, 'data'))[0])).toContain('thanks')
  })

  it('closes no connection with a request that is not answered', async () => {
    const busy = [await open('127.0.0.1'), await open('127.0.0.1')]
    for (const socket of busy) await send(socket)
    const idle = await open('127.0.0.1')
    const next = await open('127.0.0.1')
    await expect.poll(() => isOpen(idle)).toBe(false)
    expect([...busy, next].map(isOpen)).toEqual([true, true, true])

    responses[1]?.end()
    await expect.poll(() => busy[1]?.bytesRead).toBeGreaterThan(0)
    responses[0]?.end()
    await send(next)
    await open('127.0.0.1')
    await expect.poll(() => busy.map(isOpen)).toEqual([true, false])
  })

  it('refuses a connection of a caller that has its share and uses all of it', async () => {
    const busy = [await open('127.0.0.1'), await open('127.0.0.1'), await open('127.0.0.1')]
    for (const socket of busy) await send(socket)

    expect(isOpen(await open('127.0.0.1'))).toBe(false)
    expect([...busy, await open('127.0.0.2')].map(isOpen)).toEqual([true, true, true, true])
  })

  it('counts connections without a handshake', async () => {
    const silent = Array.from({ length: 3 }, () => connectTcp(port, '127.0.0.1').resume())
    for (const socket of silent) await once(socket, 'connect')
    const socket = await open('127.0.0.1')
    await expect.poll(() => silent.map(({ destroyed }) => destroyed)).toEqual([true, false, false])

    expect(isOpen(socket)).toBe(true)
    for (const each of silent) each.destroy()
  })
})
