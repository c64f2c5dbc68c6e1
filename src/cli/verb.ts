/** The parts that the definitions of all verbs share. */
import type { Command } from 'commander'
import type { Io } from './io.ts'

/** Runs a verb's work and keeps its exit code. */
export type Run = (work: (io: Io) => Promise<number>) => Promise<void>

/** Adds a verb to its parent command. */
export type DefineVerb = (parent: Command, run: Run) => void

export interface VerbText {
  readonly name: string
  /** One line in the imperative, without a full stop. */
  readonly summary: string
  /** More sentences for the verb's own help. */
  readonly details?: string
  readonly examples: readonly VerbExample[]
}

type VerbExample = readonly [meaning: string, commandLine: string]

/** Adds a command with its help; the caller adds arguments, options and the action. */
export function addVerb(parent: Command, { name, summary, details, examples }: VerbText): Command {
  const command = parent.command(name).summary(summary)
  command.description(details === undefined ? `${summary}.` : `${summary}.\n${details}`)
  const program = rootOf(command).name()
  const texts = examples.map((example) => exampleText(example, program))
  command.addHelpText('after', `\nExamples:\n${texts.join('\n\n')}`)
  return command.showHelpAfterError(`Run "${pathOf(command)} --help" for usage.`)
}

/** Examples begin with `berth`, or have it after a pipe. */
function exampleText([meaning, commandLine]: VerbExample, program: string): string {
  return `  # ${meaning}\n  ${commandLine.replaceAll(/(?<=^|\| )berth(?= )/g, program)}`
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent)
}

/** The command's name after those of its parents: `berth nodes render`. */
export function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`
}
