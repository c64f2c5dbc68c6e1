/** Servers in the process of the tests. */
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Listening = {
  port: number
  /** Closes the server and every connection to it. */
  readonly close: () => Promise<void>
}

/** Listens on a port of the address; by default on a free one. */
export async function listen(server: Server, address: string, wanted = 0): Promise<Listening> {
  server.listen(wanted, address)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
