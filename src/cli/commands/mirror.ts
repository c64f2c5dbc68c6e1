/** `berth mirror`: copies images to mirrors, with proof. */
import { appendFileSync } from 'node:fs'
import { BerthError } from '../../errors.ts'
import type { Progress } from '../output/mirror-progress.ts'
import { describeResult, exitCodeOf, summary, toRecord } from '../output/mirror-report.ts'
import type { CopyResult } from '../../mirror/copy-result.ts'
import { mirrorImages, type ProgressListener } from '../../mirror/mirror-images.ts'
import type { ImagePair } from '../../mirror/image-pair.ts'
import {
  configFile,
  count,
  defaultConfigFile,
  imageSourceOptions,
  imageSources,
  oneOf,
  type Parsed,
  readArguments,
  text,
} from '../options.ts'
import { type Command, type Io, print } from '../io.ts'
import type { Config } from '../../config/config.ts'
import { areAllPairs, collectPairs, type CollectPairsOptions } from '../../mirror/collect-pairs.ts'
import { openMirror, type OpenedMirror } from '../../engine/mirror-registries.ts'
import { defaultSecretsDirectory } from '../../engine/secrets-directory.ts'

export const usage =
  'berth mirror [SRC DST | SRC=DST… | IMAGE… | -] [-f FILE|DIR|-…] [-R] [--from-cluster] [-n NAMESPACE | -A] [--config FILE] [--dry-run] [--fast] [--referrers] [--create-repos] [--jobs N] [--quota-floor N] [-o table|json] [--audit-log FILE] [-q] [--context NAME] [--kubeconfig FILE] [--secrets-dir DIR]'

/** Images at once: enough for one to be read while another is stored; registries ask for no more than a few connections. */
const defaultJobs = 4

/** Exits with 0, 1 when a copy failed, 3 when every one failed because a registry was out of reach, 143 on SIGTERM. */
export const mirror: Command = async (args, io) => {
  const parsed = readArguments(
    args,
    {
      config: { type: 'string' },
      ...imageSourceOptions,
      'dry-run': { type: 'boolean' },
      fast: { type: 'boolean' },
      referrers: { type: 'boolean' },
      'create-repos': { type: 'boolean' },
      platform: { type: 'string' },
      jobs: { type: 'string' },
      'quota-floor': { type: 'string' },
      output: { type: 'string', short: 'o' },
      'audit-log': { type: 'string' },
      quiet: { type: 'boolean', short: 'q' },
      'secrets-dir': { type: 'string' },
    },
    usage,
  )
  const { values } = parsed
  if (values['platform'] !== undefined) throw new BerthError('usage', platformRefused)
  oneOf(values, 'output', ['table', 'json'])
  const opened = await openRegistries(parsed, io)
  try {
    const { pairs, skipped, unlisted } = await collectPairs(opened, wantedPairsOptions(parsed, io))
    const isQuiet = values['quiet'] === true
    for (const { image, reason } of isQuiet ? [] : skipped) {
      print(io.stderr, `berth: ${image} is passed over: ${reason}`)
    }
    for (const { image, reason } of unlisted) print(io.stderr, `berth: ${image}: ${reason}`)
    const results = await copyAll(opened, parsed, pairs, io)
    return signalCode(io) ?? Math.max(exitCodeOf(results), unlisted.length > 0 ? 1 : 0)
  } finally {
    await opened.registries.close()
  }
}

/** Opens what the options name. Throws `config-unreadable` and `config-invalid`. */
export async function openRegistries(
  { values, positionals }: Parsed,
  io: Io,
): Promise<OpenedMirror> {
  return openMirror({
    config: await readConfig(values, positionals),
    names: positionals,
    secretsDirectory: text(values, 'secrets-dir') ?? defaultSecretsDirectory,
    createRepositories: values['create-repos'] === true,
    env: io.env,
    onProblem: (message) => print(io.stderr, `berth: ${message}`),
  })
}

export function wantedPairsOptions(parsed: Parsed, io: Io): CollectPairsOptions {
  return { ...imageSources(parsed.values, io), names: parsed.positionals, signal: io.signal }
}

/** Null if there is no config file and none is needed. Loaded late: its libraries are a third of what a command loads. */
async function readConfig(
  values: Parsed['values'],
  names: readonly string[],
): Promise<Config | null> {
  const isNeeded = text(values, 'config') !== undefined || !areAllPairs(names)
  if (!isNeeded && defaultConfigFile() === undefined) return null
  const { loadConfig } = await import('../../config/load.ts')
  return loadConfig(configFile(values))
}

const platformRefused =
  '--platform would give the mirror another digest than upstream, and nodes of other platforms nothing; the whole image is copied, and shared layers only once'

/** Copies, shows how it goes, and reports. */
export async function copyAll(
  { registries, config, createRepository }: OpenedMirror,
  { values }: Parsed,
  pairs: readonly ImagePair[],
  io: Io,
): Promise<readonly CopyResult[]> {
  const isQuiet = values['quiet'] === true
  const isJson = values['output'] === 'json'
  const now = () => performance.now()
  const began = now()
  const bars =
    io.stderr.isTTY === true && !isQuiet && pairs.length > 0
      ? await barsOn(io.stderr, pairs.length, now)
      : null
  const tell = (result: CopyResult) => {
    if (isJson) print(io.stdout, JSON.stringify(toRecord(result)))
    else if (!isQuiet || result.status === 'failed') print(io.stdout, describeResult(result))
  }
  const audit = auditLog(text(values, 'audit-log'))
  const progress: ProgressListener = {
    started: (pair) => bars?.started(pair),
    planned: (pair, bytes) => bars?.planned(pair, bytes),
    moved: (pair, bytes) => bars?.moved(pair, bytes),
    finished: (result) => {
      audit(result)
      bars?.finished(result.pair)
      // Lines between bars that move would be torn.
      if (bars === null) tell(result)
    },
  }
  try {
    const results = await mirrorImages({ registries, now, createRepository }, pairs, {
      signal: io.signal,
      deep: values['fast'] !== true,
      dryRun: values['dry-run'] === true,
      referrers: values['referrers'] === true || config?.mirror.referrers === true,
      quotaFloor: count(values, 'quota-floor', config?.mirror.quotaFloor ?? 10),
      jobs: Math.max(1, count(values, 'jobs', defaultJobs)),
      progress,
    })
    bars?.stop()
    if (bars !== null) results.forEach(tell)
    if (!isQuiet) print(io.stderr, summary(results, (now() - began) / 1000))
    return results
  } finally {
    bars?.stop()
  }
}

async function barsOn(stream: Io['stderr'], images: number, now: () => number): Promise<Progress> {
  const { createProgress } = await import('../output/mirror-progress.ts')
  return createProgress(stream, images, now)
}

/** 128 and the number of the signal, as shells have it. */
export function signalCode({ signal }: Io): number | null {
  if (!signal.aborted) return null
  return signal.reason === 'SIGINT' ? 130 : 143
}

/** One JSON line for each image, in a file that is only ever added to. Opened at once: a run that nobody can audit does not begin. */
function auditLog(file: string | undefined): (result: CopyResult) => void {
  if (file === undefined) return () => undefined
  const append = (line: string) => {
    try {
      appendFileSync(file, line, { mode: 0o644 })
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      throw new BerthError(
        'usage',
        `${file} cannot be written: ${code}; --audit-log takes a file`,
        { cause },
      )
    }
  }
  append('')
  return (result) =>
    append(`${JSON.stringify({ time: new Date().toISOString(), ...toRecord(result) })}\n`)
}
