/** What `berth help` and `berth COMMAND --help` print. */

/** Verbs by what they are for, in the order in which somebody new needs them; docs/cli.md has the same order. */
const groups: readonly (readonly [title: string, verbs: readonly string[]])[] = [
  ['The table', ['dev', 'explain', 'check', 'diff']],
  ['Images on mirrors', ['mirror', 'drift']],
  ['Manifests and nodes', ['rewrite', 'lock', 'nodes']],
  ['What runs in a cluster', ['report', 'diagnose', 'secrets']],
  ['Berth in a cluster', ['certs', 'serve', 'controller']],
]

/** All verbs with their summaries, in groups. One that no group names is in none, which a test forbids. */
export function helpOf(summaries: ReadonlyMap<string, string>): string {
  const width = Math.max(...[...summaries.keys()].map((name) => name.length))
  const shown = groups.flatMap(([title, names]) => [
    '',
    `${title}:`,
    ...names.flatMap((name) => {
      const summary = summaries.get(name)
      return summary === undefined ? [] : [`  ${name.padEnd(width)}  ${summary}`]
    }),
  ])
  return [
    'berth brings every image that a cluster runs to a registry of your own',
    '',
    'usage: berth COMMAND [options]',
    ...shown,
    '',
    '`berth COMMAND --help` shows its options, and docs/cli.md what they mean.',
  ].join('\n')
}

/** Columns of the narrowest terminal in use. */
const columns = 80

/** A usage line, or several, broken between options and never within one. */
export function usageOf(usage: string): string {
  return `usage: ${usage.split('\n').map(wrapped).join('\n       ')}`
}

function wrapped(line: string): string {
  const indent = ' '.repeat('usage: berth '.length)
  const lines: string[] = []
  let current = 'usage:'
  // A space before a bracket or an alternative, and not one between an option and its value.
  for (const part of line.split(/ (?=[[|]|--)/)) {
    if (current.length + 1 + part.length <= columns || current === 'usage:') current += ` ${part}`
    else {
      lines.push(current)
      current = indent + part
    }
  }
  return [...lines, current].join('\n').replace(/^usage: /, '')
}
