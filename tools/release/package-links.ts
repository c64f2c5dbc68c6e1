/** Removes links to files that are not in a package from its pages. */
import { posix } from 'node:path'

const link = /(?<!!)\[([^\]]+)\]\(([^)\s#]+)(?:#[^)\s]*)?\)/g

/** Returns the Markdown of a page at `path`. A link to a file or directory that is not among `paths` becomes its text. */
export function withoutMissingLinks(
  markdown: string,
  path: string,
  paths: ReadonlySet<string>,
): string {
  return markdown.replaceAll(link, (whole, text: string, target: string) => {
    if (/^[a-z]+:/.test(target)) return whole
    const file = posix.join(posix.dirname(path), target).replace(/\/$/, '')
    return paths.has(file) ? whole : text
  })
}

/** Returns the files, and all directories that they are in. */
export function withDirectories(files: readonly string[]): ReadonlySet<string> {
  const paths = new Set<string>()
  for (const file of files) {
    for (let path = file; path !== '.' && !paths.has(path); path = posix.dirname(path))
      paths.add(path)
  }
  return paths
}
