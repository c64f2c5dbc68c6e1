/** Rewrites manifest files. Writes no file itself; reads only what kustomizations refer to. */
import { type KustomizeRewrite, prepareKustomize } from './kustomize/rewrite-kustomize.ts'
import { addUnread, type ManifestFile, requireSomeRead } from './manifest-files.ts'
import { readNamespaceModes } from './namespace-modes.ts'
import {
  type ManifestNote,
  type RewriteDependencies,
  rewriteManifests,
  type RewriteOptions,
  type Rewritten,
} from './rewrite.ts'
import type { UnreadFiles } from './unread-files.ts'

/** A file and its new text. */
export interface RewrittenFile extends Rewritten {
  readonly file: ManifestFile
  /** Why a kustomization, and what it reads, stay as they are. */
  readonly refused: readonly ManifestNote[]
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
  const kustomize = await prepareKustomize(dependencies, files, options)
  const rewritten: RewrittenFile[] = []
  let read = 0
  const namespaceModes = readNamespaceModes(files.map(({ text }) => text))
  for (const file of files) {
    const kept = kustomize?.keptIn(file) ?? null
    const result = await rewriteManifests(dependencies, file.text, {
      ...options,
      kept,
      namespaceModes,
    })
    if (result.ok) {
      read += 1
      rewritten.push({ ...result, file, refused: [] })
    } else {
      addUnread(options.unread, file, result)
      rewritten.push(unchanged(file))
    }
  }
  requireSomeRead(read, files.length, options.unread)
  return kustomize === null ? rewritten : withKustomizations(rewritten, kustomize)
}

function unchanged(file: ManifestFile): RewrittenFile {
  const nothing = { images: [], others: [], notes: [], elsewhere: [], denied: [], refused: [] }
  return { file, text: file.text, ...nothing }
}

/** Changes the kustomizations to fit the rewritten files, or leaves both as they are. */
function withKustomizations(
  rewritten: readonly RewrittenFile[],
  kustomize: KustomizeRewrite,
): RewrittenFile[] {
  const texts = new Map(rewritten.map(({ file, text }) => [file, text]))
  const { edited, unchanged: left } = kustomize.finish((file) => texts.get(file) ?? file.text)
  return rewritten.map((result) => {
    const { file } = result
    const path = file.state?.realPath
    if (path === undefined) return result
    const edit = edited.get(path)
    if (edit !== undefined) return { ...result, ...edit }
    return left.has(path) ? unchanged(file) : result
  })
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
