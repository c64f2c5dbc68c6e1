/** Describes the machine of a run, and assigns its cores. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/** The server has one core to itself, so that results are per core. Everything else shares the other one. */
export const serverCore = 0
export const loadCore = 1

/** One line for the head of a report. */
export function describeMachine(): string {
  const [, model = 'unknown processor'] =
    /^model name\s*: (.+)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8')) ?? []
  const go = goVersion()
  return [
    `${availableParallelism()} cores, ${model}`,
    `Node ${process.versions.node}`,
    go === null ? 'no Go' : `Go ${go}`,
  ].join('; ')
}

/** The version of Go in the PATH, or null. */
export function goVersion(): string | null {
  try {
    const [, version = null] =
      /go(\d\S*)/.exec(execFileSync('go', ['version'], { encoding: 'utf8' })) ?? []
    return version
  } catch {
    return null
  }
}

/** Pins this process, and the processes that it starts later, to the core of the load. */
export function pinLoad(): void {
  execFileSync(
    'taskset',
    ['--all-tasks', '--cpu-list', '--pid', String(loadCore), String(process.pid)],
    {
      stdio: 'ignore',
    },
  )
}

/** Returns why this machine cannot pin processes to cores, or null if it can. */
export function pinningObstacle(): string | null {
  if (process.platform !== 'linux') return 'figures are read from /proc, which only Linux has'
  if (availableParallelism() < 2) return 'server and load need a core each, and this is one'
  try {
    execFileSync('taskset', ['--version'])
    return null
  } catch {
    return 'there is no taskset (util-linux) in PATH'
  }
}
