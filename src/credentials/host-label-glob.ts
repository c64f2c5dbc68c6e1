/**
 * Matches one label of a host name against a pattern, as the kubelet does for keys such as `*.example.com` (k8s.io/kubernetes,
 * pkg/credentialprovider/keyring.go, URLsMatch, which uses Go's filepath.Match). Of the pattern syntax only `*` can occur: in a
 * URL, `?` starts the query, a host cannot contain `\`, and a bracket starts an IPv6 address.
 */

/** Returns whether the pattern matches the whole label. Takes time linear in the label for each `*`. */
export function matchesHostLabel(pattern: string, label: string): boolean {
  // The kubelet keeps the brackets of an IPv6 address without a port, so that Go reads them as a character class.
  if (pattern.startsWith('[')) {
    return pattern.endsWith(']') && label.length === 1 && pattern.slice(1, -1).includes(label)
  }
  const [first = '', ...parts] = pattern.split('*')
  const last = parts.pop()
  if (last === undefined) return pattern === label
  if (!label.startsWith(first) || !label.slice(first.length).endsWith(last)) return false
  const end = label.length - last.length
  let position = first.length
  for (const part of parts) {
    const index = label.indexOf(part, position)
    if (index < 0 || index + part.length > end) return false
    position = index + part.length
  }
  return true
}
