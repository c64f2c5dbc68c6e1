import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { enforceRequestTimeouts } from '../../../src/webhook/server/request-timeouts.ts'
import {
  type Certificates,
  makeCertificates,
} from '../../../src/webhook/certificate/self-signed.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const headers = 'POST / HTTP/1.1\r\nhost: a\r\n'
const whole = `${headers}content-length: 2\r\n\r\nab`

let certificates: Certificates
let server: Server
/** On the side of the server. */
let connections: TLSSocket[]
let requests: WeakRef<IncomingMessage>[]
/** Advances each time it is read. */
let time: number

beforeEach(async () => {
  time = 0
  certificates = await makeCertificates({ names: ['localhost'], days: 1, now: new Date() })
  requests = []
  server = createServer({ ...certificates.leaf }, (request, response) => {
    requests.push(new WeakRef(request))
    const answer = request.url === '/large' ? Buffer.alloc(64 * 1024 * 1024) : 'thanks'
    request.resume().on('end', () => response.end(answer))
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    socket.end(`closed for ${error.code}`)
  })
  connections = []
  server.on('secureConnection', (socket: TLSSocket) => connections.push(socket))
  enforceRequestTimeouts(server, {
    now: () => (time += 1),
    headersMs: 10,
    requestMs: 20,
    answerMs: 200,
    checkEveryMs: 1,
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})

afterEach(() => {
  server.closeAllConnections()
  server.close()
})

async function open(): Promise<{
  socket: TLSSocket
  text: () => string
  closed: Promise<unknown>
}> {
  const { port } = server.address() as AddressInfo
  const { ca } = certificates
  const socket = connect({ host: '127.0.0.1', port, ca: ca.cert, servername: 'localhost' })
  const closed = once(socket, 'close')
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  await once(socket, 'secureConnect')
  return { socket, text: () => text, closed }
}

const timedOut = 'closed for ERR_HTTP_REQUEST_TIMEOUT'

describe('request timeouts', () => {
  it.each([
    ['headers are not complete', headers],
    ['body is not complete', `${headers}content-length: 9\r\n\r\nab`],
    ['headers are not complete after another request', `${whole}${headers}`],
  ])('close a connection whose %s in time', async (name, sent) => {
    const { socket, text, closed } = await open()
    socket.write(sent)
    if (name.includes('another request')) {
      await expect.poll(text).toContain('thanks')
      // The connection counts as idle until more bytes arrive.
      await expect
        .poll(() => {
          socket.write('x-a: b\r\n')
          return text()
        })
        .toContain(timedOut)
    }
    await closed

    expect(text()).toContain(timedOut)
  })

  it('leave a connection alone that sends nothing, before and after a request', async () => {
    const [silent, slow] = [await open(), await open()]
    slow.socket.write(headers)
    await slow.closed
    silent.socket.write(whole)
    await expect.poll(silent.text).toContain('thanks')
    const another = await open()
    another.socket.write(headers)
    await another.closed
    silent.socket.write(whole.replace('\r\n\r\n', '\r\nconnection: close\r\n\r\n'))
    await silent.closed

    expect(silent.text().match(/thanks/g)).toHaveLength(2)
    expect(silent.text()).not.toContain(timedOut)
  })

  it('keep no request in memory that is answered, on a connection that stays open', async () => {
    const { socket, text } = await open()
    socket.write(whole)
    await expect.poll(text).toContain('thanks')

    await expect
      .poll(() => {
        collectGarbage()
        return requests.map((request) => request.deref())
      })
      .toEqual([undefined])
    expect(connections.map(({ destroyed }) => destroyed)).toEqual([false])
  })

  it.each([
    ['the response', ''],
    ['the response to a request that it has sent before the previous one was answered', whole],
  ])('close a connection that does not read %s', async (_, previous) => {
    const { socket, closed } = await open()
    socket.pause()
    socket.write(`${previous}GET /large HTTP/1.1\r\nhost: a\r\n\r\n`)
    await expect.poll(() => connections[0]?.destroyed, { timeout: 4_000 }).toBe(true)
    socket.resume()
    await closed
  })
})
