/**
 * Evaluates the simple CEL expressions over an image name that policies use: comparisons of `ref` with texts, joined by
 * `||`, `&&`, `!` and parentheses. Pure.
 */

export interface ImageExpression {
  matches(image: string): boolean
  /** Prefixes of images for which the expression may be true, from which examples are made. */
  readonly prefixes: readonly string[]
  /** Globs that match the same images; null if there are none. */
  readonly globs: readonly string[] | null
}

const maxLength = 1_000

/** One token: a text, an operator or a name. */
const tokenPattern = /\s*(?:(['"])((?:(?!\1)[^\\\n])*)\1|(\|\||&&|==|!=|[!().])|([a-zA-Z]+))/y

interface Token {
  readonly kind: 'text' | 'symbol'
  readonly value: string
}

/** Returns null if the expression has anything else in it. */
export function compileImageExpression(expression: string): ImageExpression | null {
  const tokens = expression.length > maxLength ? null : tokenize(expression.trimEnd())
  if (tokens === null) return null
  try {
    const reader = { tokens, position: 0, depth: 0 }
    const node = readOr(reader)
    if (reader.position < tokens.length) return null
    const prefixes = tokens.flatMap(({ kind, value }) => (kind === 'text' ? [value] : []))
    return { matches: node.matches, prefixes, globs: node.globs }
  } catch (error) {
    if (error instanceof UnsupportedExpression) return null
    throw error
  }
}

class UnsupportedExpression extends Error {}

function tokenize(expression: string): Token[] | null {
  const tokens: Token[] = []
  tokenPattern.lastIndex = 0
  while (tokenPattern.lastIndex < expression.length) {
    const match = tokenPattern.exec(expression)
    if (match === null) return null
    const [, quote, text = '', symbol, name] = match
    tokens.push(
      quote === undefined
        ? { kind: 'symbol', value: symbol ?? name ?? '' }
        : { kind: 'text', value: text },
    )
  }
  return tokens
}

interface Reader {
  readonly tokens: readonly Token[]
  position: number
  depth: number
}

type Node = Pick<ImageExpression, 'matches' | 'globs'>

function readOr(reader: Reader): Node {
  let node = readAnd(reader)
  while (skip(reader, '||')) {
    const [one, other] = [node, readAnd(reader)]
    node = {
      matches: (image) => one.matches(image) || other.matches(image),
      globs: one.globs === null || other.globs === null ? null : [...one.globs, ...other.globs],
    }
  }
  return node
}

function readAnd(reader: Reader): Node {
  let node = readFactor(reader)
  while (skip(reader, '&&')) {
    const [one, other] = [node, readFactor(reader)]
    node = { matches: (image) => one.matches(image) && other.matches(image), globs: null }
  }
  return node
}

function readFactor(reader: Reader): Node {
  if (++reader.depth > 100) throw new UnsupportedExpression()
  if (skip(reader, '!')) {
    const negated = readFactor(reader)
    return { matches: (image) => !negated.matches(image), globs: null }
  }
  if (skip(reader, '(')) {
    const node = readOr(reader)
    expect(reader, ')')
    return node
  }
  return readComparison(reader)
}

const methods: Readonly<Record<string, (image: string, text: string) => boolean>> = {
  startsWith: (image, text) => image.startsWith(text),
  endsWith: (image, text) => image.endsWith(text),
  contains: (image, text) => image.includes(text),
}

function readComparison(reader: Reader): Node {
  expect(reader, 'ref')
  if (skip(reader, '==')) {
    const text = readText(reader)
    return { matches: (image) => image === text, globs: [escapeGlob(text)] }
  }
  if (skip(reader, '!=')) {
    const text = readText(reader)
    return { matches: (image) => image !== text, globs: null }
  }
  expect(reader, '.')
  const name = reader.tokens[reader.position++]?.value ?? ''
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined
  if (method === undefined) throw new UnsupportedExpression()
  expect(reader, '(')
  const text = readText(reader)
  expect(reader, ')')
  const globs = name === 'startsWith' ? [`${escapeGlob(text)}*`] : null
  return { matches: (image) => method(image, text), globs }
}

function escapeGlob(text: string): string {
  return text.replaceAll(/[*?[\]{}\\,]/g, '\\$&')
}

function readText(reader: Reader): string {
  const token = reader.tokens[reader.position++]
  if (token?.kind !== 'text') throw new UnsupportedExpression()
  return token.value
}

function skip(reader: Reader, symbol: string): boolean {
  const token = reader.tokens[reader.position]
  if (token?.kind !== 'symbol' || token.value !== symbol) return false
  reader.position += 1
  return true
}

function expect(reader: Reader, symbol: string): void {
  if (!skip(reader, symbol)) throw new UnsupportedExpression()
}
