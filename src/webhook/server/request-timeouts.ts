/**
 * Ends the connections of those who send too slowly, and of nobody else. Node's own limits count from the moment at which
 * a connection opens: one that an API server opened in a burst and did not need would be answered with 408 after some
 * seconds, in the very moment perhaps in which it is used. Here the time begins with the first byte.
 */
import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'

export interface RequestTimeoutOptions {
  readonly now: () => number
  /** Milliseconds from the first byte of a request to the end of its headers. */
  readonly headersMs: number
  /** Milliseconds from the first byte of a request to its last. */
  readonly requestMs: number
  /** Milliseconds between two looks: what a sender may take beyond its limit. */
  readonly lookEveryMs: number
}

interface Connection {
  /** The last request whose headers are there. */
  request: IncomingMessage | null
  /** When what is being sent began; null while nothing is. */
  since: number | null
  /** Bytes that had come when nothing was being sent; null until that was looked at. */
  quietAt: number | null
}

export interface RequestTimeouts {
  /** Told of every request, as soon as its headers are there. */
  began(request: IncomingMessage): void
}

/** Watches the connections of a server for as long as it listens. */
export function enforceRequestTimeouts(
  server: Server,
  options: RequestTimeoutOptions,
): RequestTimeouts {
  const { now, lookEveryMs } = options
  const connections = new Map<Socket, Connection>()
  server.on('secureConnection', (socket: Socket) => {
    connections.set(socket, { request: null, since: null, quietAt: 0 })
    socket.once('close', () => connections.delete(socket))
  })
  const timer = setInterval(() => {
    for (const [socket, connection] of connections) {
      if (isLate(socket, connection, options)) server.emit('clientError', timedOut(), socket)
    }
  }, lookEveryMs).unref()
  server.once('close', () => clearInterval(timer))
  return {
    began: (request) => {
      const connection = connections.get(request.socket)
      if (connection === undefined) return
      connection.request = request
      // Slow headers have been seen to begin; else what is known is of the request before.
      if (connection.quietAt === null || connection.since === null) connection.since = now()
      connection.quietAt = null
    },
  }
}

function isLate(
  socket: Socket,
  connection: Connection,
  { now, headersMs, requestMs }: RequestTimeoutOptions,
): boolean {
  const { request } = connection
  if (request?.complete === false) return now() - (connection.since ?? now()) >= requestMs
  if (connection.quietAt === null) {
    // What of another request has come by now is not seen: it is as quiet as a connection that is kept.
    connection.quietAt = socket.bytesRead
    connection.since = null
  }
  if (socket.bytesRead === connection.quietAt) return false
  connection.since ??= now()
  return now() - connection.since >= headersMs
}

/** What Node says of its own limits, and what a 408 is made of. */
function timedOut(): Error {
  return Object.assign(new Error('the request was sent too slowly'), {
    code: 'ERR_HTTP_REQUEST_TIMEOUT',
  })
}
