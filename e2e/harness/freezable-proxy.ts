/** A TCP proxy to the API server that can freeze, so that connections stay open and carry no more data, or drop them. */
import { readFileSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { currentCluster } from './cluster.ts'

export type FreezableProxy = {
  /** The path of an administrator's kubeconfig that goes through the proxy. */
  kubeconfig: string
  /** Freezes the open connections; new ones work. */
  freezeOpenConnections(): void
  /** Freezes the open connections and every new one. */
  freeze(): void
  /** Closes the open connections when the API server has sent this many more bytes; new ones work. */
  dropAfter(bytes: number): void
  stop(): void
}

/** Starts a proxy to the API server of the running cluster. */
export async function startFreezableProxy(): Promise<FreezableProxy> {
  const { kubeconfig, runDir } = currentCluster()
  const text = readFileSync(kubeconfig, 'utf8')
  const serverPattern = /https:\/\/[^\s"]+/
  const { hostname, port } = new URL(serverPattern.exec(text)?.[0] ?? '')
  const sockets = new Set<Socket>()
  let isFrozen = false
  let bytesUntilDrop = Infinity
  const freezeOpenConnections = () => {
    for (const socket of sockets) socket.unpipe().pause()
  }
  const proxy = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => sockets.delete(socket))
    }
    upstream.on('data', (chunk: Buffer) => {
      bytesUntilDrop -= chunk.length
      if (bytesUntilDrop > 0) return
      bytesUntilDrop = Infinity
      for (const socket of sockets) socket.destroy()
    })
    if (!isFrozen) client.pipe(upstream).pipe(client)
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const proxyPort = (proxy.address() as AddressInfo).port
  const file = join(runDir, `proxy-${proxyPort}.kubeconfig`)
  writeFileSync(file, text.replace(serverPattern, `https://127.0.0.1:${proxyPort}`))
  return {
    kubeconfig: file,
    freezeOpenConnections,
    freeze: () => {
      isFrozen = true
      freezeOpenConnections()
    },
    dropAfter: (bytes) => (bytesUntilDrop = bytes),
    stop: () => {
      proxy.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
