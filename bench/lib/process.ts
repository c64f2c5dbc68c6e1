/** Starts processes on a core, measures them through /proc, and stops them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'

export interface Program {
  readonly command: string
  readonly args: readonly string[]
}

export interface Started {
  readonly pid: number
  /** Null while it runs; otherwise how it ended, and how to find out why. */
  readonly end: () => string | null
  /** Sends SIGTERM, and SIGKILL after a few seconds. */
  stop(): Promise<void>
}

/** Clock ticks per second in /proc (USER_HZ), which is 100 on all architectures of Linux. */
const ticksPerSecond = 100

const graceMs = 5_000

/**
 * Starts a program on one core. `taskset` executes the program in its own process, so the pid is the program's. Output
 * goes to /dev/null: the program writes every line, but no reader takes CPU time from the measurement.
 */
export function startPinned(
  { command, args }: Program,
  core: number,
  options?: StartOptions,
): Started {
  return startAnywhere(
    { command: 'taskset', args: ['-c', String(core), command, ...args] },
    options,
  )
}

export interface StartOptions {
  /** True: standard error goes to a pipe that is never read. */
  readonly isErrorPiped?: boolean
}

/** Starts a program on any core. */
export function startAnywhere(
  { command, args }: Program,
  { isErrorPiped = false }: StartOptions = {},
): Started {
  const child = spawn(command, args, {
    stdio: ['ignore', 'ignore', isErrorPiped ? 'pipe' : 'ignore'],
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/' },
  })
  const { pid } = child
  if (pid === undefined) throw new Error(`cannot start ${command}`)
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

/** CPU seconds of a process since its start: all threads, user and system time. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The second field is a name in parentheses, which may contain spaces. Field 3 follows the closing parenthesis.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

/** Seconds that a core was busy since boot, with any process. */
export function coreBusySeconds(core: number): number {
  const line = new RegExp(`^cpu${core} (.*)$`, 'm').exec(readFileSync('/proc/stat', 'utf8'))?.[1]
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = (line ?? '')
    .split(' ')
    .map(Number)
  return (user + nice + system + irq + softirq + steal) / ticksPerSecond
}

/** Resident memory of a process, in bytes. */
export function residentBytes(pid: number): number {
  return statusBytes(pid, 'VmRSS')
}

/** The most resident memory that a process has had, in bytes. */
export function peakResidentBytes(pid: number): number {
  return statusBytes(pid, 'VmHWM')
}

function statusBytes(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const [, kilobytes = '0'] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status) ?? []
  return Number(kilobytes) * 1024
}

/** The number of open file descriptors of a process. */
export function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}
