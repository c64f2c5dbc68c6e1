/** One keep-alive connection of the load generator: a prebuilt request out, an answer in, and nothing parsed twice. */
import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'

export interface Target {
  readonly port: number
  readonly ca: string
}

export interface Connection {
  /** Sends the request; `onAnswer` is called with the answer. One at a time. */
  send(request: Buffer): void
  close(): void
}

export interface Answer {
  readonly status: number
  readonly body: () => string
}

export interface ConnectionEvents {
  readonly onAnswer: (answer: Answer) => void
  /** The server closed the connection, or it broke: never expected. */
  readonly onEnd: (reason: string) => void
}

/** Go's and Node's servers prefer different ciphers, so the client leaves no choice: the one that an API server lists first. */
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

/** Answers are whole in one chunk nearly always; what is not is kept until the rest comes. */
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
    if (length === '') throw new Error(`an answer without Content-Length:\n${head}`)
    if (bytes.length < start + Number(length)) return
    held = null
    onAnswer({
      // `HTTP/1.1 200 OK`
      status: Number(head.slice(9, 12)),
      body: () => bytes.toString('utf8', start, start + Number(length)),
    })
  })
}

/** The request as an API server writes it (apiserver, webhook client): HTTP/1.1 and a timeout in the query. */
export function requestBytes(port: number, body: Buffer): Buffer {
  const head = [
    'POST /mutate?timeout=5s HTTP/1.1',
    `Host: 127.0.0.1:${port}`,
    'User-Agent: kube-apiserver-admission',
    `Content-Length: ${body.length}`,
    'Accept: application/json, */*',
    'Content-Type: application/json',
    'Accept-Encoding: gzip',
  ]
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}${headEnd}`), body])
}
