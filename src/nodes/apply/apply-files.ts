/**
 * Writes the rendered files to a machine and restores the original files on a rollback. The original text is stored
 * before anything is written, so a later failure can be undone.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { BerthError } from '../../errors.ts'
import type { NodeFiles } from '../render/render.ts'
import type { NodeFile } from '../render/target.ts'
import type { TargetName } from '../render/targets.ts'
import { type AppliedFile, readAppliedFiles, writeAppliedFiles } from './applied-state.ts'
import { type FileContent, fileMode, readTextOrNull, sha256, writeFiles } from './atomic-files.ts'
import { mergeRegistriesYaml } from './merge-registries-yaml.ts'

/** What happened to a file that someone else modified after Berth wrote it. */
export const leftModified = 'modified by someone else, left as it is'

/** `berth nodes apply -o json` prints this shape. */
export interface FileChange {
  /** The path on the machine, without the root. */
  readonly file: string
  readonly what: 'created' | 'replaced' | 'unchanged' | 'restored' | 'removed' | typeof leftModified
}

export interface ApplyOptions {
  /** `/`, or the directory where the machine's files are mounted. */
  readonly root: string
  /** Overwrites files that someone else modified. */
  readonly force: boolean
  readonly dryRun: boolean
}

/**
 * Writes the files, and restores those that an earlier apply wrote and that are no longer rendered. Throws
 * `nodes-changed` if someone else modified a file, and `nodes-unwritable`.
 */
export function applyFiles(
  { target, directory, files }: Pick<NodeFiles, 'target' | 'directory' | 'files'>,
  options: ApplyOptions,
): FileChange[] {
  const { root, force, dryRun } = options
  const applied = readAppliedFiles(root, target)
  const modified = applied.filter((each) => isModified(root, each))
  if (modified.length > 0 && !force)
    throw new BerthError(
      'nodes-changed',
      `${modified.map(({ file }) => file).join(', ')}: modified by someone else after Berth wrote it; undo the modification, or overwrite it with --force`,
    )
  const known = new Map(applied.map((each) => [each.file, each]))
  const wanted = files.map((rendered) => {
    const file = join(directory ?? '/', rendered.path)
    return planFile(root, { ...rendered, file }, known.get(file))
  })
  const names = new Set(wanted.map(({ entry }) => entry.file))
  const stale = applied.filter(({ file }) => !names.has(file))
  const changes = [
    ...wanted.map(({ entry: { file }, text }) => ({
      file,
      what: changeOf(join(root, file), text),
    })),
    ...stale.map((entry) => ({ file: entry.file, what: restoreChange(entry) })),
  ]
  if (dryRun) return changes
  const entries = wanted.map(({ entry }) => entry)
  writeAppliedFiles(root, target, [...entries, ...stale])
  writeFiles([
    ...wanted.map(({ entry, text }) => fileContent(root, entry, text)),
    ...stale.map((entry) => fileContent(root, entry, entry.before)),
  ])
  writeAppliedFiles(root, target, entries)
  return changes
}

/** Returns the text to write, and the state entry with what was there before Berth. */
function planFile(
  root: string,
  { file, path, content }: NodeFile & { readonly file: string },
  known: AppliedFile | undefined,
): { readonly entry: AppliedFile; readonly text: string } {
  const absolutePath = join(root, file)
  const before = known === undefined ? readTextOrNull(absolutePath) : known.before
  const mode = known === undefined ? fileMode(absolutePath) : known.mode
  const ownDirectory = known?.ownDirectory ?? !existsSync(dirname(absolutePath))
  const text =
    path === 'registries.yaml' && before !== null ? mergeRegistriesYaml(before, content) : content
  const entry = {
    file,
    before,
    ...(mode === undefined ? {} : { mode }),
    ownDirectory,
    sha256: sha256(text),
  }
  return { entry, text }
}

/** Restores the original files. Files that someone else modified stay, and stay in the state, unless `force` is set. */
export function rollBack(target: TargetName, options: ApplyOptions): FileChange[] {
  const { root, force, dryRun } = options
  const applied = readAppliedFiles(root, target)
  const left = force ? [] : applied.filter((each) => isModified(root, each))
  const restored = applied.filter((each) => !left.includes(each))
  const changes: FileChange[] = [
    ...restored.map((entry) => ({ file: entry.file, what: restoreChange(entry) })),
    ...left.map(({ file }): FileChange => ({ file, what: leftModified })),
  ]
  if (dryRun) return changes
  writeFiles(restored.map((entry) => fileContent(root, entry, entry.before)))
  writeAppliedFiles(root, target, left)
  return changes
}

function fileContent(root: string, entry: AppliedFile, text: string | null): FileContent {
  const { file, mode, ownDirectory } = entry
  return { path: join(root, file), text, ownDirectory, ...(mode === undefined ? {} : { mode }) }
}

function changeOf(path: string, text: string): FileChange['what'] {
  const present = readTextOrNull(path)
  if (present === null) return 'created'
  return present === text ? 'unchanged' : 'replaced'
}

function restoreChange({ before }: AppliedFile): FileChange['what'] {
  return before === null ? 'removed' : 'restored'
}

/** True if someone else changed the text. A removed file has no change to lose. */
function isModified(root: string, { file, before, sha256: written }: AppliedFile): boolean {
  const present = readTextOrNull(join(root, file))
  return present !== null && present !== before && sha256(present) !== written
}
