/** Reads `-f FILE|DIR|-` as kubectl does: files, directories (with -R also their subdirectories), and standard input. */
import { lstatSync, readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { MaybePromise } from '../async/maybe-promise.ts'
import { listTree, type TreeFile } from '../files/list-tree.ts'
import {
  readLimitedFile,
  readLimitedStream,
  readRealFile,
  TooLargeError,
} from '../files/read-limited.ts'
import type { FileState } from '../files/replace-file.ts'
import { manifestLimits } from '../yaml/limits.ts'
import { isKustomizationName } from './kustomize/kustomization.ts'
import type { InvalidManifests } from './manifests.ts'
import type { UnreadFiles } from './unread-files.ts'
import { describeFileError } from '../files/describe-file-error.ts'

export interface ManifestFile {
  /** As the user wrote it; `-` is standard input. */
  readonly name: string
  readonly text: string
  /** True if it was found in a directory, which can also have other files. */
  readonly isFromDirectory: boolean
  /** Null for standard input and for pipes, which cannot be changed. */
  readonly state: FileState | null
}

export interface ManifestFilesOptions {
  readonly recursive: boolean
  readonly stdin: Readable
  /** Receives the files that cannot be read. */
  readonly unread: UnreadFiles
}

/** The files that kubectl reads in a directory (cli-runtime, resource/interfaces.go, FileExtensions). */
const extensions = /\.(?:json|ya?ml)$/

/** Characters of all files. Their text stays in memory until all of them are decided. */
const maxTotalLength = 256 * 1024 ** 2

/**
 * Reads the files, those of a directory sorted by name. A file that cannot be read is rejected, and the others are read.
 * Throws `manifest-invalid` at the limit for all files together.
 */
export async function readManifestFiles(
  names: readonly string[],
  { recursive, stdin, unread }: ManifestFilesOptions,
): Promise<ManifestFile[]> {
  const files: ManifestFile[] = []
  let length = 0
  const add = async (name: string, read: () => MaybePromise<Omit<ManifestFile, 'name'>>) => {
    try {
      const file = { name, ...(await read()) }
      length += file.text.length
      if (length > maxTotalLength) throw new TooLargeError(maxTotalLength)
      files.push(file)
    } catch (error) {
      unread.reject(errorText(name, error))
      if (length > maxTotalLength) unread.throwInvalid()
    }
  }
  for (const name of names) {
    if (name === '-') await add(name, () => readStdin(stdin))
    else if (isDirectory(name))
      for (const { path, realPath } of filesIn(name, recursive, unread))
        await add(path, () => readRegularFile(realPath, true))
    else await add(name, () => readGiven(name))
  }
  return files
}

/** Returns the files of a directory. Rejects a directory without any. */
function filesIn(directory: string, recursive: boolean, unread: UnreadFiles): TreeFile[] {
  try {
    const files = listTree(directory, {
      recursive,
      includes: (name) => extensions.test(name) || isKustomizationName(name),
      onSkipped: (path, why) => unread.skip(path, why),
    })
    if (files.length === 0) unread.reject(emptyText(directory, recursive))
    return files
  } catch (error) {
    unread.reject(errorText((error as NodeJS.ErrnoException).path ?? directory, error))
    return []
  }
}

function emptyText(directory: string, recursive: boolean): string {
  const why = `${directory} has no manifests: no file whose name ends in .yaml, .yml or .json`
  const canLookBelow =
    !recursive && readdirSync(directory).some((name) => isDirectory(join(directory, name)))
  return canLookBelow ? `${why}; -R looks below, in its subdirectories` : why
}

function isDirectory(name: string): boolean {
  try {
    return statSync(name).isDirectory()
  } catch {
    // Reading it fails with the reason.
    return false
  }
}

async function readStdin(stdin: Readable): Promise<Omit<ManifestFile, 'name'>> {
  const bytes = await readLimitedStream(stdin, manifestLimits.length)
  return { text: decode(bytes), isFromDirectory: false, state: null }
}

/** Reads a file that the user named. A link is followed, because the user named it. */
function readGiven(name: string): Omit<ManifestFile, 'name'> {
  if (statSync(name).isFile()) return readRegularFile(realpathSync(name), false)
  const bytes = readLimitedFile(name, manifestLimits.length)
  return { text: decode(bytes), isFromDirectory: false, state: null }
}

function readRegularFile(realPath: string, isFromDirectory: boolean): Omit<ManifestFile, 'name'> {
  const { bytes, state } = readRealFile(realPath, manifestLimits.length)
  return { text: decode(bytes), isFromDirectory, state }
}

/** The file is not UTF-8. */
class EncodingError extends Error {}

/** Rejects other encodings, because writing the text back as UTF-8 would change every byte. */
function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new EncodingError(
      'it is not UTF-8, the only encoding that kubectl reads; convert it first',
      { cause },
    )
  }
}

function errorText(name: string, error: unknown): string {
  if (error instanceof EncodingError) return `${name}: ${error.message}`
  if (error instanceof TooLargeError) return `${name} cannot be read: ${error.message}; split it`
  const { code } = error as NodeJS.ErrnoException
  if (code === undefined) throw error
  const target = danglingTarget(name)
  if (target !== null) return `${name} cannot be read: it is a dangling link to ${target}`
  return `${name} cannot be read: ${describeFileError(error)}; -f takes files, directories and -`
}

/** Returns the target of a dangling link; null for anything else. */
function danglingTarget(name: string): string | null {
  try {
    if (!lstatSync(name).isSymbolicLink()) return null
    const target = readlinkSync(name)
    return statSync(name, { throwIfNoEntry: false }) === undefined ? target : null
  } catch {
    // It does not exist, or a part of its path cannot be read.
    return null
  }
}

export const emptyStdin = 'standard input is empty'

/** Records a file without manifests: skipped if it is from a directory, which can also have other files; else rejected. */
export function addUnread(
  unread: UnreadFiles,
  { name, text, isFromDirectory }: ManifestFile,
  { line, message, isYaml }: InvalidManifests,
): void {
  const place = line === null ? name : `${name}:${line}`
  if (isFromDirectory && text.includes('{{'))
    unread.skip(place, 'it looks like a template; render it first')
  else if (isFromDirectory && isYaml) unread.skip(place, message)
  else unread.reject(`${place}: ${message}; manifests are YAML or JSON`)
}

/** Throws `manifest-invalid` if files are given, and none of them has manifests. */
export function requireSomeRead(readFiles: number, allFiles: number, unread: UnreadFiles): void {
  if (readFiles > 0) return
  if (!unread.hasInvalid() && allFiles > 0)
    unread.reject(
      `no manifests: ${allFiles === 1 ? 'the only file is' : `all ${allFiles} files are`} skipped`,
    )
  unread.throwInvalid()
}
