/** A server on loopback that answers with any bytes, also those that no HTTP server sends. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'

export interface SocketServer {
  readonly url: string
  readonly host: string
  /** The first line of each request. */
  readonly requests: readonly string[]
  close(): Promise<void>
}

/** Sends the text for each request, or leaves the socket to the function. The requests must not have a body. */
export type SocketAnswer = (
  requestLine: string,
) => string | Buffer | ((socket: Socket) => void | Promise<void>)

export async function startSocketServer(answer: SocketAnswer): Promise<SocketServer> {
  const requests: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    let received = ''
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (piece: Buffer) => {
      received += piece.toString('latin1')
      for (let end = received.indexOf('\r\n\r\n'); end !== -1; end = received.indexOf('\r\n\r\n')) {
        const [line = ''] = received.split('\r\n', 1)
        received = received.slice(end + 4)
        requests.push(line)
        const answered = answer(line)
        if (typeof answered === 'function') void answered(socket)
        else socket.write(answered)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url: `http://${host}`,
    host,
    requests,
    async close() {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  }
}

/** Writes the text first, and then the rest again and again, until the other side closes the connection. */
export function sendForever(first: string, rest: string): (socket: Socket) => Promise<void> {
  return async (socket) => {
    socket.write(first)
    const piece = rest.repeat(Math.ceil(4096 / rest.length))
    while (!socket.destroyed) {
      if (!socket.write(piece)) {
        const drained = Promise.race([once(socket, 'drain'), once(socket, 'close')])
        await drained.catch(() => undefined)
      }
      // Lets the client in this process read.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
