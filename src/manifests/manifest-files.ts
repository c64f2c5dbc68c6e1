/** Reads `-f FILE|DIR|-` as kubectl does: files, directories (with -R also their subdirectories), and standard input. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { BerthError } from '../errors.ts'

export interface ManifestFile {
  /** As the user wrote it; `-` is standard input. */
  readonly name: string
  readonly text: string
  /** True if it was found in a directory, which can also have other files. */
  readonly isFromDirectory: boolean
}

/** The files that kubectl reads in a directory (cli-runtime, resource/interfaces.go, FileExtensions). */
const extensions = /\.(?:json|ya?ml)$/

/** Reads the files, those of a directory sorted by name. Throws `manifest-invalid` for a file that cannot be read. */
export async function readManifestFiles(
  names: readonly string[],
  { recursive, stdin }: { readonly recursive: boolean; readonly stdin: Readable },
): Promise<ManifestFile[]> {
  const files: ManifestFile[] = []
  for (const name of names) {
    if (name === '-')
      files.push({ name, text: decode(name, await buffer(stdin)), isFromDirectory: false })
    else if (isDirectory(name))
      files.push(
        ...filesIn(name, recursive).map((path) => ({
          name: path,
          text: readText(path),
          isFromDirectory: true,
        })),
      )
    else files.push({ name, text: readText(name), isFromDirectory: false })
  }
  return files
}

function filesIn(directory: string, recursive: boolean): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(directory, entry.name)
      if (entry.name.startsWith('.')) return []
      if (isDirectory(path)) return recursive ? filesIn(path, recursive) : []
      return extensions.test(entry.name) ? [path] : []
    })
}

function isDirectory(name: string): boolean {
  return statSync(name, { throwIfNoEntry: false })?.isDirectory() ?? false
}

function readText(name: string): string {
  return decode(name, readBytes(name))
}

/** Rejects other encodings, because writing the text back as UTF-8 would change every byte. */
function decode(name: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new BerthError(
      'manifest-invalid',
      `${name}: it is not UTF-8, the only encoding that kubectl reads; convert it first`,
      { cause },
    )
  }
}

function readBytes(name: string): Buffer {
  try {
    return readFileSync(name)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new BerthError(
      'manifest-invalid',
      `${name} cannot be read: ${code}; -f takes files, directories and -`,
      { cause },
    )
  }
}

/** Returns why an invalid file is skipped: it is from a directory and looks like a template. Throws `manifest-invalid` for any other invalid file. */
export function skipTemplate(
  file: ManifestFile,
  problem: { readonly line: number | null; readonly message: string },
): string {
  const position = problem.line === null ? file.name : `${file.name}:${problem.line}`
  if (file.isFromDirectory && file.text.includes('{{'))
    return `${position}: skipped, because it looks like a template; render it first`
  throw new BerthError(
    'manifest-invalid',
    `${position}: ${problem.message}; manifests are YAML or JSON`,
  )
}
