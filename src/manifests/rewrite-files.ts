/** Rewrites manifest files one by one. Reads and writes no file itself. */
import { addUnread, type ManifestFile, requireSomeRead } from './manifest-files.ts'
import {
  type RewriteDependencies,
  rewriteManifests,
  type RewriteOptions,
  type Rewritten,
} from './rewrite.ts'
import type { UnreadFiles } from './unread-files.ts'

/** A file and its new text. */
export interface RewrittenFile extends Rewritten {
  readonly file: ManifestFile
}

/**
 * Rewrites the files in order. A file without manifests keeps its text, and is recorded in `unread`. Throws
 * `manifest-invalid` if no file has manifests.
 */
export async function rewriteFiles(
  dependencies: RewriteDependencies,
  files: readonly ManifestFile[],
  options: RewriteOptions & { readonly unread: UnreadFiles },
): Promise<RewrittenFile[]> {
  const rewritten: RewrittenFile[] = []
  let read = 0
  for (const file of files) {
    const result = await rewriteManifests(dependencies, file.text, options)
    if (result.ok) {
      read += 1
      rewritten.push({ ...result, file })
    } else {
      addUnread(options.unread, file, result)
      rewritten.push({ file, text: file.text, images: [], others: [], notes: [], denied: [] })
    }
  }
  requireSomeRead(read, files.length, options.unread)
  return rewritten
}

export function isRewritten({ file, text }: RewrittenFile): boolean {
  return text !== file.text
}

/** Joins the texts of several files into one stream of YAML documents. */
export function joinDocuments(texts: readonly string[]): string {
  return texts.reduce((whole, text) => {
    if (whole === '') return text
    const ended = whole.endsWith('\n') ? whole : `${whole}\n`
    return /^---(?:\s|$)/.test(text) ? ended + text : `${ended}---\n${text}`
  }, '')
}
