import { realpathSync, renameSync, statSync, writeFileSync } from 'node:fs'

/** Replaces the text of a file atomically: a reader sees the old text or the new one. Keeps symbolic links and permissions. */
export function replaceFile(name: string, text: string): void {
  const file = statSync(name, { throwIfNoEntry: false }) === undefined ? name : realpathSync(name)
  const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0o644
  const temporary = `${file}.berth-new`
  writeFileSync(temporary, text, { mode: mode & 0o777, flag: 'w' })
  renameSync(temporary, file)
}
