/** Asks questions on a terminal. Each answer can also be given as an option, so scripts need no terminal. */
import { createInterface, type Interface } from 'node:readline/promises'
import { BerthError } from '../errors.ts'
import { escapeLine } from '../text/escape-terminal.ts'
import type { Io } from './io.ts'

export interface Question {
  readonly text: string
  /** The option that gives the answer. */
  readonly flag: string
  /** The answer to an empty line. */
  readonly suggestion?: string | undefined
}

export interface Questions {
  /** Returns the answer, trimmed. Throws `usage`, which names the flag, if standard input is not a terminal or ends. */
  ask(question: Question): Promise<string>
  close(): void
}

/** Opens standard input at the first question. With `isSilent` or without a terminal, every question throws. */
export function openQuestions({ stdin, stderr }: Io, isSilent: boolean): Questions {
  let reader: Interface | null = null
  /** Null is the end of the input. */
  const lines: (string | null)[] = []
  let receive: ((line: string | null) => void) | null = null
  const give = (line: string | null) => {
    if (receive === null) lines.push(line)
    else receive(line)
    receive = null
  }
  const nextLine = (): Promise<string | null> => {
    const line = lines.shift()
    if (line !== undefined) return Promise.resolve(line)
    return new Promise((resolve) => {
      receive = resolve
    })
  }
  const open = (): Interface => {
    const opened = createInterface({ input: stdin, output: stderr })
    // Lines that arrive before their question must not be lost.
    opened.on('line', give)
    opened.on('close', () => give(null))
    return opened
  }
  return {
    async ask({ text, flag, suggestion }) {
      const isTerminal = (stdin as { isTTY?: boolean }).isTTY === true
      if (isSilent || !isTerminal) throw missing(flag, text)
      reader ??= open()
      const shown = suggestion === undefined ? '' : ` [${suggestion}]`
      reader.setPrompt(escapeLine(`${text}${shown}: `))
      reader.prompt()
      const line = await nextLine()
      if (line === null) throw missing(flag, text)
      return line.trim() === '' ? (suggestion ?? '') : line.trim()
    },
    close: () => reader?.close(),
  }
}

function missing(flag: string, text: string): BerthError {
  return new BerthError(
    'usage',
    `${flag} is missing (${text}); add the option, or run the command on a terminal`,
  )
}
