import { realpathSync, renameSync, statSync, writeFileSync } from 'node:fs'

/** Gives a file another content in one step: who reads it sees the old one or the new one. Links and permissions stay. */
export function replaceFile(name: string, text: string): void {
  const file = statSync(name, { throwIfNoEntry: false }) === undefined ? name : realpathSync(name)
  const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0o644
  const temporary = `${file}.berth-new`
  writeFileSync(temporary, text, { mode: mode & 0o777, flag: 'w' })
  renameSync(temporary, file)
}
