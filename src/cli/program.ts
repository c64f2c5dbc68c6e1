/** The command line as a tree of commander commands. The work of a verb is loaded when it runs. */
import { type Argument, Command, type Option } from 'commander'
import { type Io, print, printMessage } from './io.ts'
import { packageVersion } from './package-version.ts'
import { programName } from './program-name.ts'
import type { Run } from './verb.ts'
import { verbGroups } from './verbs.ts'

/** No line of help is longer, however wide the terminal is. */
const maxHelpWidth = 100

export interface ProgramOptions {
  readonly io: Io
  /** Receives the work of the verb that is parsed. */
  readonly run: Run
  /** The only verb to define; all if it is left out. */
  readonly verb?: string | undefined
}

/** Returns the program `berth`. It throws CommanderError where commander would otherwise end the process. */
export async function createProgram({ io, run, verb }: ProgramOptions): Promise<Command> {
  const program = createRoot(io)
  for (const { heading, verbs } of verbGroups) {
    const wanted = Object.entries(verbs).filter(([name]) => verb === undefined || name === verb)
    program.commandsGroup(heading)
    for (const define of await Promise.all(wanted.map(([, load]) => load()))) define(program, run)
  }
  program.helpCommand('help [command]', 'Show help for a command')
  program.command('version', { hidden: true }).action(() => print(io.stdout, packageVersion()))
  return program
}

function createRoot(io: Io): Command {
  const name = programName(io.startedAs)
  return new Command(name)
    .description('Rewrite pod images to a mirror by a fallback table, and show why.')
    .usage('<command> [options]')
    .version(packageVersion(), '-v, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => print(io.stdout, text),
      writeErr: (text) => print(io.stderr, text),
      outputError: (text) => printMessage(io, `usage: ${text.replace(/^error: /, '').trimEnd()}`),
      getOutHelpWidth: () => helpWidth(io.stdout),
      getErrHelpWidth: () => helpWidth(io.stderr),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .configureHelp({
      subcommandTerm: (command) => command.name(),
      optionDescription: describeItem,
      argumentDescription: describeItem,
    })
    .showHelpAfterError(`Run "${name} --help" for usage.`)
    .addHelpText('after', `\nRun "${name} <command> --help" for the options of a command.`)
}

function helpWidth({ isTTY, columns }: Io['stdout']): number {
  return isTTY === true ? Math.min(columns ?? 80, maxHelpWidth) : 80
}

/** Returns the meaning of an option or argument, with its allowed values and its default, and whether it is required. */
export function describeItem(item: Option | Argument): string {
  const { description, argChoices, defaultValue, defaultValueDescription } = item
  const fallback = defaultValueDescription ?? shownDefault(defaultValue)
  const notes = [
    ...('mandatory' in item && item.mandatory ? ['required'] : []),
    ...(argChoices === undefined ? [] : [`one of ${argChoices.join(', ')}`]),
    ...(fallback === null ? [] : [`default: ${fallback}`]),
  ]
  return notes.length === 0 ? description : `${description} (${notes.join('; ')})`
}

/** Null for switches and lists, which are off and empty by default. */
function shownDefault(value: unknown): string | null {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : null
}
