/** Reads Markdown pages for the tests of the documentation. */

export interface Heading {
  readonly level: number
  readonly text: string
  /** The id that GitHub gives the heading in the page. */
  readonly anchor: string
}

const fence = /^ *(`{3,}|~{3,})(.*)$/

/**
 * The line of a code block that is never closed, or that contains the opening fence of another block, which means that
 * a fence before it is stray. Null if all blocks are well-formed.
 */
export function brokenFence(text: string): number | null {
  let open: { readonly mark: string; readonly line: number } | null = null
  for (const [index, line] of text.split('\n').entries()) {
    const [, mark = '', info = ''] = fence.exec(line) ?? []
    if (mark === '') continue
    if (open === null) open = { mark, line: index + 1 }
    else if (!mark.startsWith(open.mark)) continue
    else if (info.trim() === '') open = null
    else return open.line
  }
  return open?.line ?? null
}

/** The page without its code blocks and comments. */
function proseOf(text: string): string {
  return text
    .replaceAll(/^ *(`{3,}|~{3,})[^\n]*\n(?:[^]*?\n)?? *\1`* *$/gm, '')
    .replaceAll(/<!--[^]*?-->/g, '')
}

/** The headings of a page, in order. */
export function headingsOf(text: string): Heading[] {
  const seen = new Map<string, number>()
  return [...proseOf(text).matchAll(/^(#{1,6}) +(.*?)\s*$/gm)].map(([, marks = '', title = '']) => {
    const base = slugOf(title)
    const count = seen.get(base) ?? 0
    seen.set(base, count + 1)
    return { level: marks.length, text: title, anchor: count === 0 ? base : `${base}-${count}` }
  })
}

/** As GitHub does it: lower case, no punctuation, hyphens for spaces. */
function slugOf(title: string): string {
  return title
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')
}

/** The targets of links to other files or headings of this repository. */
export function relativeLinks(text: string): string[] {
  return [...proseOf(text).matchAll(/\]\((?![a-z]+:)([^)\s]+)\)/g)].map(([, target = '']) => target)
}

/** The statements of a page: its table rows without the headers, and the sentences of its paragraphs and lists. */
function statementsOf(text: string): string[] {
  const lines = proseOf(text).split('\n')
  const rows = lines.filter(
    (line, index) => line.startsWith('|') && !isRule(line) && !isRule(lines[index + 1] ?? ''),
  )
  const paragraphs = lines
    .filter((line) => !/^[|#]/.test(line))
    .join('\n')
    .split(/\n\s*\n|\n(?= *(?:[-*]|\d+\.) )/)
  return [...rows, ...paragraphs.flatMap((paragraph) => paragraph.split(/(?<=[.:!?])\s+/))]
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
}

const isRule = (line: string) => /^\| *:?-{3}/.test(line)

/** Shorter statements may share most of their words and still say different things. */
const minShingles = 8

/**
 * Pairs of statements of a page that say the same: equal table rows, or statements where one contains at least
 * `threshold` (0 to 1) of the three-word sequences of the other.
 */
export function repeatedStatements(
  text: string,
  threshold: number,
): { readonly pair: readonly [string, string]; readonly overlap: number }[] {
  const all = statementsOf(text).map((statement) => {
    const words = wordsOf(statement)
    return { statement, shingles: shinglesOf(words) }
  })
  return all.flatMap((one, index) =>
    all.slice(index + 1).flatMap((other) => {
      const isEqualRow = one.statement === other.statement && one.statement.startsWith('|')
      const overlap = isEqualRow ? 1 : overlapOf(one.shingles, other.shingles)
      return overlap >= threshold ? [{ pair: [one.statement, other.statement], overlap }] : []
    }),
  )
}

function wordsOf(statement: string): string[] {
  return statement.toLowerCase().match(/\p{L}[\p{L}\p{N}]*/gu) ?? []
}

function shinglesOf(words: readonly string[]): Set<string> {
  return new Set(words.slice(2).map((_, index) => words.slice(index, index + 3).join(' ')))
}

/** The part of the smaller set that the larger one contains. */
function overlapOf(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  const smallest = Math.min(one.size, other.size)
  if (smallest < minShingles) return 0
  return [...one].filter((shingle) => other.has(shingle)).length / smallest
}
