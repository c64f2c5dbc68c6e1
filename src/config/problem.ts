/** One thing that is wrong, or doubtful, in a config file, and where it stands. */
export interface ConfigProblem {
  readonly severity: 'error' | 'warning'
  /** Where in the structure, for example `fallback[1].try[0]`. */
  readonly path: string
  /** Counted from one; null when the problem has no place, as with an empty file. */
  readonly line: number | null
  readonly column: number | null
  readonly message: string
}

/** `berth.yaml:12:5: error: fallback[1].try[0] has {pth}; templates know …`, as compilers write it. */
export function formatProblem(file: string, problem: ConfigProblem): string {
  const place = problem.line === null ? file : `${file}:${problem.line}:${problem.column}`
  const subject = problem.path === '' ? '' : `${problem.path} `
  return `${place}: ${problem.severity}: ${subject}${problem.message}`
}
