/** The command line as a tree of commander commands. Builds quickly: the work of a verb is loaded when it runs. */
import { type Argument, Command, type Option } from 'commander'
import { defineCerts } from './commands/certs.ts'
import { defineCheck } from './commands/check.ts'
import { defineCompletion } from './commands/completion.ts'
import { defineController } from './commands/controller.ts'
import { defineDev } from './commands/dev.ts'
import { defineDiagnose } from './commands/diagnose.ts'
import { defineDiff } from './commands/diff.ts'
import { defineDrift } from './commands/drift.ts'
import { defineExplain } from './commands/explain.ts'
import { defineLock } from './commands/lock.ts'
import { defineMirror } from './commands/mirror.ts'
import { defineNodes } from './commands/nodes.ts'
import { defineReport } from './commands/report.ts'
import { defineRewrite } from './commands/rewrite.ts'
import { defineSecrets } from './commands/secrets.ts'
import { defineServe } from './commands/serve.ts'
import { type Io, print, printMessage } from './io.ts'
import { packageVersion } from './package-version.ts'
import type { DefineVerb, Run } from './verb.ts'

/** Verbs by task, in the order in which somebody new needs them; docs/cli.md has the same order. */
const groups: readonly (readonly [heading: string, verbs: readonly DefineVerb[]])[] = [
  ['Try and test a fallback table:', [defineDev, defineExplain, defineCheck, defineDiff]],
  ['Fill mirrors:', [defineMirror, defineDrift]],
  ['Change manifests and nodes:', [defineRewrite, defineLock, defineNodes]],
  ['Inspect and repair a cluster:', [defineReport, defineDiagnose, defineSecrets]],
  ['Run Berth in a cluster:', [defineCerts, defineServe, defineController]],
  ['Other commands:', [defineCompletion]],
]

/** No line of help is longer, however wide the terminal is. */
const maxHelpWidth = 100

/**
 * Returns the program `berth`. Its commands write to `io`, and throw CommanderError where commander would end the process.
 * `run` receives the work of the verb that is parsed.
 */
export function createProgram(io: Io, run: Run): Command {
  const program = new Command('berth')
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
    .showHelpAfterError('Run "berth --help" for usage.')
    .addHelpText('after', '\nRun "berth <command> --help" for the options of a command.')
  for (const [heading, verbs] of groups) {
    program.commandsGroup(heading)
    for (const define of verbs) define(program, run)
  }
  program.helpCommand('help [command]', 'Show help for a command')
  program.command('version', { hidden: true }).action(() => print(io.stdout, packageVersion()))
  return program
}

function helpWidth({ isTTY, columns }: Io['stdout']): number {
  return isTTY === true ? Math.min(columns ?? 80, maxHelpWidth) : 80
}

/** Returns the meaning of an option or argument, with its allowed values and its default. */
export function describeItem(item: Option | Argument): string {
  const { description, argChoices, defaultValue, defaultValueDescription } = item
  const fallback = defaultValueDescription ?? shownDefault(defaultValue)
  const notes = [
    ...(argChoices === undefined ? [] : [`one of ${argChoices.join(', ')}`]),
    ...(fallback === null ? [] : [`default: ${fallback}`]),
  ]
  return notes.length === 0 ? description : `${description} (${notes.join('; ')})`
}

/** Null for switches and lists, which are off and empty by default. */
function shownDefault(value: unknown): string | null {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : null
}
