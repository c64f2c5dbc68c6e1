/** A containerd in its own mount namespace, with the configuration of a directory. Needs root. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { listThroughCri } from './cri-client.ts'

/** containerd starts in a second. A busy machine takes longer. */
const startTimeoutMs = 90_000

/** containerd stops in less than a second. */
const stopTimeoutMs = 10_000

/** Replaces the directories in /etc with those of the root. containerd also makes /opt/containerd and sockets in /run. */
const script = `set -e
root=$1 program=$2 work=$3
for dir in /etc/containerd /etc/docker /opt /run; do
  mkdir -p $dir
  mount -n -t tmpfs tmpfs $dir
done
cp -r "$root/etc/." /etc/
exec "$program" --root "$work/root" --state "$work/state" --address "$work/containerd.sock"`

/** Why containerd does not serve the kubelet. */
export type StartFailure = 'containerd does not start' | 'the CRI service does not start'

export interface ContainerdProcess {
  readonly socket: string
  /** Waits until the CRI service answers. Returns null, or why it never will. */
  ready(): Promise<StartFailure | null>
  /** Also removes what containerd has stored. */
  stop(): Promise<void>
}

/** `root` has the files below `etc`. `proxy`: the proxy for all servers but those on loopback; default: none. */
export function startContainerd(
  program: string,
  root: string,
  proxy = 'http://127.0.0.1:1',
): ContainerdProcess {
  const work = mkdtempSync(join(tmpdir(), 'berth-containerd-'))
  const socket = join(work, 'containerd.sock')
  const args = ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh']
  const child = spawn('unshare', [...args, root, program, work], {
    env: {
      PATH: process.env['PATH'],
      HTTP_PROXY: proxy,
      HTTPS_PROXY: proxy,
      NO_PROXY: '127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16',
    },
    stdio: ['ignore', 'ignore', process.env['DEBUG'] === undefined ? 'ignore' : 'inherit'],
  })
  const exited = once(child, 'exit')
  return {
    socket,
    ready: () => waitForCri(socket, () => child.exitCode !== null),
    stop: async () => {
      child.kill('SIGTERM')
      await Promise.race([exited, sleep(stopTimeoutMs).then(() => child.kill('SIGKILL'))])
      await exited
      rmSync(work, { recursive: true, force: true })
    },
  }
}

async function waitForCri(socket: string, hasExited: () => boolean): Promise<StartFailure | null> {
  const end = performance.now() + startTimeoutMs
  while (performance.now() < end) {
    const answer = await listThroughCri(socket)
    if (answer === 'no CRI') return 'the CRI service does not start'
    if (answer !== 'no answer') return null
    if (hasExited()) return 'containerd does not start'
    await sleep(50)
  }
  throw new Error('containerd does not answer')
}
