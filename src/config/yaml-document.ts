/** YAML with positions: which line a key or value of the config stands on. */
import { isMap, isPair, isScalar, LineCounter, type Node, parseDocument, visit } from 'yaml'
import type { ConfigProblem } from './problem.ts'

export type PathPart = string | number

export interface YamlDocument {
  readonly value: unknown
  readonly problems: readonly ConfigProblem[]
  /** The problem, placed at the deepest part of the path that stands in the file. */
  problemAt(
    severity: ConfigProblem['severity'],
    path: readonly PathPart[],
    message: string,
  ): ConfigProblem
}

/** 10,000 rows of 100 characters are one million; a file beyond four is not a table any more. */
const maxLength = 4 * 1024 * 1024

/** Reads YAML 1.2 (so `no` is text, not false). Never throws: what is wrong comes back as problems. */
export function parseYamlDocument(text: string): YamlDocument {
  const lines = new LineCounter()
  const tooLong = text.length > maxLength
  const document = parseDocument(tooLong ? '' : text, { lineCounter: lines, prettyErrors: false })
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return { line, column: col }
  }
  const problems: ConfigProblem[] = document.errors.map((error) => ({
    severity: 'error',
    path: '',
    ...at(error.pos[0]),
    message: `${error.message.replace(/\.?$/, '')}: mend the YAML here`,
  }))
  visit(document, {
    Pair: (_, { key }) => {
      if (!isScalar(key) || typeof key.value === 'string' || !key.range) return
      // `1.20: x` would become the key "1.2".
      const message = `the key ${key.source ?? String(key.value)} is not text: write it in quotes`
      problems.push({ severity: 'error', path: '', ...at(key.range[0]), message })
    },
  })
  const nowhere = { severity: 'error', path: '', line: null, column: null } as const
  if (tooLong)
    problems.push({
      ...nowhere,
      message: `longer than ${maxLength} characters; split the rows that a glob could join`,
    })
  return {
    value: problems.length > 0 ? undefined : toValue(document, problems),
    problems,
    problemAt: (severity, path, message) => {
      const offset = offsetOf(document, path)
      const position = offset === null ? { line: null, column: null } : at(offset)
      return { severity, path: formatPath(path), ...position, message }
    },
  }
}

function toValue(document: ReturnType<typeof parseDocument>, problems: ConfigProblem[]): unknown {
  try {
    return document.toJS()
  } catch {
    // The library refuses more than a hundred aliases of aliases, which only an attack has.
    const message = 'uses too many YAML aliases; write the values out'
    problems.push({ severity: 'error', path: '', line: null, column: null, message })
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

/** The key of a map entry where there is one (that is what a reader looks for), else the value. */
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
  return (
    ((path.length === 0 ? document.contents : document.getIn(path, true)) as Node | undefined) ??
    null
  )
}

function formatPath(path: readonly PathPart[]): string {
  return path
    .map((part, index) =>
      typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`,
    )
    .join('')
}
