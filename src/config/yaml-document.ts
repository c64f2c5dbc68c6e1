/** Parses the YAML of a config file, and finds the line and column of a value. */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  type YAMLMap,
} from 'yaml'
import { aliasTargets } from '../yaml/aliases.ts'
import { configLimits } from '../yaml/limits.ts'
import { forEachNode } from '../yaml/nodes.ts'
import { maxErrors, type ParsedYaml, parseYaml } from '../yaml/parse-yaml.ts'
import type { ConfigProblem, PathPart } from './problem.ts'
import { redactText, shownKey } from './redact.ts'

export interface YamlDocument {
  /** Undefined if there are problems. */
  readonly value: unknown
  readonly problems: readonly ConfigProblem[]
  /**
   * Returns a problem at the value with this path, or at the deepest part of the path that is in the file. Removes
   * credentials from the message.
   */
  problemAt(
    severity: ConfigProblem['severity'],
    path: readonly PathPart[],
    message: string,
  ): ConfigProblem
}

/** Parses YAML 1.2, in which `no` is text and not false. Never throws: errors are problems. */
export function parseYamlDocument(text: string): YamlDocument {
  const parsed = parseYaml(text, configLimits)
  const [document, second] = parsed.documents
  const problems: ConfigProblem[] = []
  const addError = (offset: number, message: string) => {
    if (problems.length < maxErrors)
      problems.push({ severity: 'error', path: '', ...parsed.positionAt(offset), message })
  }
  for (const { offset, message } of parsed.errors) addError(offset, message)
  if (second !== undefined)
    addError(second.range?.[0] ?? 0, 'the file has more than one YAML document; remove the others')
  if (document !== undefined) reportKeys(document, addError)
  const positionOf = createPathFinder(parsed)
  return {
    value: problems.length > 0 ? undefined : document?.toJS({ maxAliasCount: -1 }),
    problems,
    problemAt: (severity, path, message) => ({
      severity,
      path: formatPath(path),
      ...positionOf(path),
      message: redactText(message),
    }),
  }
}

/** The library would turn `1.20: x` into the key "1.2". */
function reportKeys(document: Document, addError: (offset: number, message: string) => void): void {
  forEachNode(document, (node) => {
    if (!isMap(node)) return
    for (const { key } of node.items) {
      if (!isScalar(key) || typeof key.value === 'string' || !key.range) continue
      const written = shownKey(key.source ?? String(key.value), 'tags')
      addError(key.range[0], `the key ${written} is not text; write it in quotes: "${written}"`)
    }
  })
}

type Position = Pick<ConfigProblem, 'line' | 'column'>
type KeyValue = Pair<Node, Node | null>

/** Returns a function that finds a value in time linear in the length of its path: a file can have many problems. */
function createPathFinder({
  documents: [document],
  positionAt,
}: ParsedYaml): (path: readonly PathPart[]) => Position {
  const pairsByMap = new Map<Node, ReadonlyMap<unknown, KeyValue>>()
  const pairsOf = (map: YAMLMap<Node, Node | null>) => {
    const known = pairsByMap.get(map)
    if (known !== undefined) return known
    const pairs = new Map(map.items.map((pair) => [isScalar(pair.key) && pair.key.value, pair]))
    pairsByMap.set(map, pairs)
    return pairs
  }
  /** The position of a map entry is its key, because readers look for the key. */
  const childOf = (
    node: Node | null,
    part: PathPart,
  ): { range: Node['range']; node: Node | null } => {
    const parent = isAlias(node) && document ? aliasTargets(document).get(node) : node
    if (isMap<Node, Node | null>(parent)) {
      const pair = pairsOf(parent).get(part)
      return { range: pair?.key.range, node: pair?.value ?? null }
    }
    const item = isSeq<Node>(parent) ? parent.items[Number(part)] : undefined
    return { range: item?.range, node: item ?? null }
  }
  return (path) => {
    let node = document?.contents ?? null
    let offset = node?.range?.[0]
    for (const part of path) {
      const child = childOf(node, part)
      if (!child.range) break
      offset = child.range[0]
      node = child.node
    }
    return offset === undefined ? { line: null, column: null } : positionAt(offset)
  }
}

function formatPath(path: readonly PathPart[]): string {
  return path
    .map((part, index) => {
      if (typeof part === 'number') return `[${part}]`
      return `${index === 0 ? '' : '.'}${shownKey(part, path[index - 1])}`
    })
    .join('')
}
