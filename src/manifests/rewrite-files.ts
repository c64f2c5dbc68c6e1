/** Rewrites manifest files. Writes no file itself; reads only what kustomizations refer to. */
import { refuseForOutside } from './kustomize/outside.ts'
import { type KustomizeRewrite, prepareKustomize } from './kustomize/rewrite-kustomize.ts'
import { readValueOverrides } from './helm/value-overrides.ts'
import { addUnread, type ManifestFile, requireSomeRead } from './manifest-files.ts'
import { readNamespaceModes } from './namespace-modes.ts'
import type { ManifestNote } from './decided-pod.ts'
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
  /** Why a kustomization, and what it reads, stay as they are. */
  readonly refused: readonly ManifestNote[]
}

export interface RewriteFilesOptions extends Omit<RewriteOptions, 'helmValues'> {
  /** Whether images in Helm values are rewritten. Values files are rewritten only if the user named them. */
  readonly helmValues: boolean
  /** Whether the new texts replace the files, so that other kustomizations read them. */
  readonly inPlace: boolean
  readonly unread: UnreadFiles
}

/**
 * Rewrites the files in order. A file without manifests keeps its text, and is recorded in `unread`. Throws
 * `manifest-invalid` if no file has manifests.
 */
export async function rewriteFiles(
  dependencies: RewriteDependencies,
  files: readonly ManifestFile[],
  options: RewriteFilesOptions,
): Promise<RewrittenFile[]> {
  const kustomize = await prepareKustomize(dependencies, files, options)
  const rewritten: RewrittenFile[] = []
  let read = 0
  const namespaceModes = readNamespaceModes(files.map(({ text }) => text))
  const overrides = options.helmValues ? readValueOverrides(files) : null
  for (const file of files) {
    const kept = kustomize?.keptIn(file) ?? null
    const result = await rewriteManifests(dependencies, file.text, {
      ...options,
      kept,
      namespaceModes,
      helmValues: overrides && { overrides, isValuesFile: !file.isFromDirectory },
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
  const results = kustomize === null ? rewritten : withKustomizations(rewritten, kustomize)
  return options.inPlace ? withoutRefused(results, dependencies) : results
}

/** Leaves the files as they are that a kustomization needs which is not among them. */
function withoutRefused(
  results: readonly RewrittenFile[],
  { workloads }: RewriteDependencies,
): RewrittenFile[] {
  const texts = new Map(results.map(({ file, text }) => [file, text]))
  const files = results.map(({ file }) => file)
  const refused = refuseForOutside(files, (file) => texts.get(file) ?? file.text, workloads)
  const reported = new Set<string>()
  return results.map((result) => {
    const message = refused.get(result.file.state?.realPath ?? '')
    if (message === undefined || !isRewritten(result)) return result
    const note = {
      line: null,
      object: 'kustomization',
      message: `this file is not rewritten: ${message}`,
    }
    const isNew = !reported.has(message)
    reported.add(message)
    return { ...unchanged(result.file), refused: isNew ? [note] : [] }
  })
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
