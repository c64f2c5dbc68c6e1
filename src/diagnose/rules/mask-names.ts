/**
 * Replaces names in a message by placeholders, so that an image called `timeout/unauthorized:429` does not match a rule.
 * Names are whatever users choose: references, hosts, addresses, URLs, digests and paths. Pure.
 */

interface Replacement {
  readonly pattern: RegExp
  readonly by: string | ((match: string, ...groups: string[]) => string)
}

/** A name after a known phrase. A reference has at most 255 characters, and a digest 71 more. */
const namePattern = '[^\\s"\',;]{1,400}?'

/** Quoted text that is not a name: media types, error codes and placeholders, which rules match. */
const notAName = /^(?:(?:application|text)\/[\w.+-]+|[A-Za-z_]+|‹[a-z-]+›)$/

const replacements: readonly Replacement[] = [
  // Prefixes of log lines.
  { pattern: /\b[EWIF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ /g, by: '' },
  { pattern: /\(?\b\w{1,64}\.go:\d+(?::\d+s\))?\]?/g, by: '' },
  { pattern: /\b(?:time="[^"]*"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\w.:+-]*)/g, by: '' },
  // Wrappers of Docker API clients: their status is not the registry's.
  {
    pattern: /\(HTTP code \d+\) [a-z ]+ -|API error \(\d+\):|\(Internal Server Error: 500\)/gi,
    by: '',
  },
  // Quoted names after the words that introduce them.
  {
    pattern:
      /\b((?:image|reference|ref|repository|repo|container|pod|manifest|secrets?|registry|host|short-name|for|fetch|layer|blob|name|project|builder|imageID|podUID)[ =:]{1,3})(?:"[^"\s]{0,400}"|'[^'\s]{0,400}')/gi,
    by: '$1‹name›',
  },
  {
    pattern: /\bpulling from host (?:registry\.k8s\.io|k8s\.gcr\.io)(?= failed)/g,
    by: 'pulling from ‹kubernetes-url›',
  },
  { pattern: /\bdocker:\/\/[^\s"']+?(?=[:,.)\]]*(?:[\s"']|$))/g, by: '‹image›' },
  // The sockets of other snapshotters than containerd's own.
  {
    pattern:
      /(?:\bunix:\/\/)?\/[\w./-]{0,200}(?:nydus|stargz|soci|overlaybd)[\w./-]{0,200}\.sock\b/g,
    by: '‹snapshotter›',
  },
  { pattern: /\bunix:\/\/[^\s"',]+/g, by: '‹path›' },
  { pattern: /\bhttps?:\/\/[^\s"'<>]+/gi, by: maskUrl },
  { pattern: /\barn:aws[\w-]*:[^\s"',]*/g, by: '‹arn›' },
  // Unquoted names between known phrases.
  ...namesBetween(
    ['pull access denied for ', ','],
    ['manifest for ', ' not found'],
    ['manifest for ', ':'],
    ['reading manifest ', ' in '],
    [' in ', ': (?:manifest|unauthorized|denied|name|errors|too|unknown|received|StatusCode)'],
    ['repository ', ' not found'],
    ['repository ', ':'],
    ['artifact ', ' not found'],
    ['image ', ' not found'],
    ['image name ', ' returns'],
    ['pulling image ', ' because'],
    ['image pull failed for ', ','],
    ['image pull failed for ', ' because'],
    ['registry ', ' is blocked'],
    ['pinging (?:docker|container) registry ', ':'],
    ['pulling from host ', ' failed'],
    ['to pull ', ':'],
    ['pulling ', ':'],
    ['content at ', ' not found'],
    ['lookup ', '(?: on |:)'],
    ['\\[manifests ', '\\]'],
    ['tag ', ' (?:not found|was|does|is)'],
  ),
  // References, digests, addresses, hosts and paths anywhere.
  { pattern: /\b(?:[a-z]{1,16}-){0,2}sha(?:256|512):[0-9a-z]{3,128}/gi, by: '‹digest›' },
  {
    pattern:
      /(?<![\w./:-])(?:localhost|(?:[a-z0-9-]+\.)+[a-z0-9-]+|[a-z0-9-]+(?=:\d+\/))(?::\d+)?(?:\/[\w.-]+)+(?::[\w][\w.-]*)?(?:@‹digest›)?/gi,
    by: '‹image›',
  },
  {
    pattern:
      /(?<![\w./:-])[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+(?::\w[\w.-]*(?:@‹digest›)?|@‹digest›)/g,
    by: '‹image›',
  },
  {
    pattern: /(?<![\w.])(?:127(?:\.\d{1,3}){3}|\[::1\]|localhost)(?::\d+)?(?![\w.])/g,
    by: '‹loopback›',
  },
  {
    pattern: /(?<![\w.])(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:]*:[0-9a-f:.]*\])(?::\d+)?(?![\w.])/gi,
    by: '‹address›',
  },
  { pattern: /\b[a-z]:\\[^\s"']+|\\\\\?\\[^\s"']+/gi, by: '‹path›' },
  { pattern: /(?<![\w/<>.:])\/[^\s"',;:)\]<>]+/g, by: '‹path›' },
  {
    pattern: /(?<![\w.‹-])(?:[a-z0-9-]{1,63}\.)+[a-z]{2,63}(?::\d+)?(?![\w.])/g,
    by: '‹host›',
  },
  { pattern: /\b[0-9a-f]{12,64}\b/g, by: '‹id›' },
  // Any other quoted word that looks like a name.
  {
    pattern: /"([^"\s]{1,400})"/g,
    by: (match, inner) => (notAName.test(inner) ? match : '‹name›'),
  },
]

/** Matches an unquoted name between two phrases. */
function namesBetween(...pairs: readonly (readonly [string, string])[]): Replacement[] {
  return pairs.map(([before, after]) => ({
    pattern: new RegExp(`(?<=(?:^|[^\\w-])${before})${namePattern}(?=${after})`, 'gi'),
    by: '‹name›',
  }))
}

/** Private ECR. A rule for it must match the requested URL, not the image name. */
const ecrUrl = /^https?:\/\/\d{12}\.dkr[.-]ecr[.-]/i

/** The community's registry, and the registries that it redirects to. */
const kubernetesUrl =
  /^https?:\/\/(?:registry\.k8s\.io|k8s\.gcr\.io|[a-z0-9-]+-docker\.pkg\.dev\/v2\/k8s-artifacts-prod|[a-z0-9.-]*registry-k8s-io[a-z0-9.-]*\.amazonaws\.com)(?:[/:]|$)/i

/** Replaces a URL and keeps the punctuation after it: messages put a colon after a URL, sometimes without a space. */
function maskUrl(match: string): string {
  const url = /^.*?(?=:x509:$|[:,.;)\]}]*$)/i.exec(match)?.[0] ?? match
  const token = ecrUrl.test(url)
    ? '‹ecr-url›'
    : kubernetesUrl.test(url)
      ? '‹kubernetes-url›'
      : '‹url›'
  return `${token}${match.slice(url.length)}`
}

/** Returns the message with a placeholder, such as `‹image›`, for every name. */
export function maskNames(text: string): string {
  return replacements.reduce(
    (result, { pattern, by }) =>
      typeof by === 'string' ? result.replace(pattern, by) : result.replace(pattern, by),
    maskRepeated(text),
  )
}

/** Names of a message that are looked for again. */
const maxRepeated = 8

/** Masks a quoted name where it is repeated without quotes: `failed to resolve reference "NAME": NAME: not found`. */
function maskRepeated(text: string): string {
  const quoted = text.matchAll(/\b(?:image|reference|ref) "([^"\s]{0,200}[/:][^"\s]{1,200})"/gi)
  const names = new Set([...quoted].map(([, name = '']) => name).slice(0, maxRepeated))
  return [...names].reduce((result, name) => result.replaceAll(`: ${name}: `, ': ‹image›: '), text)
}
