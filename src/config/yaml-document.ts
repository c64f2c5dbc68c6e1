/** Parses the YAML of a config file, and finds the line and column of a value. */
import { isMap, isPair, isScalar, LineCounter, type Node, parseDocument, visit } from 'yaml'
import type { ConfigProblem, PathPart } from './problem.ts'

export interface YamlDocument {
  /** Undefined if there are problems. */
  readonly value: unknown
  readonly problems: readonly ConfigProblem[]
  /** Returns a problem at the value with this path, or at the deepest part of the path that is in the file. */
  problemAt(
    severity: ConfigProblem['severity'],
    path: readonly PathPart[],
    message: string,
  ): ConfigProblem
}

/** In UTF-16 units: 10,000 rows of 100 characters are one million. */
const maxLength = 4 * 1024 * 1024

/** Parses YAML 1.2, in which `no` is text and not false. Never throws: errors are problems. */
export function parseYamlDocument(text: string): YamlDocument {
  const lines = new LineCounter()
  const isTooLong = text.length > maxLength
  const document = parseDocument(isTooLong ? '' : text, { lineCounter: lines, prettyErrors: false })
  const positionAt = (offset: number | null) => {
    if (offset === null) return { line: null, column: null }
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  const problems: ConfigProblem[] = []
  const addError = (offset: number | null, message: string) =>
    problems.push({ severity: 'error', path: '', ...positionAt(offset), message })
  for (const error of document.errors)
    addError(error.pos[0], `invalid YAML: ${error.message.replace(/\.$/, '')}`)
  visit(document, {
    Pair: (_, { key }) => {
      if (!isScalar(key) || typeof key.value === 'string' || !key.range) return
      // `1.20: x` would become the key "1.2".
      const written = key.source ?? String(key.value)
      addError(key.range[0], `the key ${written} is not text; write it in quotes: "${written}"`)
    },
  })
  if (isTooLong)
    addError(
      null,
      `the file has more than ${maxLength} characters; replace rows that differ only in the image by one row with a pattern`,
    )
  return {
    value: problems.length > 0 ? undefined : toValue(document, addError),
    problems,
    problemAt: (severity, path, message) => ({
      severity,
      path: formatPath(path),
      ...positionAt(offsetOf(document, path)),
      message,
    }),
  }
}

function toValue(
  document: ReturnType<typeof parseDocument>,
  addError: (offset: null, message: string) => void,
): unknown {
  try {
    return document.toJS()
  } catch {
    // The library allows at most 100 nested aliases, to prevent a "billion laughs" attack.
    addError(null, 'the file uses too many YAML aliases; write the values without aliases')
    return undefined
  }
}

function offsetOf(
  document: ReturnType<typeof parseDocument>,
  path: readonly PathPart[],
): number | null {
  for (let length = path.length; length >= 0; length--) {
    const node = findNode(document, path.slice(0, length))
    if (node?.range) return node.range[0]
  }
  return null
}

/** Returns the key of a map entry, because readers look for the key. Returns the value of a list item. */
function findNode(
  document: ReturnType<typeof parseDocument>,
  path: readonly PathPart[],
): Node | null {
  const parent = path.length === 0 ? null : document.getIn(path.slice(0, -1), true)
  if (isMap(parent)) {
    const pair = parent.items.find(
      (item) => isPair(item) && isScalar(item.key) && item.key.value === path.at(-1),
    )
    return (pair?.key as Node | undefined) ?? null
  }
  const node = path.length === 0 ? document.contents : document.getIn(path, true)
  return (node as Node | undefined) ?? null
}

function formatPath(path: readonly PathPart[]): string {
  return path
    .map((part, index) =>
      typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`,
    )
    .join('')
}
