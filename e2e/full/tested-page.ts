/** Writes docs/tested.md: a section for each test file of this folder, with its last run. */

export type TestedFile = {
  /** The name of the test file. */
  file: string
  /** `2026-11-29` */
  date: string
  /** The programs with their versions. */
  programs: readonly string[]
  /** `note`: what the test measured. */
  tests: readonly { name: string; result: string; seconds: number; note?: string }[]
}

const begin = '<!-- generated: npm run e2e:full -->'
const end = '<!-- end -->'

/** Returns the page with new sections for these files. Sections of other files stay. */
export function updatePage(page: string, files: readonly TestedFile[]): string {
  const [head = '', rest = ''] = page.split(begin)
  const [body = '', tail = ''] = rest.split(end)
  const sections = new Map(
    body
      .split(/^(?=## )/m)
      .filter((section) => section.startsWith('## '))
      .map((section) => [section.slice(3, section.indexOf('\n')), section.trimEnd()]),
  )
  for (const tested of files) sections.set(tested.file, sectionOf(tested))
  const sorted = [...sections].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, section]) => section)
  return `${head}${begin}\n\n${sorted.join('\n\n')}\n\n${end}${tail}`
}

function sectionOf({ file, date, programs, tests }: TestedFile): string {
  const rows = tests.map(
    ({ name, result, seconds, note }) =>
      `| ${cell(name)} | ${result}, ${seconds.toFixed(0)} s${note === undefined ? '' : `: ${cell(note)}`} |`,
  )
  return [
    `## ${file}`,
    '',
    `${date}, with ${programs.join(', ')}:`,
    '',
    '| test | result |',
    '| --- | --- |',
    ...rows,
  ].join('\n')
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
