/** Runs containerd with the configuration of a case, and records which servers it asks for an image. Needs root. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  image,
  type ConfigAnswer,
  type ConfigCase,
} from '../../../test/nodes/read/containerd-config-cases.ts'
import { pullThroughCri } from './cri-client.ts'

/** containerd starts in a second. A busy machine takes longer. */
const startTimeoutMs = 90_000

/** containerd stops in less than a second. */
const stopTimeoutMs = 10_000

/** Replaces /etc with that of the case. containerd also makes /opt/containerd and sockets in /run. */
const script = `set -e
case=$1 program=$2 work=$3
for dir in /etc/containerd /etc/docker /opt /run; do
  mkdir -p $dir
  mount -n -t tmpfs tmpfs $dir
done
cp -r "$case/etc/." /etc/
exec "$program" --root "$work/root" --state "$work/state" --address "$work/containerd.sock"`

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
  const server: Server = createServer((request, response) => {
    const [, first = ''] = (request.url ?? '').split('/')
    record(first.endsWith(':') ? 'upstream' : first)
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
  const work = mkdtempSync(join(tmpdir(), 'berth-containerd-'))
  recorder.asked.length = 0
  mkdirSync(join(work, 'case/etc'), { recursive: true })
  for (const [path, text] of Object.entries(files)) {
    const file = join(work, 'case', path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text.replaceAll('SERVER', recorder.url))
  }
  const args = ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh']
  const child = spawn('unshare', [...args, join(work, 'case'), program, work], {
    env: {
      PATH: process.env['PATH'],
      HTTP_PROXY: recorder.url,
      HTTPS_PROXY: recorder.url,
      NO_PROXY: '127.0.0.1',
    },
    stdio: ['ignore', 'ignore', process.env['DEBUG'] === undefined ? 'ignore' : 'inherit'],
  })
  const exited = once(child, 'exit')
  try {
    return await pull(join(work, 'containerd.sock'), () => child.exitCode !== null, recorder)
  } finally {
    child.kill('SIGTERM')
    await Promise.race([exited, sleep(stopTimeoutMs).then(() => child.kill('SIGKILL'))])
    await exited
    rmSync(work, { recursive: true, force: true })
  }
}

async function pull(
  socket: string,
  hasExited: () => boolean,
  { asked }: Recorder,
): Promise<ConfigAnswer> {
  const end = performance.now() + startTimeoutMs
  while (performance.now() < end) {
    const attempt = await pullThroughCri(socket, image)
    if (attempt === 'tried') return { asked: [...asked] }
    if (attempt === 'no CRI') return { error: 'the CRI service does not start' }
    if (hasExited()) return { error: 'containerd does not start' }
    await sleep(50)
  }
  throw new Error('containerd does not answer')
}
