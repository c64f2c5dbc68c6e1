/** Collects the problems of a config file, up to a limit. */
import type { ConfigProblem, ReportProblem } from './problem.ts'
import type { YamlDocument } from './yaml-document.ts'

type Severity = ConfigProblem['severity']

/** The limit for errors, and for warnings. One mistake in a template can cause a problem for each of 8,000 rows. */
const maxProblems = 100

export interface ProblemList {
  readonly report: ReportProblem
  hasErrors(): boolean
  /** Returns the problems in the order in which they were reported, and how many more there are. */
  list(): ConfigProblem[]
}

export function createProblemList(document: Pick<YamlDocument, 'problemAt'>): ProblemList {
  const problems: ConfigProblem[] = []
  const counts: Record<Severity, number> = { error: 0, warning: 0 }
  const more = (severity: Severity): ConfigProblem[] => {
    const left = counts[severity] - maxProblems
    const message = `${left} more ${severity}s are not shown`
    return left > 0 ? [{ severity, path: '', line: null, column: null, message }] : []
  }
  return {
    report: (severity, path, message) => {
      counts[severity] += 1
      if (counts[severity] <= maxProblems)
        problems.push(document.problemAt(severity, path, message))
    },
    hasErrors: () => counts.error > 0,
    list: () => [...problems, ...more('error'), ...more('warning')],
  }
}
