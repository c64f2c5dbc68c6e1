/** Shell completion: what may follow on an unfinished command line, from the definitions that `--help` prints. */
import type { Argument, Command, Option } from 'commander'

/** A word that may come next, with its meaning for shells that show one. */
export interface Completion {
  readonly word: string
  readonly meaning: string
}

/** The command that the words name, and how many of its arguments they hold. */
interface Position {
  readonly command: Command
  readonly argumentCount: number
}

/**
 * Returns the words that may take the place of the last of `words`, which are those after `berth`; the last may be empty.
 * Returns none where only the user knows what comes: the scripts then complete file names.
 */
export function completionsFor(program: Command, words: readonly string[]): Completion[] {
  const { before, current } = splitWords(words)
  if (before.includes('--')) return []
  const { command, argumentCount } = findPosition(program, before)
  return candidates(command, argumentCount, { before, current }).filter(({ word }) =>
    word.startsWith(current),
  )
}

interface Line {
  readonly before: readonly string[]
  readonly current: string
}

/** Bash splits `--output=json` at the equals sign, into three words. */
function splitWords(words: readonly string[]): Line {
  const joined = words.filter((word, index) => word !== '=' || !isLongOption(words[index - 1]))
  const isValue = words.at(-1) === '='
  return isValue
    ? { before: joined, current: '' }
    : { before: joined.slice(0, -1), current: joined.at(-1) ?? '' }
}

function isLongOption(word: string | undefined): boolean {
  return word?.startsWith('--') === true
}

function candidates(
  command: Command,
  argumentCount: number,
  { before, current }: Line,
): Completion[] {
  const asked = valueOption(command, before.at(-1))
  if (asked !== undefined) return choicesOf(asked)
  if (/^--[^=]+=/.test(current)) {
    const flag = current.slice(0, current.indexOf('='))
    const option = valueOption(command, flag)
    return choicesOf(option).map(({ word, meaning }) => ({ word: `${flag}=${word}`, meaning }))
  }
  if (current.startsWith('-')) return flagsOf(command)
  if (argumentCount === 0 && command.commands.length > 0) return subcommandsOf(command)
  const { registeredArguments } = command
  const last = registeredArguments.at(-1)
  return choicesOf(
    registeredArguments[argumentCount] ?? (last?.variadic === true ? last : undefined),
  )
}

/** Follows the words through verbs, options and their values. */
function findPosition(program: Command, words: readonly string[]): Position {
  let command = program
  let argumentCount = 0
  for (const [index, word] of words.entries()) {
    if (word.startsWith('-') || valueOption(command, words[index - 1]) !== undefined) continue
    const subcommand = argumentCount === 0 ? findSubcommand(command, word) : undefined
    if (subcommand !== undefined) command = subcommand
    // `help` takes the name of a command, as berth itself does.
    else if (command !== program || word !== 'help') argumentCount += 1
  }
  return { command, argumentCount }
}

function findSubcommand({ commands }: Command, name: string): Command | undefined {
  return commands.find((each) => each.name() === name)
}

/** The option that a flag names, if a value has to follow it. */
function valueOption(command: Command, flag: string | undefined): Option | undefined {
  return command.options.find(
    (each) => each.required && (each.short === flag || each.long === flag),
  )
}

function choicesOf(item: Option | Argument | undefined): Completion[] {
  return (item?.argChoices ?? []).map((word) => ({ word, meaning: '' }))
}

function flagsOf(command: Command): Completion[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .map(({ long, short, description }) => ({ word: long ?? short ?? '', meaning: description }))
}

function subcommandsOf(command: Command): Completion[] {
  const help = command.createHelp()
  return help
    .visibleCommands(command)
    .map((each) => ({ word: each.name(), meaning: help.subcommandDescription(each) }))
}
