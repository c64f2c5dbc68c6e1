/** What a hostile neighbour sends to the reviews' port. The soak test uses it too. */
import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'

export interface HostileTarget {
  readonly port: number
  readonly ca: string
  /** The address of the neighbour: each address of 127.0.0.0/8 is another caller. */
  readonly from: string
}

/** Opens a connection and sends nothing. The server may close it at any time. Resolves when it is open or closed. */
async function openIdle({ port, ca, from }: HostileTarget): Promise<TLSSocket> {
  const options = { host: '127.0.0.1', port, ca, servername: 'localhost', localAddress: from }
  const socket = connect(options)
  socket.on('error', () => undefined).resume()
  await Promise.race([once(socket, 'secureConnect'), once(socket, 'close')]).catch(() => undefined)
  return socket
}

/** Opens connections, some at the same time. */
export async function openMany(target: HostileTarget, count: number): Promise<TLSSocket[]> {
  const sockets: TLSSocket[] = []
  const openNext = async () => {
    while (sockets.length < count) {
      const position = sockets.push(null as unknown as TLSSocket) - 1
      sockets[position] = await openIdle(target)
    }
  }
  await Promise.all(Array.from({ length: 16 }, openNext))
  return sockets
}

function headOf(bytes: number): string {
  return `POST /mutate?timeout=10s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${bytes}\r\n\r\n`
}

/** Sends a body without its last byte. */
export function sendUnfinished(socket: TLSSocket, bytes: number): void {
  socket.write(headOf(bytes))
  socket.write(Buffer.alloc(bytes - 1, ' '))
}

/** Sends a body on a connection, and returns the status; null if the connection ends without one. */
export async function sendBody(target: HostileTarget, body: Buffer): Promise<number | null> {
  const socket = await openIdle(target)
  const answer = Promise.race([
    once(socket, 'data').then(([chunk]) => Number(String(chunk).slice(9, 12))),
    once(socket, 'close').then(() => null),
  ]).catch(() => null)
  socket.write(headOf(body.length))
  socket.write(body)
  const status = await answer
  socket.destroy()
  return status
}

const bodyBytes = 8 * 1024 * 1024

/** Bodies that are small as text and large as values. */
export const largeValues: Readonly<Record<string, Buffer>> = {
  'nested arrays': Buffer.alloc(bodyBytes, '['),
  'empty objects': Buffer.from(`[${'{},'.repeat(bodyBytes / 3 - 2)}{}]`),
  'empty arrays': Buffer.from(`[${'[],'.repeat(bodyBytes / 3 - 2)}[]]`),
  'different keys': Buffer.from(
    `[${Array.from({ length: 700_000 }, (_, index) => `{"${index.toString(36)}":1}`).join()}]`,
  ),
}
