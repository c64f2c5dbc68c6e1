/**
 * Closes connections that send a request too slowly (with 408) or do not read the response. Node's own limits start when the
 * connection opens: a connection that an API server opened in a burst and did not use would get 408 after some seconds,
 * perhaps just when it is used. Here the time starts with the first byte of a request.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export interface RequestTimeoutOptions {
  readonly now: () => number
  /** Milliseconds from the first byte of a request to the end of its headers. */
  readonly headersMs: number
  /** Milliseconds from the first byte of a request to its last. */
  readonly requestMs: number
  /** Milliseconds from the headers of a request until the caller has read the response. */
  readonly answerMs: number
  /** Milliseconds between two checks: how much later than its limit a request may end. */
  readonly checkEveryMs: number
}

interface Connection {
  /**
   * The last request whose headers have arrived; null once all of it has arrived and is answered. An idle connection would keep
   * its listeners in memory, and with them its body.
   */
  request: IncomingMessage | null
  /** When the request that is arriving began; null while none is. */
  since: number | null
  /** Bytes received when the connection was last seen idle; null while a request is arriving. */
  idleAt: number | null
  /** The number of requests whose response the caller has not read yet. */
  unanswered: number
  /** When the headers of the first of them arrived, or when the caller has read the response before it; null if there is none. */
  unansweredSince: number | null
}

/** Checks the connections of a server until it closes. */
export function enforceRequestTimeouts(server: Server, options: RequestTimeoutOptions): void {
  const { now, checkEveryMs } = options
  const connections = new Map<Socket, Connection>()
  server.on('secureConnection', (socket: Socket) => {
    connections.set(socket, {
      request: null,
      since: null,
      idleAt: 0,
      unanswered: 0,
      unansweredSince: null,
    })
    socket.once('close', () => connections.delete(socket))
  })
  server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    const connection = connections.get(request.socket)
    if (connection === undefined) return
    connection.request = request
    // A check has seen slow headers begin; otherwise `since` belongs to the previous request.
    if (connection.idleAt === null || connection.since === null) connection.since = now()
    connection.idleAt = null
    connection.unanswered += 1
    connection.unansweredSince ??= now()
    response.once('close', () => {
      connection.unanswered -= 1
      connection.unansweredSince = connection.unanswered === 0 ? null : now()
      if (request.complete && connection.request === request) connection.request = null
    })
  })
  const timer = setInterval(() => {
    for (const [socket, connection] of connections)
      if (isLate(socket, connection, options)) server.emit('clientError', timeoutError(), socket)
  }, checkEveryMs).unref()
  server.once('close', () => clearInterval(timer))
}

function isLate(
  socket: Socket,
  connection: Connection,
  { now, headersMs, requestMs, answerMs }: RequestTimeoutOptions,
): boolean {
  const { request, unansweredSince } = connection
  if (unansweredSince !== null && now() - unansweredSince >= answerMs) return true
  if (request?.complete === false) return now() - (connection.since ?? now()) >= requestMs
  if (connection.idleAt === null) {
    // Bytes of a next request that arrived before this check count as idle; its time begins with the next byte.
    connection.idleAt = socket.bytesRead
    connection.since = null
  }
  if (socket.bytesRead === connection.idleAt) return false
  connection.since ??= now()
  return now() - connection.since >= headersMs
}

/** The error that Node emits for its own limits; fastify answers it with 408. */
function timeoutError(): Error {
  return Object.assign(new Error('the request was sent too slowly'), {
    code: 'ERR_HTTP_REQUEST_TIMEOUT',
  })
}
