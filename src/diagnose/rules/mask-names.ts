/**
 * Names are data: an image called `timeout/unauthorized:429` must not sway a verdict.
 * So everything in a message that somebody could have chosen (references, hosts, addresses, URLs, digests, paths)
 * is replaced by a token before any rule looks at it. Pure.
 */

interface Replacement {
  readonly pattern: RegExp
  readonly by: string | ((match: string, ...groups: string[]) => string)
}

/** Longest piece between a phrase and the name behind it; a reference has at most 255 characters, a digest 71 more. */
const name = '[^\\s"\',;]{1,400}?'

/** Media types stand in quotes too, and are what a rule looks for. */
const kept = /^(?:(?:application|text)\/[\w.+-]+|[A-Za-z_]+|‹[a-z-]+›)$/

const replacements: readonly Replacement[] = [
  // What a log line has in front.
  { pattern: /\b[EWIF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ /g, by: '' },
  { pattern: /\(?\b\w{1,64}\.go:\d+(?::\d+s\))?\]?/g, by: '' },
  { pattern: /\b(?:time="[^"]*"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\w.:+-]*)/g, by: '' },
  // What clients of Docker's API wrap around an error: the number is not the registry's.
  {
    pattern: /\(HTTP code \d+\) [a-z ]+ -|API error \(\d+\):|\(Internal Server Error: 500\)/gi,
    by: '',
  },
  // Quoted names behind the words that announce them, whatever they are.
  {
    pattern:
      /\b((?:image|reference|ref|repository|repo|container|pod|manifest|secrets?|registry|host|short-name|for|fetch|layer|blob|name|project|builder|imageID|podUID)[ =:]{1,3})(?:"[^"\s]{0,400}"|'[^'\s]{0,400}')/gi,
    by: '$1‹name›',
  },
  { pattern: /\bdocker:\/\/[^\s"']+?(?=[:,.)\]]*(?:[\s"']|$))/g, by: '‹image›' },
  { pattern: /\bunix:\/\/[^\s"',]+/g, by: '‹path›' },
  { pattern: /\bhttps?:\/\/[^\s"'<>]+/gi, by: urlToken },
  { pattern: /\barn:aws[\w-]*:[^\s"',]*/g, by: '‹arn›' },
  // Names without quotes, behind the words that announce them.
  ...slots(
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
  // References, digests, addresses, hosts and paths wherever they stand.
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
  // Any other quoted word that is no plain English one.
  {
    pattern: /"([^"\s]{1,400})"/g,
    by: (match, inner) => (kept.test(inner) ? match : '‹name›'),
  },
]

/** A name between two phrases, not in quotes. */
function slots(...pairs: readonly (readonly [string, string])[]): Replacement[] {
  return pairs.map(([before, after]) => ({
    pattern: new RegExp(`(?<=(?:^|[^\\w-])${before})${name}(?=${after})`, 'gi'),
    by: '‹name›',
  }))
}

/** Private repositories of ECR; a rule for them looks at the URL that was asked, never at the image's name. */
const ecr = /^https?:\/\/\d{12}\.dkr[.-]ecr[.-]/i

/** A URL with what stands behind it: messages end URLs with a colon, and some have no space after it. */
function urlToken(match: string): string {
  const url = /^.*?(?=:x509:$|[:,.;)\]}]*$)/i.exec(match)?.[0] ?? match
  return `${ecr.test(url) ? '‹ecr-url›' : '‹url›'}${match.slice(url.length)}`
}

/** The message with a token for every name in it. */
export function maskNames(text: string): string {
  return replacements.reduce(
    (result, { pattern, by }) =>
      typeof by === 'string' ? result.replace(pattern, by) : result.replace(pattern, by),
    text,
  )
}
