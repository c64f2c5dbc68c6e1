/** A registry that answers every request with one status: what the real one will not do on demand. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export type FaultyRegistry = {
  url: string
  respondWith(status: number): void
  close(): Promise<void>
}

/** Starts one at the address; it answers 500 until told otherwise. */
export async function startFaultyRegistry(address: string): Promise<FaultyRegistry> {
  let status = 500
  const server = createServer((_, response) => {
    const challenge = status === 401 ? { 'www-authenticate': 'Basic realm="faulty"' } : {}
    response.writeHead(status, challenge).end()
  })
  server.listen(0, address)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${address}:${port}`,
    respondWith: (next) => {
      status = next
    },
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
