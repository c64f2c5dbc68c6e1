/**
 * Limits the connections of an HTTP server. At the limit, an idle connection makes room for a new one, so that a caller that
 * opens many connections and sends nothing does not keep others out.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export interface ConnectionLimits {
  readonly total: number
  /** Connections from one address. */
  readonly perCaller: number
}

interface Connection {
  /** The TCP socket and the TLS socket of one connection have the same. */
  readonly name: string
  /** The TCP socket. */
  readonly socket: Socket
  readonly caller: string
  /** The number of requests without a response yet. */
  requests: number
}

/**
 * Applies the limits to a server that does not listen yet. A connection is idle while it has no request, also during its
 * handshake. At a limit, closes the oldest idle connection of the caller with the most connections.
 */
export function limitConnections(server: Server, { total, perCaller }: ConnectionLimits): void {
  const connections = new Map<string, Connection>()
  /** By TCP socket, and by TLS socket. */
  const bySocket = new WeakMap<Socket, Connection>()
  const callers = new Map<string, number>()
  /** In the order in which they became idle. */
  const idle = new Set<Connection>()
  const countOf = ({ caller }: Connection) => callers.get(caller) ?? 0

  function forget(connection: Connection): void {
    if (!connections.delete(connection.name)) return
    idle.delete(connection)
    const left = countOf(connection) - 1
    if (left === 0) callers.delete(connection.caller)
    else callers.set(connection.caller, left)
  }

  function findIdle(isEligible: (connection: Connection) => boolean): Connection | undefined {
    let found: Connection | undefined
    for (const connection of idle)
      if (isEligible(connection) && (found === undefined || countOf(connection) > countOf(found)))
        found = connection
    return found
  }

  /** Returns the connection to close before another one of this caller is accepted; that one itself if none is idle. */
  function findVictim(connection: Connection): Connection | null {
    if (countOf(connection) >= perCaller)
      return findIdle(({ caller }) => caller === connection.caller) ?? connection
    return connections.size < total ? null : (findIdle(() => true) ?? connection)
  }

  server.on('connection', (socket: Socket) => {
    const connection: Connection = {
      name: nameOf(socket),
      socket,
      caller: socket.remoteAddress ?? '',
      requests: 0,
    }
    const victim = findVictim(connection)
    if (victim !== null) {
      forget(victim)
      victim.socket.destroy()
    }
    if (victim === connection) return
    connections.set(connection.name, connection)
    bySocket.set(socket, connection)
    callers.set(connection.caller, countOf(connection) + 1)
    idle.add(connection)
    socket.once('close', () => forget(connection))
  })
  server.on('secureConnection', (socket: Socket) => {
    const connection = connections.get(nameOf(socket))
    if (connection !== undefined) bySocket.set(socket, connection)
  })
  server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const connection = bySocket.get(socket)
    if (connection === undefined) return
    connection.requests += 1
    idle.delete(connection)
    response.once('close', () => {
      connection.requests -= 1
      if (connection.requests === 0 && connections.has(connection.name)) idle.add(connection)
    })
  })
}

function nameOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`
}
