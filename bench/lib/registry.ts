/** A minimal registry on loopback. It has every image, and can be slow or fail. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface BenchRegistry {
  readonly url: string
  /** The number of requests. */
  readonly asked: () => number
  /** The delay of each response. */
  delay(milliseconds: number): void
  /** Null: every image exists. Otherwise the status of every response. */
  failWith(status: number | null): void
  /** Requests with this text in the path get this status. */
  failFor(text: string, status: number): void
  close(): Promise<void>
}

const mediaType = 'application/vnd.oci.image.index.v1+json'

/** A constant digest for each name. No one requests the manifest itself. */
export async function startRegistry(): Promise<BenchRegistry> {
  let asked = 0
  let delayMs = 0
  let failure: number | null = null
  let broken: { readonly text: string; readonly status: number } | null = null
  const server = createServer((request, response) => {
    asked++
    const answer = () => {
      if (failure !== null) return void response.writeHead(failure).end()
      if (broken !== null && request.url?.includes(broken.text) === true)
        return void response.writeHead(broken.status).end()
      const digest = createHash('sha256')
        .update(request.url ?? '')
        .digest('hex')
      response
        .writeHead(200, {
          'content-type': mediaType,
          'content-length': 1_024,
          'docker-content-digest': `sha256:${digest}`,
        })
        .end()
    }
    if (delayMs === 0) answer()
    else setTimeout(answer, delayMs)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    asked: () => asked,
    delay: (milliseconds) => {
      delayMs = milliseconds
    },
    failWith: (status) => {
      failure = status
    },
    failFor: (text, status) => {
      broken = { text, status }
    },
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
