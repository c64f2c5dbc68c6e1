/** An HTTPS server that forwards each request to the next of several servers, as a Service with several pods does. */
import { createServer, request as sendRequest } from 'node:https'
import { type Listening, listen } from './servers.ts'

export type BalancerOptions = {
  address: string
  port: number
  /** PEM. The servers have a certificate of the same CA. */
  cert: string
  key: string
  ca: string
  ports: readonly number[]
}

export async function startBalancer(options: BalancerOptions): Promise<Listening> {
  const { address, port: publicPort, cert, key, ca, ports } = options
  let requests = 0
  const server = createServer({ cert, key }, (request, response) => {
    const { method, url: path, headers } = request
    const port = ports[requests % ports.length]
    requests += 1
    const forwarded = sendRequest({ host: address, port, ca, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    forwarded.on('error', () => response.destroy())
    request.pipe(forwarded)
  })
  return listen(server, address, publicPort)
}
