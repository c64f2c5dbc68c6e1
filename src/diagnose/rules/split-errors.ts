/**
 * Splits the text of an event, a status or a log line into its errors. The kubelet joins the errors of several credentials
 * to `[e1, e2]`, CRI-O lists the error of every mirror, and each layer adds a prefix and a level of quotes. Pure.
 */

/** One error of a message. */
export interface ErrorPart {
  /** For people: without prefixes of the runtime and the kubelet, and without secrets. */
  readonly text: string
  /** For rules: this error with the prefixes of the whole message. */
  readonly context: string
}

/**
 * Characters that are read. The API server limits an event's message to 1,024 bytes (ValidateEvent of Kubernetes), but a
 * status or a log line can be longer. The end is the most specific part, so a longer text is cut in the middle.
 */
const maxCharacters = 16_384

/** Levels of escaping to undo: a registry's JSON in a runtime's error in the kubelet's log line, in JSON again. */
const escapingLevels = 5

/** Returns the distinct errors, in order; at least one. */
export function splitErrors(message: string): ErrorPart[] {
  const text = unescapeAll(message)
  const artifact = /pull image err: (.*?); artifact err: /s.exec(text)
  const { prefix, errors } = splitList(artifact?.[1] ?? text)
  const context = `${artifact === null ? '' : text.slice(0, artifact.index)} ${prefix}`
  const seen = new Set<string>()
  return errors
    .map((error) => ({ text: withoutPrefixes(redact(error)), context: `${context}${error}` }))
    .filter(({ text: error }) => !seen.has(error) && seen.add(error) !== undefined)
}

/** Removes escapes, and puts the text on one line. */
function unescapeAll(message: string): string {
  let text =
    message.length > maxCharacters
      ? `${message.slice(0, maxCharacters / 2)} ${message.slice(-maxCharacters / 2)}`
      : message
  for (let level = 0; level < escapingLevels && /\\(?:["\\/nrt]|u[0-9a-f]{4})/i.test(text); level++)
    text = text.replace(/\\(?:(["\\/])|([nrt])|u([0-9a-f]{4}))/gi, unescape)
  const line = text
    .replace(/%2F/gi, '/')
    .replace(/%3A/gi, ':')
    .replace(/[\s│]+/g, ' ')
    .trim()
  return withoutLineStart(line)
}

/**
 * What is before the message in a line: the frame of a terminal, a time, the header of syslog and of klog, and the columns of
 * `kubectl describe` and `kubectl get events`.
 */
const lineStarts: readonly RegExp[] = [
  /^(?:[|*✘✗×>•-] ?)+(?=[\w["'(])/u,
  /^\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|[+-]\d\d:?\d\d))?\]? +/,
  /^[A-Z][a-z]{2} [ \d]?\d \d\d:\d\d:\d\d [\w.-]{1,253} [\w.@-]{1,100}(?:\[\d+\])?: /,
  /^(?:kubelet|containerd|crio|dockerd|k3s|rke2)\[\d+\]: /,
  /^\[(?:Warning|Normal)\] /i,
  /^[\w-]{1,253} (?=(?:\d{1,6}[a-z]\w{0,9}|<\w+>) +(?:Warning|Normal) )/,
  /^(?:Warning|Normal) [A-Z]\w{1,60} (?:\d{1,6}[a-z]\w{0,9}|<\w+>) (?:\(x\d+ over \w+\) )?[\w./-]{1,100}(?:, [\w./-]{1,253})? /,
  /^(?:\d{1,6}[a-z]\w{0,9} )?(?:\(x\d+ over \w+\) )?(?:Warning|Normal) [A-Z]\w{1,60} [A-Za-z]+\/\S{1,253} (?:spec\.\w+\{[^\s}]{1,63}\}:? )?(?:kubelet, \S{1,253} )?/,
  /^[EWIF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w.-]{1,100}:\d+\] /,
  /^spec\.(?:initC|c|ephemeralC)ontainers\{[^\s}]{1,63}\}:? /,
  // k8s.io/client-go, tools/record/events_cache.go.
  /^["']?\(combined from similar events\): /,
]

function withoutLineStart(line: string): string {
  return lineStarts.reduce((rest, pattern) => rest.replace(pattern, ''), line)
}

/** Returns whether the line is an Event of type Normal, other than the one that repeats a failed pull. */
export function isNormalEvent(line: string): boolean {
  return /^[^\w[]{0,8}(?:[\w.:+()/-]{0,252}[\w.)] +){0,5}(?:\[Normal\]|Normal +[A-Z]\w{1,60}) (?!.{0,400}\bBack-?off pulling)/s.test(
    line,
  )
}

function unescape(match: string, character?: string, space?: string, code?: string): string {
  if (character !== undefined) return character
  if (space !== undefined) return space === space.toLowerCase() ? ' ' : match
  return String.fromCodePoint(Number.parseInt(code ?? '20', 16))
}

interface SplitMessage {
  readonly prefix: string
  readonly errors: readonly string[]
}

function splitList(text: string): SplitMessage {
  const mirrors = text.indexOf('(Mirrors also failed: ')
  if (mirrors >= 0) return splitMirrorErrors(text, mirrors)
  const start = /(?:^|: ?"?)\[(?=[A-Za-z"])/.exec(text)
  if (start === null) return { prefix: '', errors: [text] }
  const open = start.index + start[0].length - 1
  const close = closingBracket(text, open)
  const errors = text.slice(open + 1, close).split(nextError)
  return errors.length < 2
    ? { prefix: '', errors: [text] }
    : { prefix: text.slice(0, open), errors }
}

/** Separates the errors of the kubelet's list. A comma alone is not enough: messages of registries contain commas. */
const nextError =
  /, (?=rpc error: |failed to |Error response|error |initializing |unable to |reading |copying |Get "?https?:|Head "?https?:|pull access denied|unauthorized|denied|toomanyrequests|manifest |writing |dial |x509|pinging |no |short)/i

/** CRI-O: `(Mirrors also failed: [A: e1] [B: e2]): C: e3`. */
function splitMirrorErrors(text: string, start: number): SplitMessage {
  const errors: string[] = []
  let at = text.indexOf('[', start)
  while (at >= 0 && /[\s:]/.test(text[at - 1] ?? '')) {
    const end = closingBracket(text, at)
    errors.push(text.slice(at + 1, end))
    if (text[end + 1] !== ' ' || text[end + 2] !== '[') {
      at = end
      break
    }
    at = end + 2
  }
  const rest = text.slice(Math.max(at, start)).replace(/^\]?\)?:? ?/, '')
  return { prefix: text.slice(0, start), errors: rest === '' ? errors : [...errors, rest] }
}

/** Returns the index of the bracket that closes the one at `open`, or the end of the text. */
function closingBracket(text: string, open: number): number {
  let depth = 0
  for (let at = open; at < text.length; at++) {
    if (text[at] === '[') depth++
    if (text[at] === ']' && --depth === 0) return at
  }
  return text.length
}

const prefixes: readonly RegExp[] = [
  /^"?Error syncing pod,? skipping"?:? (?:err=)?"?/i,
  /^"?PullImage from image service failed"? (?:err=)?"?/i,
  /^failed to "StartContainer" for "[^"]*" with \w+: "?/i,
  /^(?:Failed to pull image|Back-off pulling image|PullImage|Failed to inspect image) "[^"]*"(?: from image service failed| failed)?: ?/i,
  /^(?:ErrImagePull|ImagePullBackOff|ImageInspectError|RegistryUnavailable|SignatureValidationFailed|Error|ERROR|FATA\[\d+\]|ctr|docker): "?/,
  /^rpc error: code = \w+ desc = /,
  /^(?:pulling image(?: failed)?|unable to pull image(?: or OCI artifact)?|failed to pull (?:and unpack )?image "[^"]*"|failed to pull image): /i,
  /^failed to res(?:o|ol)ve (?:reference|image)(?: "[^"]*")?: /i,
  /^failed to copy: |^httpRead(?:er)?Seeker: |^failed open: |^failed to do request: |^no available registry endpoint: /i,
  /^(?:error )?initializing (?:image from )?source docker:\/\/\S+: /i,
  /^(?:error )?reading manifest \S+ in \S+: /i,
  /^(?:error )?pinging (?:docker|container) registry \S+: /i,
  /^Error response from daemon: /i,
]

/** Returns the innermost error, as far as the prefixes are known. */
function withoutPrefixes(error: string): string {
  let text = error.trim()
  let before = ''
  while (text !== before) {
    before = text
    for (const prefix of prefixes) text = text.replace(prefix, '')
  }
  return text === '' ? error.trim() : text
}

/** Removes credentials: user information and queries of URLs (signed blobs), headers, and passwords. */
function redact(text: string): string {
  return text
    .replace(/(https?:\/\/)[^\s/"'@]+@/gi, '$1')
    .replace(/(https?:\/\/[^\s"'?]+)\?[^\s"'<>]*?(?=[:,.)\]]*(?:[\s"'<>]|$))/gi, '$1?…')
    .replace(/\b(Basic|Bearer) [\w+/=.~-]{8,}/g, '$1 …')
    .replace(/\b(password|passwd|token|secret)=[^\s&"',]+/gi, '$1=…')
}
