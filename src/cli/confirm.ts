import { createInterface } from 'node:readline/promises'
import { BerthError } from '../errors.ts'
import type { Io } from './io.ts'

/** Asks the person, on a terminal; throws `usage` where nobody can be asked. */
export async function confirm(question: string, { stdin, stderr }: Io): Promise<boolean> {
  if ((stdin as { isTTY?: boolean }).isTTY !== true)
    throw new BerthError('usage', `${question} Nobody can be asked here; say --yes`)
  const reader = createInterface({ input: stdin, output: stderr })
  try {
    return /^y(es)?$/i.test((await reader.question(`${question} [y/N] `)).trim())
  } finally {
    reader.close()
  }
}
