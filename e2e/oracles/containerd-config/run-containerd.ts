/** Runs containerd with the configuration of a case, and records which servers it asks for an image. Needs root. */
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  type ConfigAnswer,
  type ConfigCase,
  image,
} from '../../../test/nodes/read/containerd-config-cases.ts'
import { startContainerd } from '../../harness/containerd-process.ts'
import { pullThroughCri } from '../../harness/cri-client.ts'

export interface Recorder {
  readonly url: string
  /** The first parts of the paths that were asked, in order and once each; `upstream` for any other server. */
  readonly asked: string[]
  close(): Promise<void>
}

/** Starts a server that has nothing. It is also the proxy through which containerd asks every other server. */
export async function startRecorder(): Promise<Recorder> {
  const asked: string[] = []
  const record = (name: string) => {
    if (!asked.includes(name)) asked.push(name)
  }
  const server = createServer((request, response) => {
    const [, first = ''] = (request.url ?? '').split('/')
    record(first)
    response.writeHead(404).end()
  })
  server.on('connect', (_, socket) => {
    record('upstream')
    socket.end('HTTP/1.1 404 Not Found\r\n\r\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Returns which servers a version of containerd asks with the files of a case, or how it fails. */
export async function askContainerd(
  program: string,
  { files }: ConfigCase,
  recorder: Recorder,
): Promise<ConfigAnswer> {
  const root = mkdtempSync(join(tmpdir(), 'berth-containerd-case-'))
  recorder.asked.length = 0
  mkdirSync(join(root, 'etc'))
  for (const [path, text] of Object.entries(files)) {
    const file = join(root, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text.replaceAll('SERVER', recorder.url))
  }
  const containerd = startContainerd(program, root, recorder.url)
  try {
    const failure = await containerd.ready()
    if (failure !== null) return { error: failure }
    await pullThroughCri(containerd.socket, image)
    return { asked: [...recorder.asked] }
  } finally {
    await containerd.stop()
    rmSync(root, { recursive: true, force: true })
  }
}
