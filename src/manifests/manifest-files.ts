/** Reads `-f FILE|DIR|-` as kubectl does: files, directories (with -R also their subdirectories), and standard input. */
import { realpathSync, statSync } from 'node:fs'
import type { Readable } from 'node:stream'
import type { MaybePromise } from '../async/maybe-promise.ts'
import { BerthError } from '../errors.ts'
import { listTree, type TreeFile } from '../files/list-tree.ts'
import {
  readLimitedFile,
  readLimitedStream,
  readRealFile,
  TooLargeError,
} from '../files/read-limited.ts'
import type { FileState } from '../files/replace-file.ts'
import { manifestLimits } from '../yaml/limits.ts'
import type { InvalidManifests } from './manifests.ts'

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
  /** Receives a message about each file that is skipped. */
  readonly onProblem: (message: string) => void
}

/** The files that kubectl reads in a directory (cli-runtime, resource/interfaces.go, FileExtensions). */
const extensions = /\.(?:json|ya?ml)$/

/** Characters of all files. Their text stays in memory until all of them are decided. */
const maxTotalLength = 256 * 1024 ** 2

/** Reads the files, those of a directory sorted by name. Throws `manifest-invalid` with all files that cannot be read. */
export async function readManifestFiles(
  names: readonly string[],
  { recursive, stdin, onProblem }: ManifestFilesOptions,
): Promise<ManifestFile[]> {
  const files: ManifestFile[] = []
  const errors: string[] = []
  let length = 0
  const add = async (name: string, read: () => MaybePromise<Omit<ManifestFile, 'name'>>) => {
    try {
      const file = { name, ...(await read()) }
      length += file.text.length
      if (length > maxTotalLength) throw new TooLargeError(maxTotalLength)
      files.push(file)
    } catch (error) {
      errors.push(errorText(name, error))
      if (length > maxTotalLength) throwInvalid(errors)
    }
  }
  for (const name of names) {
    if (name === '-') await add(name, () => readStdin(stdin))
    else if (isDirectory(name))
      for (const { path, realPath } of filesIn(name, recursive, onProblem))
        await add(path, () => readRegularFile(realPath, true))
    else await add(name, () => readGiven(name))
  }
  throwInvalid(errors)
  return files
}

/** The messages of one error. A person fixes the first files first. */
const maxErrors = 20

/** Throws `manifest-invalid` if there are errors. */
function throwInvalid(errors: readonly string[]): void {
  if (errors.length === 0) return
  const more = errors.length - maxErrors
  const lines = [...errors.slice(0, maxErrors), ...(more > 0 ? [`and ${more} more`] : [])]
  throw new BerthError('manifest-invalid', lines.join('\n'))
}

function filesIn(
  directory: string,
  recursive: boolean,
  onProblem: (message: string) => void,
): TreeFile[] {
  try {
    return listTree(directory, {
      recursive,
      includes: (name) => extensions.test(name),
      onSkipped: (path, why) => onProblem(`${path}: skipped, because ${why}`),
    })
  } catch (error) {
    throwInvalid([errorText((error as NodeJS.ErrnoException).path ?? directory, error)])
    throw error
  }
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
  return `${name} cannot be read: ${code}; -f takes files, directories and -`
}

/**
 * Returns why a file without manifests is skipped: it is from a directory, which can also have other files. Throws
 * `manifest-invalid` for any other invalid file.
 */
export function skipFile(
  { name, text, isFromDirectory }: ManifestFile,
  { line, message, isYaml }: InvalidManifests,
): string {
  const position = line === null ? name : `${name}:${line}`
  if (isFromDirectory && text.includes('{{'))
    return `${position}: skipped, because it looks like a template; render it first`
  if (isFromDirectory && isYaml) return `${position}: skipped, because ${message}`
  throw new BerthError('manifest-invalid', `${position}: ${message}; manifests are YAML or JSON`)
}
