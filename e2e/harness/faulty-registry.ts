/** A registry that responds to every request with one status, for failures that a real registry does not produce on demand. */
import { createServer } from 'node:http'
import { listen } from './servers.ts'

export type FaultyRegistry = {
  url: string
  /** Sets the status of all further responses. */
  respondWith(status: number): void
  close(): Promise<void>
}

/** Starts a faulty registry at the address. It responds with 500 until `respondWith` is called. */
export async function startFaultyRegistry(address: string): Promise<FaultyRegistry> {
  let status = 500
  const server = createServer((_, response) => {
    const challenge = status === 401 ? { 'www-authenticate': 'Basic realm="faulty"' } : {}
    response.writeHead(status, challenge).end()
  })
  const { port, close } = await listen(server, address)
  return {
    url: `http://${address}:${port}`,
    respondWith: (next) => {
      status = next
    },
    close,
  }
}
