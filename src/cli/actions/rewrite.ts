/** Runs `berth rewrite`: writes the webhook's decisions into manifests. */
import { createTwoFilesPatch } from 'diff'
import type { Config } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import { undecidedParts } from '../../config/undecided.ts'
import { createBatchDecider } from '../../engine/batch-decider.ts'
import { BerthError } from '../../errors.ts'
import { replaceFile } from '../../files/replace-file.ts'
import { readManifestFiles } from '../../manifests/manifest-files.ts'
import type { ImageChange, ManifestNote } from '../../manifests/rewrite.ts'
import {
  isRewritten,
  joinDocuments,
  rewriteFiles,
  type RewrittenFile,
} from '../../manifests/rewrite-files.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import { findConfigFile } from '../config-file.ts'
import { type Io, print, printFile, printMessage } from '../io.ts'
import { createPainter, type Painter } from '../output/colour.ts'
import { printRecord } from '../output/print-record.ts'

export interface RewriteOptions {
  readonly filename: readonly string[]
  readonly recursive?: boolean
  readonly diff?: boolean
  readonly inPlace?: boolean
  readonly check?: boolean
  readonly imagesOnly?: boolean
  readonly probe: boolean
  readonly pin?: boolean
  readonly namespace?: string
  readonly owner?: readonly string[]
  readonly output: 'table' | 'json'
  readonly config?: string
  readonly secretsDir: string
}

/**
 * Returns 0; 1 if `--check` finds something to change, a rule denies an image, or `--pin` finds no digest for one. If an
 * image is denied, nothing is printed or written.
 */
export async function rewrite(options: RewriteOptions, io: Io): Promise<number> {
  requireUsable(options)
  const config = pinAll(loadConfig(findConfigFile(options.config)), options.pin === true)
  const files = await rewriteGiven(config, options, io)
  for (const { file, notes, denied } of files)
    for (const note of [...denied, ...notes]) print(io.stderr, noteText(file.name, note))
  const isDenied = files.some(({ denied }) => denied.length > 0)
  if (options.output === 'json') printRecord(files.flatMap(records), 'json', io)
  else if (options.check === true)
    print(io.stdout, changeLines(files, createPainter(io.stdout, io.env)).join('\n'))
  if (isDenied) return 1
  if (options.output !== 'json') printRewritten(files, options, io)
  if (options.inPlace === true) replaceFiles(files.filter(isRewritten))
  const isUnpinned =
    options.pin === true &&
    files.some(({ images }) => images.some(({ pinned, left }) => !pinned && !left))
  return isUnpinned || (options.check === true && files.some(isRewritten)) ? 1 : 0
}

function requireUsable({ filename, inPlace, pin, probe }: RewriteOptions): void {
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
  { filename, recursive, inPlace, probe, secretsDir, namespace, owner, imagesOnly }: RewriteOptions,
  io: Io,
): Promise<RewrittenFile[]> {
  const onProblem = (message: string) => printMessage(io, message)
  const files = await readManifestFiles(filename, {
    recursive: recursive === true,
    stdin: io.stdin,
    onProblem,
  })
  const pipe = files.find(({ state }) => state === null)
  if (inPlace === true && pipe !== undefined)
    throw new BerthError('usage', `${pipe.name} cannot be changed in place; leave --in-place out`)
  const decider = createBatchDecider(config, {
    probe,
    secretsDirectory: secretsDir,
    env: io.env,
    onProblem,
  })
  try {
    return await rewriteFiles(
      {
        decide: decider.decide,
        policy: config,
        workloads: config.workloads,
        describeUndecided: (pod, resolution) =>
          undecidedParts(config, { pod, resolution }, optionNames),
      },
      files,
      {
        namespace: namespace ?? null,
        owners: owner ?? null,
        imagesOnly: imagesOnly === true,
        signal: io.signal,
        onProblem,
      },
    )
  } finally {
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
  { diff, inPlace, check }: RewriteOptions,
  io: Io,
): void {
  if (check === true) return
  if (diff === true) {
    for (const { file, text } of files.filter(isRewritten))
      printFile(io.stdout, createTwoFilesPatch(`a/${file.name}`, `b/${file.name}`, file.text, text))
  } else if (inPlace !== true) {
    printFile(io.stdout, joinDocuments(files.map(({ text }) => text)))
  }
  for (const line of changeLines(files, createPainter(io.stderr, io.env))) print(io.stderr, line)
}

function changeLines(files: readonly RewrittenFile[], paint: Painter): string[] {
  return files.flatMap(({ file, images, others }) => [
    ...images
      .filter(({ from, to }) => from !== to)
      .map(({ line, object, site, from, to, why }) => {
        const place = escapeLine(`${file.name}:${line}: ${object}: ${site}: ${from}`)
        return `${place} → ${paint('green', escapeLine(to))} ${paint('dim', escapeLine(`(${why})`))}`
      }),
    ...others.map((note) => noteText(file.name, note)),
  ])
}

function noteText(file: string, { line, message }: ManifestNote): string {
  return escapeLine(`${line === null ? file : `${file}:${line}`}: ${message}`)
}

/** The contract of `-o json`. */
function records({
  file,
  images,
}: RewrittenFile): (ImageChange & { readonly file: string; readonly changed: boolean })[] {
  return images.map((image) => ({ file: file.name, ...image, changed: image.from !== image.to }))
}
