/** Connections that stay open after a HEAD, and servers that do not allow for it. */
import type { Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { ask, createClient, registryAt } from '../../support/manifest-source.ts'
import { type SocketAnswer, startSocketServer } from '../../support/socket-server.ts'

const open: { close(): Promise<void> }[] = []

afterEach(async () => {
  for (const each of open.splice(0)) await each.close()
})

const digest = `sha256:${'a'.repeat(64)}`
const type = 'application/vnd.oci.image.manifest.v1+json'
const found = `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nDocker-Content-Digest: ${digest}\r\nContent-Length: 7\r\n\r\n`

/** Starts a registry whose connections are counted. */
async function start(answer: (socket: Socket, request: number) => void) {
  const sockets = new Set<Socket>()
  let requests = 0
  const handle: SocketAnswer = () => (socket) => {
    sockets.add(socket)
    requests += 1
    answer(socket, requests)
  }
  const server = await startSocketServer(handle)
  const client = createClient([registryAt(server.url)])
  open.push(client, server)
  const query = (reference: string) => ask(client, server.host, { reference })
  return { server, query, connections: () => sockets.size }
}

describe('a connection', () => {
  it('is used again after a HEAD', async () => {
    const { query, connections } = await start((socket) => socket.write(found))
    for (let reference = 1; reference <= 10; reference++)
      expect(await query(`${reference}`)).toMatchObject({ outcome: 'found', digest })

    // undici waits one pass of the event loop before it uses a connection again, and opens a second one meanwhile.
    expect(connections()).toBeLessThanOrEqual(2)
  })

  it('is replaced when the server closes it instead of answering', async () => {
    const { server, query, connections } = await start((socket, request) => {
      if (request === 2) socket.destroy()
      else socket.write(found)
    })
    await query('1')

    expect(await query('2')).toMatchObject({ outcome: 'found', digest })
    expect(connections()).toBe(2)
    expect(server.requests).toHaveLength(3)
  })

  it('is replaced when the server sends a body after a HEAD', async () => {
    const { query } = await start((socket) => socket.write(`${found}{"a":1}`))
    for (const reference of ['1', '2', '3'])
      expect(await query(reference)).toMatchObject({ outcome: 'found', digest })
  })

  it('is replaced when the body of a HEAD arrives in place of the next response', async () => {
    const { query, connections } = await start((socket, request) => {
      socket.write(request === 2 ? '{"a":1}' : found)
    })
    await query('1')

    expect(await query('2')).toMatchObject({ outcome: 'found', digest })
    expect(connections()).toBe(2)
  })

  it('is tried no more than twice', async () => {
    const { server, query } = await start((socket) => socket.destroy())

    expect(await query('1')).toMatchObject({ outcome: 'unreachable' })
    expect(server.requests).toHaveLength(2)
  })
})
