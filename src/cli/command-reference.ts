/** The generated parts of docs/cli.md: the synopsis and the options of each command, as `--help` shows them. */
import { PassThrough, Readable } from 'node:stream'
import type { Command, Option } from 'commander'
import { createProgram, describeItem } from './program.ts'
import { pathOf } from './verb.ts'

/** Returns the page with each block between the markers `<!-- generated: berth … -->` and `<!-- end -->` up to date. */
export async function updateReference(page: string): Promise<string> {
  const documented = await documentedCommands()
  const commands = new Map(documented.map((command) => [pathOf(command), command]))
  return page.replaceAll(
    /(<!-- generated: (berth[a-z ]+) -->\n)[^]*?(<!-- end -->)/g,
    (block: string, start: string, path: string, end: string) => {
      const command = commands.get(path)
      return command === undefined ? block : `${start}\n${referenceOf(command)}\n${end}`
    },
  )
}

/**
 * Returns the commands that have a block in the page: those that run, and are not hidden.
 *
 * @internal Exported for tests.
 */
export async function documentedCommands(): Promise<Command[]> {
  const nothing = new PassThrough()
  const io = {
    stdout: nothing,
    stderr: nothing,
    stdin: Readable.from([]),
    env: {},
    signal: new AbortController().signal,
  }
  return leaves(await createProgram({ io, run: () => Promise.resolve() }))
}

function leaves(command: Command): Command[] {
  const visible = command
    .createHelp()
    .visibleCommands(command)
    .filter((each) => each.name() !== 'help')
  return visible.length === 0 ? [command] : visible.flatMap(leaves)
}

function referenceOf(command: Command): string {
  const help = command.createHelp()
  const options = help.visibleOptions(command).filter(({ long }) => long !== '--help')
  const rows = [
    ...command.registeredArguments.map((each) => row(each.name(), describeItem(each))),
    ...options.map((each) => row(each.flags, optionText(each))),
  ]
  return `\`\`\`
${help.commandUsage(command)}
\`\`\`

| argument or option | meaning |
| --- | --- |
${rows.join('\n')}
`
}

function row(term: string, meaning: string): string {
  return `| \`${term.replaceAll('|', '\\|')}\` | ${meaning.replaceAll('|', '\\|')} |`
}

function optionText(option: Option): string {
  const heading = option.helpGroupHeading
  return heading === undefined ? describeItem(option) : `*${heading}* ${describeItem(option)}`
}
