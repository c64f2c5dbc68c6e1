/** A keep-alive connection of the load generator. Sends a prebuilt request, and parses as little of the response as needed. */
import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'

export interface Target {
  readonly port: number
  readonly ca: string
}

export interface Connection {
  /** Sends the request, and calls `onAnswer` with the response. One request at a time. */
  send(request: Buffer): void
  close(): void
}

export interface Answer {
  readonly status: number
  readonly body: () => string
}

export interface ConnectionEvents {
  readonly onAnswer: (answer: Answer) => void
  /** Called if the connection closes or breaks, which is always unexpected. */
  readonly onEnd: (reason: string) => void
}

/** The cipher that API servers list first. The servers of Go and Node.js prefer different ones, so the client offers only this. */
const cipher = 'TLS_AES_128_GCM_SHA256'

const headEnd = '\r\n\r\n'

export async function openConnection(
  { port, ca }: Target,
  { onAnswer, onEnd }: ConnectionEvents,
): Promise<Connection> {
  const socket = connect({
    host: '127.0.0.1',
    port,
    ca,
    servername: 'localhost',
    minVersion: 'TLSv1.3',
    ciphers: cipher,
    ALPNProtocols: ['http/1.1'],
  })
  await once(socket, 'secureConnect')
  socket.setNoDelay(true)
  read(socket, onAnswer)
  let closing = false
  socket.on('error', (error) => onEnd(error.message))
  socket.on('close', () => {
    if (!closing) onEnd('the server closed a connection')
  })
  return {
    send: (request) => void socket.write(request),
    close: () => {
      closing = true
      socket.destroy()
    },
  }
}

/** Nearly every response arrives in one chunk; the rest is buffered until it is complete. */
function read(socket: TLSSocket, onAnswer: (answer: Answer) => void): void {
  let held: Buffer | null = null
  socket.on('data', (chunk: Buffer) => {
    const bytes: Buffer = held === null ? chunk : Buffer.concat([held, chunk])
    held = bytes
    const end = bytes.indexOf(headEnd)
    if (end < 0) return
    const head = bytes.toString('latin1', 0, end)
    const [, length = ''] = /content-length: (\d+)/i.exec(head) ?? []
    const start = end + headEnd.length
    if (length === '') throw new Error(`response without Content-Length:\n${head}`)
    if (bytes.length < start + Number(length)) return
    held = null
    onAnswer({
      // `HTTP/1.1 200 OK`
      status: Number(head.slice(9, 12)),
      body: () => bytes.toString('utf8', start, start + Number(length)),
    })
  })
}

/** The request as the API server's webhook client sends it: HTTP/1.1, with a timeout in the query. */
export function requestBytes(port: number, body: Buffer, path = '/mutate'): Buffer {
  const head = [
    `POST ${path}?timeout=5s HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    'User-Agent: kube-apiserver-admission',
    `Content-Length: ${body.length}`,
    'Accept: application/json, */*',
    'Content-Type: application/json',
    'Accept-Encoding: gzip',
  ]
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}${headEnd}`), body])
}
