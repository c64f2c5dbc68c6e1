/** The machine that a run took place on, and which of its cores does what. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/** The server has a core to itself, so that its figures are one core's; everything else shares the other. */
export const serverCore = 0
export const loadCore = 1

/** One line for the head of a report: figures mean nothing without it. */
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

/** The version of the Go that is in PATH; null without one. */
export function goVersion(): string | null {
  try {
    const [, version = null] =
      /go(\d\S*)/.exec(execFileSync('go', ['version'], { encoding: 'utf8' })) ?? []
    return version
  } catch {
    return null
  }
}

/** Says why this machine cannot run the benchmarks that pin processes to cores; null when it can. */
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
