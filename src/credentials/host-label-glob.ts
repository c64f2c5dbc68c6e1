/**
 * Shell patterns over one label of a host name, as the kubelet matches them (k8s.io/kubernetes, keyring.go, URLsMatch,
 * with Go's filepath.Match). Only `*` is left of what a pattern may hold: in a URL `?` begins the query, `\` cannot stand
 * in a host, and a bracket opens an IPv6 address.
 */

/** True when the whole label matches. Takes time linear in the label for each star. */
export function matchesHostLabel(pattern: string, label: string): boolean {
  // An address without a port keeps its brackets, and so becomes a class of characters: it stands for one of them.
  if (pattern.startsWith('[')) {
    return pattern.endsWith(']') && label.length === 1 && pattern.slice(1, -1).includes(label)
  }
  const [first = '', ...parts] = pattern.split('*')
  const last = parts.pop()
  if (last === undefined) return pattern === label
  if (!label.startsWith(first) || !label.slice(first.length).endsWith(last)) return false
  const end = label.length - last.length
  let at = first.length
  for (const part of parts) {
    const found = label.indexOf(part, at)
    if (found < 0 || found + part.length > end) return false
    at = found + part.length
  }
  return true
}
