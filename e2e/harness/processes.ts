/** Processes that outlive the one that started them, with a record and a log in the run directory. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { waitFor } from './wait.ts'

/** A started process. The start time tells it from a later process with the same pid. */
export type ProcessRecord = { name: string; pid: number; startTime: string }

/** What to start. The environment is `env` and a minimum, without the proxy and registry settings of the caller's shell. */
export type ProcessSpec = {
  name: string
  command: string
  args: readonly string[]
  env?: Record<string, string>
}

const { PATH = '', HOME = '/', NODE_COMPILE_CACHE } = process.env

/** The variables that every process gets. */
const minimalEnvironment = {
  PATH: `${PATH}:/usr/sbin:/sbin:/usr/bin:/bin`,
  HOME,
  ...(NODE_COMPILE_CACHE !== undefined && { NODE_COMPILE_CACHE }),
}

/** Starts a process that outlives this one. Its output goes to RUN/log/NAME.log, its record to RUN/pid/NAME.json. */
export async function startProcess(runDir: string, spec: ProcessSpec): Promise<ProcessRecord> {
  const earlier = processRecords(runDir).find(({ name }) => name === spec.name)
  if (earlier && isRunning(earlier)) throw new Error(`${spec.name} is already running in ${runDir}`)
  mkdirSync(join(runDir, 'log'), { recursive: true })
  mkdirSync(join(runDir, 'pid'), { recursive: true })
  const log = openSync(logFile(runDir, spec.name), 'a')
  const child = spawn(spec.command, spec.args, {
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...minimalEnvironment, ...spec.env },
  })
  closeSync(log)
  await once(child, 'spawn')
  child.unref()
  const pid = child.pid ?? 0
  const record = { name: spec.name, pid, startTime: startTimeOf(pid) ?? '' }
  writeFileSync(recordFile(runDir, spec.name), JSON.stringify(record))
  return record
}

/** Stops a process and deletes its record. Kills the process if it is still running after the grace period. */
export async function stopProcess(
  runDir: string,
  record: ProcessRecord,
  graceMs = 5_000,
): Promise<void> {
  if (graceMs > 0) signal(record, 'SIGTERM')
  try {
    await waitFor(`${record.name} to exit`, () => !isRunning(record), {
      timeoutMs: graceMs,
      intervalMs: 20,
    })
  } catch {
    await killProcess(record)
  }
  rmSync(recordFile(runDir, record.name), { force: true })
}

/** Kills a process and waits until it has exited. */
export async function killProcess(record: ProcessRecord): Promise<void> {
  signal(record, 'SIGKILL')
  await waitFor(`${record.name} to exit`, () => !isRunning(record), { intervalMs: 10 })
}

/** Returns the records of all processes of a run. Skips a record that a crash left incomplete. */
export function processRecords(runDir: string): ProcessRecord[] {
  let files: string[]
  try {
    files = readdirSync(join(runDir, 'pid'))
  } catch {
    return []
  }
  return files.flatMap((file) => {
    try {
      return [JSON.parse(readFileSync(join(runDir, 'pid', file), 'utf8')) as ProcessRecord]
    } catch {
      return []
    }
  })
}

/** Whether the recorded process is still running. */
export function isRunning({ pid, startTime }: ProcessRecord): boolean {
  return startTimeOf(pid) === startTime
}

/** Returns when a process started, in clock ticks since boot; undefined if it does not exist or is a zombie. */
export function startTimeOf(pid: number): string | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // The second field, the program's name in brackets, may contain spaces; fields 3 and later follow it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
}

/** Returns the last lines of a process's output. */
function logTail(runDir: string, name: string, lines = 15): string {
  try {
    return readFileSync(logFile(runDir, name), 'utf8')
      .trimEnd()
      .split('\n')
      .slice(-lines)
      .join('\n')
  } catch {
    return '(no log)'
  }
}

/** Returns a `stopReason` for `waitFor`: waiting ends when the process has exited. */
export function exitReason(runDir: string, record: ProcessRecord): () => string | undefined {
  return () =>
    isRunning(record) ? undefined : `${record.name} exited:\n${logTail(runDir, record.name)}`
}

/** Returns the path of a process's output. */
export function logFile(runDir: string, name: string): string {
  return join(runDir, 'log', `${name}.log`)
}

/** Returns the lines of a log that are JSON objects. */
export function jsonLines(file: string): Record<string, unknown>[] {
  return (
    readFileSync(file, 'utf8')
      .split('\n')
      // The last line may be incomplete.
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  )
}

function recordFile(runDir: string, name: string): string {
  return join(runDir, 'pid', `${name}.json`)
}

function signal(record: ProcessRecord, name: 'SIGTERM' | 'SIGKILL'): void {
  if (!isRunning(record)) return
  try {
    process.kill(record.pid, name)
  } catch {
    // It exited since isRunning.
  }
}
