/** The name under which Berth was started, for its help. */

/** Returns `kubectl berth` if one of the paths is that of the kubectl plugin, and else `berth`. */
export function programName(startedAs: readonly (string | undefined)[] = []): string {
  const isPlugin = startedAs.some((path = '') => /(?:^|[/\\])kubectl-berth(?:\.exe)?$/.test(path))
  return isPlugin ? 'kubectl berth' : 'berth'
}
