/** A control group with a memory limit, as a container has one. Needs root. */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Program } from './process.ts'

export interface MemoryCgroup {
  /** The program, started in the group. */
  wrap(program: Program): Program
  /** The most memory that the group had, in bytes, with the page cache. */
  peakBytes(): number
  /** Fails while a process is in the group. */
  remove(): void
}

/** The files of both versions: the root of the hierarchy, the limit and the peak. */
const versions = [
  {
    root: '/sys/fs/cgroup/memory',
    limit: 'memory.limit_in_bytes',
    peak: 'memory.max_usage_in_bytes',
  },
  { root: '/sys/fs/cgroup', limit: 'memory.max', peak: 'memory.peak' },
]

/** Creates the group. Throws where this process may not. */
export function createMemoryCgroup(bytes: number): MemoryCgroup {
  const version = versions.find(({ root }) => existsSync(join(root, 'cgroup.procs')))
  if (version === undefined) throw new Error('found no memory hierarchy in /sys/fs/cgroup')
  const group = join(version.root, `berth-bench-${process.pid}`)
  mkdirSync(group)
  writeFileSync(join(group, version.limit), `${bytes}`)
  return {
    wrap: ({ command, args }) => ({
      command: 'sh',
      args: ['-c', 'echo $$ > "$0" && exec "$@"', join(group, 'cgroup.procs'), command, ...args],
    }),
    peakBytes: () => Number(readFileSync(join(group, version.peak), 'utf8')),
    remove: () => rmdirSync(group),
  }
}
