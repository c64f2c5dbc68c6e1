/** Processes under test: started on a core of their own, measured through /proc, stopped by the handle that started them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'

export interface Program {
  readonly command: string
  readonly args: readonly string[]
}

export interface Started {
  readonly pid: number
  /** Null while it runs; else how it ended, and how to see why. */
  readonly end: () => string | null
  /** Asks it to stop, and kills it when it takes longer than a few seconds. */
  stop(): Promise<void>
}

/** /proc counts CPU time in these; Linux has told user space 100 on every architecture for twenty years. */
const ticksPerSecond = 100

const graceMs = 5_000

/**
 * Starts a program on one core. `taskset` becomes the program, so the pid is the program's own. Output goes to /dev/null:
 * every line is made and written, and no reader shares the machine with what is measured.
 */
export function startPinned({ command, args }: Program, core: number): Started {
  return startAnywhere({ command: 'taskset', args: ['-c', String(core), command, ...args] })
}

/** Starts a program on whatever core is free. */
export function startAnywhere({ command, args }: Program): Started {
  const child = spawn(command, args, {
    stdio: 'ignore',
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/' },
  })
  const { pid } = child
  if (pid === undefined) throw new Error(`${command} could not be started`)
  return {
    pid,
    end: () =>
      child.exitCode === null && child.signalCode === null
        ? null
        : `it ended with ${child.exitCode ?? child.signalCode}; to see why: ${[command, ...args].join(' ')}`,
    stop: () => stop(child),
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
  await ended
  clearTimeout(timer)
}

/** CPU seconds that a process has used since its start, all its threads, user and system. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The second field is a name and may hold spaces: what follows its bracket is fields 3 and on.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

/** Seconds that a core was busy since boot, with whatever process. */
export function coreBusySeconds(core: number): number {
  const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'))?.[1]
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (line ?? '')
    .split(' ')
    .map(Number)
  return (user + nice + system + irq + softirq + steal) / ticksPerSecond
}

/** Memory of a process that is in RAM, in bytes. */
export function residentBytes(pid: number): number {
  const [, kilobytes = '0'] =
    /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) * 1024
}

/** Files, sockets and timers that a process has open. */
export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}
