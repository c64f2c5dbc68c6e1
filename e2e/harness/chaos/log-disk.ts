/** A small separate disk for the logs of containers, which can be filled. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { currentCluster } from '../cluster.ts'
import { run, runOk } from '../command.ts'
import { processRecords, type ProcessRecord } from '../processes.ts'

export type LogDisk = {
  /** Fills the disk: no container can write a log line. */
  fill(): Promise<void>
  empty(): Promise<void>
  /** Returns the logs of Berth's containers, by path. */
  logs(): Record<string, string>
  unmount(): Promise<void>
}

/** Room for an hour of the stream. The kubelet rotates larger logs. */
const megabytes = 256

/** Mounts the disk where containerd and the kubelet see it. Pods that run already keep the files that they have open. */
export async function mountLogDisk(): Promise<LogDisk> {
  const { pid } = containerdRecord()
  const directory = join(currentCluster().runDir, 'pod-logs')
  const mounts = [`--mount=/proc/${pid}/ns/mnt`, '--']
  const fillFile = join(directory, 'fill')
  const inside = (...command: string[]) => runOk('nsenter', [...mounts, ...command])
  await inside('mkdir', '-p', directory)
  await inside('mount', '-n', '-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', directory)
  return {
    fill: async () => {
      // It ends when there is no space left.
      const { code } = await run('nsenter', [
        ...mounts,
        'dd',
        'if=/dev/zero',
        `of=${fillFile}`,
        'bs=64k',
      ])
      if (code === 0) throw new Error('the disk of the logs is not full')
    },
    empty: () => inside('rm', '-f', fillFile).then(() => undefined),
    logs: () => readLogs(`/proc/${pid}/root${directory}`),
    unmount: () => inside('umount', '-n', '-l', directory).then(() => undefined),
  }
}

/** Returns the process of containerd, which copies the output of containers into their logs. */
export function containerdRecord(): ProcessRecord {
  const record = processRecords(currentCluster().runDir).find(({ name }) => name === 'containerd')
  if (record === undefined) throw new Error('containerd is not running')
  return record
}

function readLogs(directory: string): Record<string, string> {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' })
  const logs = files.filter(
    (file) => file.startsWith('berth-system_berth-') && file.includes('.log'),
  )
  return Object.fromEntries(
    logs.map((file) => [file, readFileSync(join(directory, file), 'latin1')]),
  )
}
