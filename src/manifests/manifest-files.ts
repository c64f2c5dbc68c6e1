/** `-f FILE|DIR|-` as kubectl reads it: files, directories (with -R also those below), and standard input. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { buffer as readAll } from 'node:stream/consumers'
import { BerthError } from '../errors.ts'

export interface ManifestFile {
  /** As the user named it; `-` is standard input. */
  readonly name: string
  readonly text: string
  /** Whether it was found in a directory, where files of other kinds may lie beside manifests. */
  readonly isFound: boolean
}

/** What kubectl takes for manifests in a directory (cli-runtime, resource/interfaces.go, FileExtensions). */
const extensions = /\.(?:json|ya?ml)$/

/** Reads all of them, directories in the order of their names. Throws `manifest-invalid` for what cannot be read. */
export async function readManifestFiles(
  names: readonly string[],
  { recursive, stdin }: { readonly recursive: boolean; readonly stdin: Readable },
): Promise<ManifestFile[]> {
  const files: ManifestFile[] = []
  for (const name of names) {
    if (name === '-') files.push({ name, text: decode(name, await readAll(stdin)), isFound: false })
    else if (!isDirectory(name)) files.push({ name, text: read(name), isFound: false })
    else {
      const found = filesIn(name, recursive)
      files.push(...found.map((each) => ({ name: each, text: read(each), isFound: true })))
    }
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

function read(name: string): string {
  return decode(name, readBytes(name))
}

/** Other encodings would come back with other bytes where nothing was to change. */
function decode(name: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new BerthError(
      'manifest-invalid',
      `${name}: is not UTF-8, which is all that kubectl reads; convert it first`,
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

/** Throws `manifest-invalid` for a file that is no YAML; one with the brackets of a template that lay in a directory is only told of. */
export function refuse(
  file: ManifestFile,
  fault: { readonly line: number | null; readonly message: string },
): string {
  const place = fault.line === null ? file.name : `${file.name}:${fault.line}`
  if (file.isFound && file.text.includes('{{'))
    return `${place}: looks like a template, and is left alone: render it first`
  throw new BerthError('manifest-invalid', `${place}: ${fault.message}; manifests are YAML or JSON`)
}
