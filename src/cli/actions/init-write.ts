/** Writes the config of `berth init`: validates it, shows what changes, and asks before it replaces a file. */
import { existsSync } from 'node:fs'
import { dirname, resolve as resolvePath } from 'node:path'
import { createTwoFilesPatch } from 'diff'
import { runConfigTests } from '../../config/config-tests.ts'
import { readConfig, readConfigFile } from '../../config/load.ts'
import { formatProblem } from '../../config/problem.ts'
import { BerthError } from '../../errors.ts'
import { replaceFile } from '../../files/replace-file.ts'
import { confirm } from '../confirm.ts'
import { type Io, printFile, printMessage } from '../io.ts'
import { printDiff } from '../output/print-diff.ts'

/** Returns false if the file stays as it is, because the answer was no. Throws `usage` and `file-unwritable`. */
export async function writeConfig(
  text: string,
  { out, yes }: { readonly out: string; readonly yes?: boolean },
  io: Io,
): Promise<boolean> {
  validate(text, out)
  if (out === '-') {
    printFile(io.stdout, text)
    return true
  }
  if (!existsSync(out)) {
    replaceFile(out, text)
    printMessage(io, `wrote ${out}`)
    return true
  }
  const before = readConfigFile(out)
  if (before === text) {
    printMessage(io, `${out} is up to date`)
    return true
  }
  printDiff(createTwoFilesPatch(`a/${out}`, `b/${out}`, before, text), io)
  if (yes !== true && !(await confirm(`Replace ${out}?`, io))) return false
  replaceFile(out, text)
  printMessage(io, `replaced ${out}`)
  return true
}

/** The answers can make a config that is not valid: a path with capitals, or a file that is not a CA. */
function validate(text: string, out: string): void {
  const directory = out === '-' ? '.' : dirname(resolvePath(out))
  const result = readConfig(text, directory)
  const problems = result.ok ? result.config.warnings : result.problems
  const failures = (result.ok ? runConfigTests(result.config) : []).flatMap(({ failure }) =>
    failure === null ? [] : [failure],
  )
  const [first] = [...problems.map((problem) => formatProblem(out, problem)), ...failures]
  if (first === undefined) return
  throw new BerthError('usage', `the answers give a config that is not valid: ${first}`)
}
