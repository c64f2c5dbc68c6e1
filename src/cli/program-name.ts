/** The name under which Berth was started, for its help. */

/**
 * Returns `kubectl berth` if one of the paths is that of the kubectl plugin, and else `berth`. A script has the path in
 * `process.argv[1]`, and the executable in `process.argv0`.
 */
export function programName(...paths: readonly (string | undefined)[]): string {
  const isPlugin = paths.some((path = '') => /(?:^|[/\\])kubectl-berth(?:\.exe)?$/.test(path))
  return isPlugin ? 'kubectl berth' : 'berth'
}
