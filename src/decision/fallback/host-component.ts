/** Writes a registry host as one component of a repository path, for `{host}` in the path of a template. */

/**
 * Returns the host in lower case, with `-` for each colon and without brackets: `registry.corp-5000` for
 * `registry.corp:5000`, `fd00--1-5000` for `[fd00::1]:5000`. A host that is a legal component already stays as it is.
 * Two hosts can have the same component; `berth check` warns about them.
 */
export function hostComponent(host: string): string {
  const lower = host.toLowerCase()
  if (!lower.startsWith('[')) return lower.replace(':', '-')
  const end = lower.indexOf(']')
  // A component begins and ends with a letter or a digit: `::1` is the same address as `0::1`.
  const address = lower.slice(1, end).replace(/^:/, '0:').replace(/:$/, ':0')
  return `${address}${lower.slice(end + 1)}`.replaceAll(':', '-')
}
