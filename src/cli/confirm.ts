import { createInterface } from 'node:readline/promises'
import { BerthError } from '../errors.ts'
import { escapeLine } from '../text/escape-terminal.ts'
import type { Io } from './io.ts'

/** Asks a question on the terminal; returns true for `y` or `yes`. Throws `usage` if standard input is not a terminal. */
export async function confirm(question: string, { stdin, stderr }: Io): Promise<boolean> {
  if ((stdin as { isTTY?: boolean }).isTTY !== true)
    throw new BerthError('usage', `${question} Cannot ask without a terminal; use --yes`)
  const reader = createInterface({ input: stdin, output: stderr })
  try {
    const answer = await reader.question(`${escapeLine(question)} [y/N] `)
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    reader.close()
  }
}
