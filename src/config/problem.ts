/** Problems of a config file: errors and warnings with their place in the file. */

/** A key of a map, or an index of a list. */
export type PathPart = string | number

export interface ConfigProblem {
  readonly severity: 'error' | 'warning'
  /** The path of the value, for example `fallback[1].try[0]`; empty for the whole file. */
  readonly path: string
  /** The first line is 1. Null if the problem has no place, as in an empty file. */
  readonly line: number | null
  readonly column: number | null
  /** What is wrong and how to fix it. */
  readonly message: string
}

/** Adds a problem of the value at a path. */
export type ReportProblem = (
  severity: ConfigProblem['severity'],
  path: readonly PathPart[],
  message: string,
) => void

/** Returns a problem with its path: `fallback[1].try[0]: unknown variable {pth}; …`. */
export function problemText({ path, message }: Pick<ConfigProblem, 'path' | 'message'>): string {
  return path === '' ? message : `${path}: ${message}`
}

/** Returns a problem as compilers write it: `berth.yaml:12:5: error: fallback[1].try[0]: unknown variable {pth}; …`. */
export function formatProblem(file: string, problem: ConfigProblem): string {
  const place = problem.line === null ? file : `${file}:${problem.line}:${problem.column}`
  return `${place}: ${problem.severity}: ${problemText(problem)}`
}
