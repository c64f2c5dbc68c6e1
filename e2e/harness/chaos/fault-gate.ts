/** An HTTP proxy in front of a registry that answers for it, delays it or breaks its connections. */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { listen } from '../servers.ts'

/** `pass` forwards; `hang` never answers; `slow` forwards after a second and a half; `reset` breaks the connection. */
export type GateMode = 'pass' | 'hang' | 'slow' | 'reset' | 503 | 429

export type FaultGate = {
  url: string
  port: number
  /** Sets what happens to all further requests. */
  set(mode: GateMode): void
  close(): Promise<void>
}

/** Less than the two seconds that Berth waits for a probe. */
const slowMs = 1_500

/** Starts a gate in front of the server at `port` of the address. */
export async function startFaultGate(address: string, targetPort: number): Promise<FaultGate> {
  let mode: GateMode = 'pass'
  const forward = (incoming: IncomingMessage, response: ServerResponse) => {
    const { method, url: path, headers } = incoming
    const to = { host: address, port: targetPort, method, path, headers }
    const forwarded = request(to, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    forwarded.on('error', () => response.destroy())
    incoming.pipe(forwarded)
  }
  const server = createServer((incoming, response) => {
    if (mode === 'pass') forward(incoming, response)
    else if (mode === 'slow') setTimeout(() => forward(incoming, response), slowMs)
    else if (mode === 'reset') incoming.socket.destroy()
    else if (mode === 429) response.writeHead(429, { 'retry-after': '2' }).end()
    else if (mode === 503) response.writeHead(503).end()
  })
  const { port, close } = await listen(server, address)
  return { url: `http://${address}:${port}`, port, set: (next) => (mode = next), close }
}
