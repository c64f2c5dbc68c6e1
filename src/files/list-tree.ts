/** Lists the files of a directory. Reports links that lead out of the directory, and does not follow them. */
import { type Dirent, readdirSync, readlinkSync, realpathSync, type Stats, statSync } from 'node:fs'
import { join, sep } from 'node:path'
import { compareText } from '../text/compare.ts'
import { describeFileError } from './describe-file-error.ts'

export interface TreeFile {
  /** The path, which begins with the directory as the caller wrote it. */
  readonly path: string
  /** The path without links. */
  readonly realPath: string
}

export interface TreeOptions {
  /** Whether subdirectories are listed too. */
  readonly recursive: boolean
  /** Whether a file with this name is listed. */
  readonly includes: (name: string) => boolean
  /** Receives each path that is left out, and why. */
  readonly onSkipped: (path: string, why: string) => void
}

interface Walk extends TreeOptions {
  /** The directory that must not be left, without links. */
  readonly root: string
  /** Directories without links that are listed, or will be. Each is listed once, so that links cannot make a loop. */
  readonly known: Set<string>
}

/** Returns the files, sorted by name within their directory. Hidden names are left out. Throws as the functions of `node:fs`. */
export function listTree(directory: string, options: TreeOptions): TreeFile[] {
  const root = realpathSync(directory)
  const walk: Walk = { ...options, root, known: new Set([root]) }
  if (options.recursive) addDirectories(root, walk.known)
  return filesIn(walk, { path: directory, realPath: root })
}

/** Adds the directories below one that are reached without links. They are listed under their own names. */
function addDirectories(directory: string, known: Set<string>): void {
  for (const entry of entriesOf(directory)) {
    if (!entry.isDirectory()) continue
    const path = join(directory, entry.name)
    known.add(path)
    addDirectories(path, known)
  }
}

function entriesOf(directory: string): Dirent[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter(({ name }) => !name.startsWith('.'))
    .sort((one, other) => compareText(one.name, other.name))
}

function filesIn(walk: Walk, directory: TreeFile): TreeFile[] {
  return entriesOf(directory.realPath).flatMap((entry) => {
    const found = {
      path: join(directory.path, entry.name),
      realPath: join(directory.realPath, entry.name),
    }
    if (entry.isSymbolicLink()) return followLink(walk, found, entry.name)
    if (entry.isDirectory()) return walk.recursive ? filesIn(walk, found) : []
    if (!walk.includes(entry.name)) return []
    if (entry.isFile()) return [found]
    walk.onSkipped(found.path, 'it is not a regular file')
    return []
  })
}

/** Returns what a link adds to the list. */
function followLink(walk: Walk, link: TreeFile, name: string): TreeFile[] {
  const mayMatter = walk.recursive || walk.includes(name)
  const target = targetOf(link.path)
  const skip = (why: string) => {
    if (mayMatter) walk.onSkipped(link.path, why)
    return []
  }
  if ('problem' in target) return skip(target.problem)
  const { realPath, stats } = target
  if (stats.isDirectory() ? !walk.recursive : !walk.includes(name)) return []
  if (!isInside(walk.root, realPath))
    return skip(`it is a link to ${realPath}, which is outside of the given directory`)
  if (stats.isFile()) return [{ path: link.path, realPath }]
  if (!stats.isDirectory()) return skip('it is a link to something that is not a regular file')
  if (walk.known.has(realPath))
    return skip(`it is a link to the directory ${realPath}, which is read anyway`)
  walk.known.add(realPath)
  return filesIn(walk, { path: link.path, realPath })
}

type LinkTarget =
  { readonly realPath: string; readonly stats: Stats } | { readonly problem: string }

function targetOf(path: string): LinkTarget {
  try {
    const realPath = realpathSync(path)
    return { realPath, stats: statSync(realPath) }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR')
      return { problem: `it is a dangling link to ${readlinkSync(path)}` }
    if (code === 'ELOOP') return { problem: 'it is a link that leads to itself' }
    return { problem: `it is a link that cannot be followed (${describeFileError(error)})` }
  }
}

function isInside(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep)
}
