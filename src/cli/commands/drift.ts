/** `berth drift`: whether the mirrors still hold what upstream serves, and what to do where they do not. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { BerthError } from '../../errors.ts'
import { type DriftResult, driftExitCode, findDrift, isBehind } from '../../mirror/drift.ts'
import { driftRecord, driftTable } from '../output/drift-report.ts'
import type { ImagePair } from '../../mirror/image-pair.ts'
import { exitCodeOf } from '../output/mirror-report.ts'
import type { CopyResult } from '../../mirror/copy-result.ts'
import { formatReference } from '../../decision/reference/reference.ts'
import { tagTtlMs } from '../../decision/resolve/manifest-cache.ts'
import {
  connection,
  count,
  imageSourceOptions,
  oneOf,
  type Parsed,
  readArguments,
  text,
} from '../options.ts'
import { type Command, type Io, print } from '../io.ts'
import { copyAll, openRegistries, signalCode, wantedPairsOptions } from './mirror.ts'
import type { ServedImage } from '../../mirror/outdated-images.ts'
import { type WorkloadRestart, restartWorkloads } from '../../mirror/restart-workloads.ts'
import { collectPairs } from '../../mirror/collect-pairs.ts'
import type { OpenedMirror } from '../../engine/mirror-registries.ts'

export const usage =
  'berth drift [SRC DST | SRC=DST… | IMAGE… | -] [-f FILE|DIR|-…] [-R] [--from-cluster] [-n NAMESPACE | -A] [--config FILE] [--platforms] [--update [--restart]] [--dry-run] [--jobs N] [-o table|json] [--audit-log FILE] [-q] [--context NAME] [--kubeconfig FILE] [--secrets-dir DIR]'

/** Two HEADs each: more at once than images being copied. */
const defaultJobs = 16

/** Exits with 0 when all is the same, or was made so; 1 for drift, 3 when nothing could be told of something. */
export const drift: Command = async (args, io) => {
  const parsed = readArguments(
    args,
    {
      config: { type: 'string' },
      ...imageSourceOptions,
      platforms: { type: 'boolean' },
      update: { type: 'boolean' },
      restart: { type: 'boolean' },
      'dry-run': { type: 'boolean' },
      jobs: { type: 'string' },
      output: { type: 'string', short: 'o' },
      'audit-log': { type: 'string' },
      quiet: { type: 'boolean', short: 'q' },
      'secrets-dir': { type: 'string' },
    },
    usage,
  )
  const { values } = parsed
  oneOf(values, 'output', ['table', 'json'])
  const isUpdate = values['update'] === true
  if (values['restart'] === true && !isUpdate)
    throw new BerthError('usage', `--restart goes with --update\nusage: ${usage}`)
  const opened = await openRegistries(parsed, io)
  try {
    const { pairs, skipped, unlisted } = await collectPairs(opened, wantedPairsOptions(parsed, io))
    for (const { image, reason } of values['quiet'] === true ? [] : skipped)
      print(io.stderr, `berth: ${image} is passed over: ${reason}`)
    for (const { image, reason } of unlisted) print(io.stderr, `berth: ${image}: ${reason}`)
    const drifts = await findDrift(opened.registries, pairs, {
      signal: io.signal,
      jobs: Math.max(1, count(values, 'jobs', defaultJobs)),
      platforms: values['platforms'] === true,
      seen: copiedBefore(text(values, 'audit-log')),
    })
    tell(drifts, parsed, io)
    const stopped = signalCode(io)
    if (stopped !== null) return stopped
    const code = isUpdate ? await update(opened, parsed, drifts, io) : driftExitCode(drifts)
    return code === 0 && unlisted.length > 0 ? 1 : code
  } finally {
    await opened.registries.close()
  }
}

function tell(drifts: readonly DriftResult[], { values }: Parsed, io: Io): void {
  if (values['output'] === 'json') {
    for (const each of drifts) print(io.stdout, JSON.stringify(driftRecord(each)))
    return
  }
  const shown = values['quiet'] === true ? drifts.filter(({ state }) => state !== 'same') : drifts
  if (shown.length > 0) print(io.stdout, driftTable(shown))
}

/** Copies what is behind, and restarts what still runs the old. What cannot be mended by copying keeps its exit code. */
async function update(
  opened: OpenedMirror,
  parsed: Parsed,
  drifts: readonly DriftResult[],
  io: Io,
): Promise<number> {
  const behind = drifts.filter(isBehind).map(({ pair }) => pair)
  const results = behind.length === 0 ? [] : await copyAll(opened, parsed, behind, io)
  const stopped = signalCode(io)
  if (stopped !== null) return stopped
  if (parsed.values['restart'] === true) {
    if (results.some(({ status }) => status === 'copied' || status === 'repaired'))
      await untilAskedAnew(parsed, io)
    const { values } = parsed
    const target = {
      connection: connection(values, io),
      allNamespaces: values['all-namespaces'] === true,
      namespace: text(values, 'namespace'),
      dryRun: values['dry-run'] === true,
      signal: io.signal,
    }
    await restartWorkloads(target, {
      served: [
        ...drifts.flatMap(({ pair, state, mirrorDigest }) =>
          state === 'same' && mirrorDigest !== null
            ? [{ image: pair.destination, digest: mirrorDigest, isNew: false }]
            : [],
        ),
        ...results.flatMap(servedBy),
      ],
      onPlan: (restarts) => print(io.stderr, restartPlan(restarts)),
    })
  }
  const left = driftExitCode(drifts.filter((each) => !isBehind(each)))
  return exitCodeOf(results) === 0 ? left : exitCodeOf(results)
}

/** A webhook may remember the digest before, and would pin the new pods to it. */
async function untilAskedAnew({ values }: Parsed, io: Io): Promise<void> {
  if (values['quiet'] !== true)
    print(io.stderr, `${tagTtlMs / 1_000} s until every webhook asks the mirror anew`)
  await sleep(tagTtlMs, undefined, { signal: io.signal }).catch(() => undefined)
}

/** With `--dry-run` the mirror would serve what upstream does. */
function servedBy({ pair, status, sourceDigest }: CopyResult): readonly ServedImage[] {
  if (status === 'failed' || sourceDigest === null) return []
  return [{ image: pair.destination, digest: sourceDigest, isNew: true }]
}

function restartPlan(restarts: readonly WorkloadRestart[]): string {
  if (restarts.length === 0) return 'nothing to restart'
  return restarts
    .map(
      ({ kind, namespace, name, images }) =>
        `restart ${kind} ${namespace}/${name} for ${images.join(', ')}`,
    )
    .join('\n')
}

/** What the audit log has of a pair. A line that is none is passed over: the file may have been cut off by a full disk. */
function copiedBefore(file: string | undefined): (pair: ImagePair) => ReadonlySet<string> | null {
  if (file === undefined) return () => null
  const digests = new Map<string, Set<string>>()
  for (const line of readLines(file)) {
    const { destination, sourceDigest, status } = readRecord(line)
    if (typeof destination !== 'string' || typeof sourceDigest !== 'string') continue
    // A plan has written nothing.
    if (status === 'planned') continue
    const known = digests.get(destination) ?? new Set()
    digests.set(destination, known.add(sourceDigest))
  }
  return ({ destination }) => digests.get(formatReference(destination)) ?? null
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch {
    // It is made by the first copy.
    return []
  }
}

function readRecord(line: string): Readonly<Record<string, unknown>> {
  try {
    return (JSON.parse(line) ?? {}) as Readonly<Record<string, unknown>>
  } catch {
    return {}
  }
}
