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

/** A started process. Its pid alone could be another program's by now, so the time it was started at belongs to it. */
export type ProcessRecord = { name: string; pid: number; startTime: string }

/** What to start. The environment is exactly `env`: a proxy or a registry setting of this shell must not leak in. */
export type ProcessSpec = {
  name: string
  command: string
  args: readonly string[]
  env?: Record<string, string>
}

/** The environment a daemon needs: where its tools are, and a home for those that insist on one. */
const plainEnvironment = {
  PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin:/usr/bin:/bin`,
  HOME: process.env['HOME'] ?? '/',
}

/** Starts a process that outlives this one, with output in RUN/log/NAME.log and a record in RUN/pid for whoever cleans up. */
export async function startProcess(runDir: string, spec: ProcessSpec): Promise<ProcessRecord> {
  const earlier = processRecords(runDir).find(({ name }) => name === spec.name)
  if (earlier && isRunning(earlier)) throw new Error(`${spec.name} runs already, in ${runDir}`)
  mkdirSync(join(runDir, 'log'), { recursive: true })
  mkdirSync(join(runDir, 'pid'), { recursive: true })
  const log = openSync(logFile(runDir, spec.name), 'a')
  const child = spawn(spec.command, spec.args, {
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...plainEnvironment, ...spec.env },
  })
  closeSync(log)
  await once(child, 'spawn')
  child.unref()
  const pid = child.pid ?? 0
  const record = { name: spec.name, pid, startTime: startTimeOf(pid) ?? '' }
  writeFileSync(recordFile(runDir, spec.name), JSON.stringify(record))
  return record
}

/** Stops a process by its record and forgets it. One that does not leave within the grace time is killed. */
export async function stopProcess(
  runDir: string,
  record: ProcessRecord,
  graceMs = 5_000,
): Promise<void> {
  if (graceMs > 0) signal(record, 'SIGTERM')
  try {
    await waitFor(`the end of ${record.name}`, () => !isRunning(record), {
      timeoutMs: graceMs,
      intervalMs: 20,
    })
  } catch {
    await killProcess(record)
  }
  rmSync(recordFile(runDir, record.name), { force: true })
}

/** Kills a process and waits until it is gone. */
export async function killProcess(record: ProcessRecord): Promise<void> {
  signal(record, 'SIGKILL')
  await waitFor(`the end of ${record.name}`, () => !isRunning(record), { intervalMs: 10 })
}

/** The record of a process of this run, or of all of them. A record cut off by a crash names nothing and is skipped. */
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

/** Whether the recorded process, and not a later one with its number, still runs. */
export function isRunning({ pid, startTime }: ProcessRecord): boolean {
  return startTimeOf(pid) === startTime
}

/** When the process was started, in clock ticks since boot; undefined if there is none or it is a zombie. */
export function startTimeOf(pid: number): string | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // The second field is the program's name and may hold spaces; what follows its bracket is fields 3 and on.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
}

/** The last lines a process wrote, for messages about its failure. */
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

/** For `waitFor`: gives up as soon as the process waited for has ended. */
export function exitReason(runDir: string, record: ProcessRecord): () => string | undefined {
  return () =>
    isRunning(record) ? undefined : `${record.name} ended:\n${logTail(runDir, record.name)}`
}

/** Where the output of a process goes. */
export function logFile(runDir: string, name: string): string {
  return join(runDir, 'log', `${name}.log`)
}

/** The lines of a log that are JSON, one object for each. */
export function jsonLines(file: string): Record<string, unknown>[] {
  return (
    readFileSync(file, 'utf8')
      .split('\n')
      // The last one may be half written.
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
    // It ended between the look and the signal.
  }
}
