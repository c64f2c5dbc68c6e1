/** Rewrites manifest files one by one. Reads and writes no file itself. */
import { type ManifestFile, skipFile } from './manifest-files.ts'
import {
  type RewriteDependencies,
  rewriteManifests,
  type RewriteOptions,
  type Rewritten,
} from './rewrite.ts'

/** A file and its new text. */
export interface RewrittenFile extends Rewritten {
  readonly file: ManifestFile
}

/**
 * Rewrites the files in order. A file that is skipped keeps its text; `onProblem` receives the reason. Throws
 * `manifest-invalid`.
 */
export async function rewriteFiles(
  dependencies: RewriteDependencies,
  files: readonly ManifestFile[],
  options: RewriteOptions & { readonly onProblem: (message: string) => void },
): Promise<RewrittenFile[]> {
  const rewritten: RewrittenFile[] = []
  for (const file of files) {
    const result = await rewriteManifests(dependencies, file.text, options)
    if (result.ok) rewritten.push({ ...result, file })
    else {
      options.onProblem(skipFile(file, result))
      rewritten.push({ file, text: file.text, images: [], others: [], notes: [], denied: [] })
    }
  }
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
