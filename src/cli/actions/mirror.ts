/** Runs `berth mirror`: copies images to mirrors and verifies the copies. */
import type { Config } from '../../config/config.ts'
import { type MirrorRegistries, openMirrorRegistries } from '../../engine/mirror-registries.ts'
import { appendAuditLog } from '../../mirror/audit-log.ts'
import { KubeError } from '../../kube/error.ts'
import {
  mirrorImages,
  planWithoutProbing,
  type ProgressListener,
} from '../../mirror/mirror-images.ts'
import { isVerified } from '../../policies/covered-image.ts'
import type { PolicyRule } from '../../policies/policy-rule.ts'
import type { ImagePair } from '../../mirror/image-pair.ts'
import type { ImageVerifier } from '../../mirror/verify-image.ts'
import { type CopyResult, resultRecord } from '../../mirror/copy-result.ts'
import {
  areAllPairs,
  type CollectedPairs,
  type CollectPairsOptions,
} from '../../mirror/collect-pairs.ts'
import { defaultConfigFile, findConfigFile } from '../config-file.ts'
import type { ImageStore } from '../../registry/images/image-store.ts'
import { imageSources } from '../image-sources.ts'
import { type Io, print, printMessage, signalExitCode } from '../io.ts'
import type { ImageSourceOptions } from '../options.ts'
import type { Progress } from '../output/mirror-progress.ts'
import { type FormatItem, loadItemFormat } from '../output/item-format.ts'
import {
  collectLayoutPairs,
  type LayoutChoice,
  needNoTable,
  openLayouts,
} from './mirror-layouts.ts'
import { describeResult, mirrorExitCode, summarize } from '../output/mirror-report.ts'

/** Options that `mirror` and `drift` share. */
export interface CopyOptions extends ImageSourceOptions {
  readonly config?: string
  readonly pair?: boolean
  readonly dryRun?: boolean
  /** False for a dry run that asks no registry. */
  readonly probe?: boolean
  readonly jobs: number
  readonly output: 'table' | 'json' | 'yaml'
  readonly auditLog?: string
  readonly quiet?: boolean
  readonly secretsDir: string
  readonly allowMissingAttestations?: boolean
  readonly platform?: readonly string[]
}

export interface MirrorOptions extends CopyOptions, LayoutChoice {
  readonly deep?: boolean
  readonly referrers?: boolean
  readonly policies?: readonly string[]
  readonly foreignLayers?: boolean
  readonly createRepos?: boolean
  readonly quotaFloor?: number
  readonly contexts?: readonly string[]
  readonly prune?: boolean
  /** In milliseconds. */
  readonly olderThan?: number
  readonly lock?: readonly string[]
  readonly yes?: boolean
}

/** The source and the destination of copies: registries, or image layouts. */
interface CopyStores extends Pick<MirrorRegistries, 'config' | 'createRepository'> {
  readonly sources: ImageStore
  readonly destinations: ImageStore
}

/** Returns 0; 1 if a copy failed; 3 if all failed because no registry could be reached; 130 or 143 if it was stopped. */
export async function mirror(
  names: readonly string[],
  options: MirrorOptions,
  io: Io,
): Promise<number> {
  const opened = await openRegistries(names, options, io)
  try {
    return await mirrorThrough(opened, { names, options }, io)
  } finally {
    await opened.registries.close()
  }
}

async function mirrorThrough(
  opened: MirrorRegistries,
  { names, options }: { readonly names: readonly string[]; readonly options: MirrorOptions },
  io: Io,
): Promise<number> {
  const layouts = await openLayouts(options)
  try {
    const hasAllPlatforms = options.platform === undefined
    const isOffline = options.probe === false
    const collected = { ...collectOptions(names, options, io), hasAllPlatforms, isOffline }
    const wanted = await collectLayoutPairs(opened, layouts, collected)
    reportUnmirrored(wanted, options, io)
    if (isOffline) {
      printPlan(wanted.pairs, { ...options, format: await loadItemFormat(options.output) }, io)
      collected.unread.throwInvalid()
      return wanted.unlisted.length > 0 ? 1 : 0
    }
    const rules = await verificationRules(opened.config, options, io)
    const needsReferrers: NeedsReferrers = ({ source, destination, mirrors = [] }) =>
      [source, destination, ...mirrors].some((reference) => isVerified(rules, reference))
    const sources = layouts.from ?? opened.images
    const stores = { ...opened, sources, destinations: layouts.to ?? opened.images }
    const results = await copyAll(stores, { ...options, needsReferrers }, wanted.pairs, io)
    const stopped = signalExitCode(io)
    if (stopped !== null) return stopped
    collected.unread.throwInvalid()
    return Math.max(mirrorExitCode(results), wanted.unlisted.length > 0 ? 1 : 0)
  } finally {
    await layouts.close()
  }
}

/** Returns whether the signatures of an image are copied, even without `--referrers` and `mirror.referrers`. */
type NeedsReferrers = (pair: ImagePair) => boolean

/**
 * Returns the rules of the verification policies. The images that they cover need their signatures on the mirror. Without
 * `--policies`, `--from-cluster` reads the policies of the cluster, and copies no signatures if they cannot be read.
 */
async function verificationRules(
  config: Config | null,
  options: MirrorOptions,
  io: Io,
): Promise<readonly PolicyRule[]> {
  const { policies, fromCluster, referrers } = options
  if (policies === undefined && fromCluster !== true) return []
  if (referrers === true || config?.mirror.referrers === true) return []
  const { readPolicies } = await import('../read-policies.ts')
  try {
    const files = await readPolicies(policies ?? ['cluster'], options, io)
    return files.flatMap(({ rules }) => rules)
  } catch (error) {
    if (policies !== undefined || !(error instanceof KubeError)) throw error
    printMessage(
      io,
      `no signatures are copied, because the policies of the cluster cannot be read: ${error.message}`,
    )
    return []
  }
}

interface ResultOptions extends Pick<CopyOptions, 'output' | 'quiet'> {
  readonly format: FormatItem
}

function printPlan(pairs: readonly ImagePair[], options: ResultOptions, io: Io): void {
  const results = planWithoutProbing(pairs)
  for (const result of results) printResult(result, options, io)
  if (options.quiet !== true) print(io.stderr, summarize(results, 0))
}

function printResult(result: CopyResult, { output, quiet, format }: ResultOptions, io: Io): void {
  if (output !== 'table') print(io.stdout, format(resultRecord(result)))
  else if (quiet !== true || result.status === 'failed') print(io.stdout, describeResult(result))
}

/** Opens the registries of the config and of the names. Throws `config-unreadable` and `config-invalid`. */
export async function openRegistries(
  names: readonly string[],
  { config, secretsDir, createRepos, ...layouts }: MirrorOptions,
  io: Io,
): Promise<MirrorRegistries> {
  return openMirrorRegistries({
    config: await readConfig(config, needNoTable(names, layouts) || areAllPairs(names)),
    names,
    secretsDirectory: secretsDir,
    createRepositories: createRepos === true,
    env: io.env,
    onProblem: (message) => printMessage(io, message),
  })
}

export function collectOptions(
  names: readonly string[],
  options: ImageSourceOptions & Pick<CopyOptions, 'pair'>,
  io: Io,
): CollectPairsOptions {
  return { ...imageSources(options, io), names, isPair: options.pair === true, signal: io.signal }
}

/**
 * Returns the config; null if there is no config file and none is needed. Loaded late: the config's libraries are a third
 * of what this verb loads.
 */
async function readConfig(given: string | undefined, isOptional: boolean): Promise<Config | null> {
  if (given === undefined && isOptional && defaultConfigFile() === undefined) return null
  const { loadConfig } = await import('../../config/load.ts')
  return loadConfig(findConfigFile(given))
}

/** Prints which images cannot be copied, and why. */
export function reportUnmirrored(
  { skipped, unlisted }: CollectedPairs,
  { quiet }: Pick<CopyOptions, 'quiet'>,
  io: Io,
): void {
  for (const { image, reason } of quiet === true ? [] : skipped)
    printMessage(io, `${image} is skipped: ${reason}`)
  for (const { image, reason } of unlisted) printMessage(io, `${image}: ${reason}`)
}

/** Copies the pairs, shows the progress, and prints each result. */
export async function copyAll(
  { sources, destinations, config, createRepository }: CopyStores,
  options: MirrorOptions & { readonly needsReferrers: NeedsReferrers },
  pairs: readonly ImagePair[],
  io: Io,
): Promise<readonly CopyResult[]> {
  const isQuiet = options.quiet === true
  const now = () => performance.now()
  const began = now()
  const bars =
    io.stderr.isTTY === true && !isQuiet && pairs.length > 0
      ? await createBars(io.stderr, pairs.length, now)
      : null
  const shown = { ...options, format: await loadItemFormat(options.output) }
  const audit = appendAuditLog(options.auditLog)
  const progress: ProgressListener = {
    started: (pair) => bars?.started(pair),
    planned: (pair, bytes) => bars?.planned(pair, bytes),
    moved: (pair, bytes) => bars?.moved(pair, bytes),
    finished: (result) => {
      audit(result)
      bars?.finished(result.pair)
      // While bars are on the screen, lines between them would break up the drawing.
      if (bars === null) printResult(result, shown, io)
    },
  }
  const verifier = await loadVerifier(config)
  try {
    const dependencies = { sources, destinations, now, createRepository, verifier }
    const results = await mirrorImages(dependencies, pairs, {
      signal: io.signal,
      // A disk is read quickly, and may be damaged.
      deep: options.deep === true || options.to !== undefined,
      dryRun: options.dryRun === true,
      needsReferrers: options.needsReferrers,
      referrers: options.referrers === true || config?.mirror.referrers === true,
      foreignLayers: mayFetchForeignLayers(options, config),
      ...(options.platform === undefined ? {} : { platforms: options.platform }),
      allowMissingAttestations: options.allowMissingAttestations === true,
      quotaFloor: options.quotaFloor ?? config?.mirror.quotaFloor ?? 10,
      jobs: options.jobs,
      progress,
    })
    bars?.stop()
    if (bars !== null) for (const result of results) printResult(result, shown, io)
    if (!isQuiet) print(io.stderr, summarize(results, (now() - began) / 1000))
    return results
  } finally {
    bars?.stop()
  }
}

/** With `--from`, the machine may have no internet. */
function mayFetchForeignLayers(
  { from, foreignLayers }: MirrorOptions,
  config: Config | null,
): boolean {
  return from === undefined && (foreignLayers === true || config?.mirror.foreignLayers === true)
}

/** Loads the verifier only if the config has `mirror.verify`. */
async function loadVerifier(config: Config | null): Promise<ImageVerifier | null> {
  if (config === null || config.mirror.verify.length === 0) return null
  const { createImageVerifier } = await import('../../mirror/verify-image.ts')
  return createImageVerifier(config.mirror.verify)
}

async function createBars(
  stream: Io['stderr'],
  images: number,
  now: () => number,
): Promise<Progress> {
  const { createProgress } = await import('../output/mirror-progress.ts')
  return createProgress(stream, images, now)
}
