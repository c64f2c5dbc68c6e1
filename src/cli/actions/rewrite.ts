/** Runs `berth rewrite`: writes the webhook's decisions into manifests. */
import { createTwoFilesPatch } from 'diff'
import type { Config } from '../../config/config.ts'
import { readableWorkloads } from '../../config/known-workloads.ts'
import { loadConfig } from '../../config/load.ts'
import { undecidedParts } from '../../config/undecided.ts'
import { createBatchDecider } from '../../engine/batch-decider.ts'
import { createUnanswered, type UnansweredRegistry } from '../../engine/unanswered.ts'
import { BerthError } from '../../errors.ts'
import { replaceFile } from '../../files/replace-file.ts'
import { emptyStdin, readManifestFiles } from '../../manifests/manifest-files.ts'
import {
  isRewritten,
  joinDocuments,
  rewriteFiles,
  type RewrittenFile,
} from '../../manifests/rewrite-files.ts'
import { createUnreadFiles, type UnreadFiles } from '../../manifests/unread-files.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import { findConfigFile } from '../config-file.ts'
import { type Io, print, printFile, printMessage } from '../io.ts'
import { createPainter, type Painter } from '../output/colour.ts'
import { printDiff } from '../output/print-diff.ts'
import { groupedNoteLines, noteLines } from '../output/manifest-notes.ts'
import { elsewhereInFiles, printElsewhere, rewriteRecords } from '../output/rewrite-report.ts'
import { printRecord } from '../output/print-record.ts'

export interface RewriteOptions {
  readonly filename: readonly string[]
  readonly recursive?: boolean
  readonly diff?: boolean
  readonly inPlace?: boolean
  readonly check?: boolean
  /** A directory for overlays; the given files then stay. */
  readonly kustomizeOut?: string
  readonly strict?: boolean
  readonly imagesOnly?: boolean
  readonly helmValues?: boolean
  readonly probe: boolean
  readonly pin?: boolean
  readonly namespace?: string
  readonly owner?: readonly string[]
  readonly output: 'table' | 'json' | 'yaml'
  readonly config?: string
  readonly secretsDir: string
}

/**
 * Returns 0; 1 if `--check` finds something to change, `--strict` finds an image elsewhere, a rule denies an image, or `--pin` finds
 * no digest for one; 3 if `--check` finds nothing to change, but a registry did not say whether it has an image. If an image is
 * denied, or a file cannot be read, no manifests are printed or written. Throws `manifest-invalid` after everything else is printed.
 */
export async function rewrite(options: RewriteOptions, io: Io): Promise<number> {
  requireUsable(options)
  const config = pinAll(loadConfig(findConfigFile(options.config)), options.pin === true)
  noteMode(config, io)
  const { kustomizeOut } = options
  if (kustomizeOut !== undefined) {
    const { writeOverlays } = await import('./kustomize-out.ts')
    return writeOverlays(config, { ...options, kustomizeOut }, io)
  }
  return rewriteFilesOf(config, options, io)
}

async function rewriteFilesOf(config: Config, options: RewriteOptions, io: Io): Promise<number> {
  const unread = createUnreadFiles()
  const { files, unanswered } = await rewriteGiven(config, { ...options, unread }, io)
  printNotes(files, io)
  const isDenied = files.some(({ denied }) => denied.length > 0)
  if (options.output !== 'table') printRecord(files.flatMap(rewriteRecords), options.output, io)
  else if (options.check === true)
    for (const line of changeLines(files, createPainter(io.stdout, io.env))) print(io.stdout, line)
  if (!isDenied && options.output === 'table') printRewritten(files, { ...options, unread }, io)
  printElsewhere(elsewhereInFiles(files), io)
  if (unread.hasInvalid()) printMessage(io, unwrittenText(options))
  unread.throwInvalid()
  if (isDenied) return 1
  if (options.inPlace === true) replaceFiles(files.filter(isRewritten))
  if (isIncomplete(files, options)) return 1
  if (options.check !== true || unanswered.length === 0) return 0
  printMessage(io, unansweredText(unanswered))
  return 3
}

/** Returns whether the options ask to fail because of the files. */
function isIncomplete(
  files: readonly RewrittenFile[],
  { pin, strict, check }: RewriteOptions,
): boolean {
  const isUnpinned =
    pin === true && files.some(({ images }) => images.some(({ pinned, left }) => !pinned && !left))
  const isRefused = files.some(({ refused }) => refused.length > 0)
  const isElsewhere = strict === true && elsewhereInFiles(files).length > 0
  const isChanged = check === true && files.some(isRewritten)
  return isRefused || isUnpinned || isElsewhere || isChanged
}

/** Registries that a message names. With names of 40 characters, it is shorter than 600. */
const maxNamed = 10

function unansweredText(registries: readonly UnansweredRegistry[]): string {
  const names = registries.slice(0, maxNamed).map(({ host, outcome }) => `${host} (${outcome})`)
  const more = registries.length - names.length
  const text = names.join(', ') + (more > 0 ? ` and ${more} more` : '')
  return `it is not known whether something would change, because of ${text}; berth explain IMAGE shows why`
}

function noteMode({ mode }: Config, io: Io): void {
  if (mode === 'observe')
    printMessage(
      io,
      'the config has mode: observe, so the webhook changes no pods; manifests are rewritten anyway',
    )
}

function printNotes(files: readonly RewrittenFile[], io: Io): void {
  const lines = (key: 'denied' | 'refused' | 'notes') =>
    files.map((each) => ({ file: each.file.name, notes: each[key] }))
  const problems = [...lines('denied'), ...lines('refused')].flatMap(noteLines)
  for (const line of [...problems, ...groupedNoteLines(lines('notes'))]) print(io.stderr, line)
}

function unwrittenText({ inPlace, diff, check, output }: RewriteOptions): string {
  if (inPlace === true) return 'no file is changed, because not all files can be read:'
  return diff === true || check === true || output !== 'table'
    ? 'not all files can be read:'
    : 'no manifests are printed, because not all files can be read; --diff shows the changes of the others:'
}

function requireUsable({ filename, inPlace, pin, probe, check, strict }: RewriteOptions): void {
  if (strict === true && check !== true)
    throw new BerthError('usage', '--strict only works with --check; add --check')
  if (filename.length === 0)
    throw new BerthError('usage', 'no manifest is given; -f takes files, directories and -')
  if (inPlace === true && filename.includes('-'))
    throw new BerthError('usage', 'standard input cannot be changed in place; leave --in-place out')
  if (pin === true && !probe)
    throw new BerthError(
      'usage',
      '--pin asks registries for digests, and --no-probe forbids that; a lock file pins without asking',
    )
}

function pinAll(config: Config, isWanted: boolean): Config {
  if (!isWanted) return config
  return { ...config, pin: { ...config.pin, matches: () => true, overridesRows: true } }
}

const optionNames = { namespace: '--namespace', owners: '--owner' } as const

async function rewriteGiven(
  config: Config,
  options: RewriteOptions & { readonly unread: UnreadFiles },
  io: Io,
): Promise<{ files: RewrittenFile[]; unanswered: readonly UnansweredRegistry[] }> {
  const { filename, recursive, inPlace, probe, secretsDir, namespace, owner, unread } = options
  const onProblem = (message: string) => printMessage(io, message)
  const files = await readManifestFiles(filename, {
    recursive: recursive === true,
    stdin: io.stdin,
    unread,
  })
  // In a pipe, a chart without manifests is not an error.
  if (options.check === true && files.some(({ name, text }) => name === '-' && text.trim() === ''))
    unread.reject(emptyStdin)
  const pipe = files.find(({ state }) => state === null)
  if (inPlace === true && pipe !== undefined)
    throw new BerthError('usage', `${pipe.name} cannot be changed in place; leave --in-place out`)
  const decider = await createBatchDecider(config, {
    probe,
    secretsDirectory: secretsDir,
    env: io.env,
    onProblem,
  })
  const unanswered = createUnanswered(decider.decide)
  try {
    const rewritten = await rewriteFiles(
      {
        decide: unanswered.decide,
        policy: config,
        table: config.table,
        workloads: readableWorkloads(config),
        describeUndecided: (pod, resolution) =>
          undecidedParts(config, { pod, resolution }, optionNames),
      },
      files,
      {
        namespace: namespace ?? null,
        owners: owner ?? null,
        imagesOnly: options.imagesOnly === true,
        helmValues: options.helmValues === true,
        inPlace: inPlace === true || options.diff === true || options.check === true,
        signal: io.signal,
        unread,
      },
    )
    return { files: rewritten, unanswered: unanswered.registries() }
  } finally {
    unread.reportSkipped(onProblem)
    await decider.close()
  }
}

/** Replaces each file once, also if several names or links lead to it. */
function replaceFiles(files: readonly RewrittenFile[]): void {
  const replaced = new Set<string>()
  for (const { file, text } of files) {
    const { name, state } = file
    if (state === null || replaced.has(state.realPath)) continue
    replaceFile(name, text, state)
    replaced.add(state.realPath)
  }
}

/** Prints the new text or a diff to standard output, and what changed to standard error. */
function printRewritten(
  files: readonly RewrittenFile[],
  { diff, inPlace, check, unread }: RewriteOptions & { readonly unread: UnreadFiles },
  io: Io,
): void {
  if (check === true) return
  if (diff === true) {
    for (const { file, text } of files.filter(isRewritten))
      printDiff(createTwoFilesPatch(`a/${file.name}`, `b/${file.name}`, file.text, text), io)
  } else if (inPlace !== true && !unread.hasInvalid()) {
    printFile(io.stdout, joinDocuments(files.map(({ text }) => text)))
  }
  for (const line of changeLines(files, createPainter(io.stderr, io.env))) print(io.stderr, line)
}

function changeLines(files: readonly RewrittenFile[], paint: Painter): string[] {
  return files.flatMap(({ file, images, others }) => [
    ...images
      .filter(({ from, to }) => from !== to)
      .map(({ line, object, site, from, to, why }) => {
        const title = object === '' ? '' : `${object}: `
        const place = escapeLine(`${file.name}:${line}: ${title}${site}: ${from}`)
        return `${place} → ${paint('green', escapeLine(to))} ${paint('dim', escapeLine(`(${why})`))}`
      }),
    ...noteLines({ file: file.name, notes: others }),
  ])
}
