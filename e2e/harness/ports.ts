/** Free TCP ports. */
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Returns a TCP port that is free at the address. Bind it soon: nothing reserves it. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  const server = createServer()
  server.listen(0, address)
  await once(server, 'listening')
  const bound = server.address()
  server.close()
  await once(server, 'close')
  if (bound === null || typeof bound === 'string')
    throw new Error(`found no free TCP port at ${address}`)
  return bound.port
}

/** Returns several different free ports at one address. */
export async function freePorts(count: number, address = '127.0.0.1'): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) ports.add(await freePort(address))
  return [...ports]
}
