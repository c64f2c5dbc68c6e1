import { once } from 'node:events'
import { createServer } from 'node:net'

/** A TCP port that nothing listens on at the address. It is free now; whoever asked should bind it soon. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  const server = createServer()
  server.listen(0, address)
  await once(server, 'listening')
  const bound = server.address()
  server.close()
  await once(server, 'close')
  if (bound === null || typeof bound === 'string') throw new Error(`no TCP port at ${address}`)
  return bound.port
}

/** Several free ports at one address, all different. */
export async function freePorts(count: number, address = '127.0.0.1'): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) ports.add(await freePort(address))
  return [...ports]
}
