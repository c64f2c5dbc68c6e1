/**
 * Puts files on a machine, each whole or not at all, and remembers what stood there. What is remembered is written first,
 * so that whatever happens later can be undone.
 */
import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { BerthError } from '../../errors.ts'
import { mergeRegistries } from './merge-registries-yaml.ts'
import type { NodeFiles } from '../render.ts'
import { type TargetName, targets } from '../targets/targets.ts'

export interface FileChange {
  /** On the machine, without the root. */
  readonly file: string
  readonly what:
    | 'created'
    | 'replaced'
    | 'unchanged'
    | 'restored'
    | 'removed'
    | 'changed by another hand, and left alone'
}

interface AppliedFile {
  readonly file: string
  /** What stood there before Berth; null for nothing. It may hold passwords, so the state is for root alone. */
  readonly before: string | null
  /** Who might read it; null for nothing, and undefined in what an earlier version remembered. */
  readonly mode?: number | null
  /** True when the directory came with the file, and goes with it: an empty one under certs.d would hide _default. */
  readonly ownDirectory: boolean
  /** Of what Berth wrote. */
  readonly sha256: string
}

interface AppliedState {
  readonly entries: readonly AppliedFile[]
}

export interface ApplyOptions {
  /** `/`, or where the machine's files are seen. */
  readonly root: string
  /** Overwrites what another hand has changed since. */
  readonly force: boolean
  readonly dryRun: boolean
}

const stateDirectory = '/var/lib/berth/nodes'

/** Writes the files and takes back those of an earlier time that are no longer among them. Throws `nodes-changed`, `nodes-unwritable`. */
export function applyFiles(
  { target, directory, files }: Pick<NodeFiles, 'target' | 'directory' | 'files'>,
  options: ApplyOptions,
): FileChange[] {
  const { root, force, dryRun } = options
  const state = readState(root, target)
  const known = new Map(state.entries.map((entry) => [entry.file, entry]))
  const foreign = state.entries.filter((entry) => isChanged(root, entry))
  if (foreign.length > 0 && !force)
    throw new BerthError(
      'nodes-changed',
      `${foreign.map(({ file }) => file).join(', ')}: changed by another hand since Berth wrote it; take the change back, or lose it with --force`,
    )
  const wanted = files.map(({ path, content }) => {
    const file = join(directory ?? '/', path)
    const before =
      known.get(file)?.before ?? (known.has(file) ? null : readOrNull(join(root, file)))
    const text =
      path === 'registries.yaml' && before !== null ? mergeRegistries(before, content) : content
    const ownDirectory = known.get(file)?.ownDirectory ?? !existsSync(dirname(join(root, file)))
    const mode = known.has(file) ? known.get(file)?.mode : modeOf(join(root, file))
    return {
      entry: {
        file,
        before,
        ...(mode === undefined ? {} : { mode }),
        ownDirectory,
        sha256: hash(text),
      },
      text,
    }
  })
  const names = new Set(wanted.map(({ entry }) => entry.file))
  const stale = state.entries.filter(({ file }) => !names.has(file))
  const changes = [
    ...wanted.map(({ entry, text }) => ({
      file: entry.file,
      what: effect(root, entry.file, text),
    })),
    ...stale.map((entry) => ({ file: entry.file, what: undoing(entry) })),
  ]
  if (dryRun) return changes
  writeState(root, target, [...wanted.map(({ entry }) => entry), ...stale])
  const texts = [
    ...wanted.map(({ entry, text }) => ({ ...entry, text })),
    ...stale.map((entry) => ({ ...entry, text: entry.before })),
  ]
  writeAll(root, texts)
  writeState(
    root,
    target,
    wanted.map(({ entry }) => entry),
  )
  return changes
}

/** Puts back what stood there. Files that another hand has changed since stay, unless forced, and are remembered. */
export function rollBack(target: TargetName, options: ApplyOptions): FileChange[] {
  const { root, force, dryRun } = options
  const { entries } = readState(root, target)
  const kept = force ? [] : entries.filter((entry) => isChanged(root, entry))
  const undone = entries.filter((entry) => !kept.includes(entry))
  const changes: FileChange[] = [
    ...undone.map((entry) => ({ file: entry.file, what: undoing(entry) })),
    ...kept.map(({ file }) => ({ file, what: 'changed by another hand, and left alone' as const })),
  ]
  if (dryRun) return changes
  writeAll(
    root,
    undone.map((entry) => ({ ...entry, text: entry.before })),
  )
  writeState(root, target, kept)
  return changes
}

function effect(root: string, file: string, text: string): FileChange['what'] {
  const now = readOrNull(join(root, file))
  if (now === null) return 'created'
  return now === text ? 'unchanged' : 'replaced'
}

function undoing({ before }: AppliedFile): FileChange['what'] {
  return before === null ? 'removed' : 'restored'
}

/** A file that is gone is no change that anybody could lose. */
function isChanged(root: string, { file, before, sha256 }: AppliedFile): boolean {
  const now = readOrNull(join(root, file))
  return now !== null && now !== before && hash(now) !== sha256
}

interface Content extends Pick<AppliedFile, 'ownDirectory' | 'mode'> {
  readonly file: string
  /** Null removes. */
  readonly text: string | null
}

/** All of them, or as it was: a failure half-way puts back what was written so far. */
function writeAll(root: string, contents: readonly Content[]): void {
  const done: Content[] = []
  try {
    for (const { file, ...content } of contents) {
      const path = join(root, file)
      done.unshift({ ...content, file: path, text: readOrNull(path), mode: modeOf(path) })
      put({ ...content, file: path })
    }
  } catch (cause) {
    for (const each of done) tryPut(each)
    throw unwritable(cause)
  }
}

function tryPut(content: Content): void {
  try {
    put(content)
  } catch {
    // The first failure is the one to tell of; the state still knows what stood there.
  }
}

/** By renaming, so that a pull in the same moment sees the old file or the new one. */
function put({ file, text, mode, ownDirectory }: Content): void {
  if (text === null) return remove(file, ownDirectory)
  if (readOrNull(file) === text) return
  mkdirSync(dirname(file), { recursive: true })
  const next = `${file}.berth-new`
  writeDurably(next, text, modeOf(file) ?? mode ?? 0o644)
  renameSync(next, file)
}

function writeDurably(path: string, text: string, mode: number): void {
  rmSync(path, { force: true })
  const file = openSync(path, 'wx', mode)
  try {
    writeSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

function remove(file: string, ownDirectory: boolean): void {
  rmSync(file, { force: true })
  if (!ownDirectory) return
  try {
    rmdirSync(dirname(file))
  } catch {
    // There is something else in it by now.
  }
}

function readState(root: string, target: TargetName): AppliedState {
  const text = readOrNull(stateFile(root, target))
  if (text === null) return { entries: [] }
  try {
    return JSON.parse(text) as AppliedState
  } catch (cause) {
    throw new BerthError(
      'nodes-changed',
      `${stateFile(root, target)} is not as Berth wrote it; mend it, or remove it and what stood there before is forgotten`,
      { cause },
    )
  }
}

function writeState(root: string, target: TargetName, entries: readonly AppliedFile[]): void {
  const file = stateFile(root, target)
  try {
    if (entries.length === 0) return rmSync(file, { force: true })
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    writeDurably(`${file}.berth-new`, `${JSON.stringify({ entries }, null, 2)}\n`, 0o600)
    renameSync(`${file}.berth-new`, file)
  } catch (cause) {
    throw unwritable(cause)
  }
}

function unwritable(cause: unknown): BerthError {
  const { code, path } = cause as NodeJS.ErrnoException
  return new BerthError(
    'nodes-unwritable',
    `${path ?? 'a file'} cannot be written: ${code ?? String(cause)}; nothing was changed`,
    { cause },
  )
}

function stateFile(root: string, target: TargetName): string {
  return join(root, stateDirectory, `${target}.json`)
}

/** Null where nothing stands. */
function modeOf(path: string): number | null {
  return existsSync(path) ? statSync(path).mode & 0o777 : null
}

function readOrNull(path: string): string | null {
  return existsSync(path) ? readFileSync(path, 'utf8') : null
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** What `render -o json` printed. Throws `usage` for anything else: these paths are written to as root. */
export function readRendered(
  text: string,
  name: string,
): Pick<NodeFiles, 'target' | 'directory' | 'files' | 'restart'> {
  const wrong = (why: string) =>
    new BerthError('usage', `${name} ${why}; write it by \`berth nodes render -o json\``)
  let value: Partial<NodeFiles>
  try {
    value = JSON.parse(text) as Partial<NodeFiles>
  } catch {
    throw wrong('is no JSON')
  }
  const { target, files } = value
  if (target === undefined || !Object.hasOwn(targets, target) || !Array.isArray(files))
    throw wrong('has no target and files')
  const { directory, restart } = targets[target]
  const isSafe = ({ path, content }: { path?: unknown; content?: unknown }) =>
    typeof path === 'string' &&
    typeof content === 'string' &&
    !path.startsWith('/') &&
    !path.split('/').includes('..')
  if (!files.every(isSafe)) throw wrong('has a file outside its directory')
  return { target, directory, files, restart }
}
