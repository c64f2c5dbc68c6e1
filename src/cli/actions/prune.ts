/** Runs `berth mirror --prune`: plans what nothing needs on the mirrors, and with --yes removes it. */
import type { Config } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import { readableWorkloads } from '../../config/known-workloads.ts'
import { openMirrorRegistries } from '../../engine/mirror-registries.ts'
import { BerthError } from '../../errors.ts'
import { connect } from '../../kube/connect.ts'
import { KubeError } from '../../kube/error.ts'
import { appendPruneLog, readTagHistory } from '../../mirror/audit-log.ts'
import { addClusterImages } from '../../mirror/prune/cluster-images.ts'
import {
  addConfiguredImages,
  addLockedImages,
  addManifestImages,
} from '../../mirror/prune/file-images.ts'
import { createNeededImages, type NeededImages } from '../../mirror/prune/needed-images.ts'
import { planPrune, type PrunePlan, unknownAge } from '../../mirror/prune/plan-prune.ts'
import { type RemovalResult, runPrune } from '../../mirror/prune/run-prune.ts'
import type { ImageStore } from '../../registry/images/image-store.ts'
import type { RegistryClient } from '../../registry/registry-client.ts'
import { escapeLine } from '../../text/escape-terminal.ts'
import { findConfigFile } from '../config-file.ts'
import { connectOptions } from '../connect-options.ts'
import { type Io, print, printMessage, signalExitCode } from '../io.ts'
import { createPainter } from '../output/colour.ts'
import { printRecord } from '../output/print-record.ts'
import { describeRemoval, pruneRecord, pruneTable, summarizePrune } from '../output/prune-report.ts'
import type { MirrorOptions } from './mirror.ts'

/**
 * Returns 0; 1 if something could not be removed; 130 or 143 if it was stopped. Throws `usage`, `prune-refused`, and the errors
 * of the config, the manifests and the clusters.
 */
export async function prune(
  repositories: readonly string[],
  options: MirrorOptions,
  io: Io,
): Promise<number> {
  const olderThanMs = checkOptions(options)
  const config = loadConfig(findConfigFile(options.config))
  const { registries, images } = await openMirrorRegistries({
    config,
    names: [],
    secretsDirectory: options.secretsDir,
    createRepositories: false,
    env: io.env,
    onProblem: (message) => printMessage(io, message),
  })
  try {
    const record = appendPruneLog(options.auditLog)
    const { needed, clusters } = await collectNeeds(config, images, options, io)
    const plan = await planPrune({
      config,
      registries,
      needed,
      only: repositories,
      olderThanMs,
      history: readTagHistory(options.auditLog),
      now: Date.now(),
      jobs: options.jobs,
      signal: io.signal,
      onRepository: progressOf(options, io),
    })
    record(unneededTags(plan))
    printPlan(plan, options, io)
    const results =
      options.yes === true ? await removeAll(plan, { registries, record }, options, io) : []
    if (options.output !== 'table')
      printRecord(pruneRecord(plan, clusters, results), options.output, io)
    printNotes(plan, results, options, io)
    return signalExitCode(io) ?? (results.every(({ status }) => status === 'removed') ? 0 : 1)
  } catch (error) {
    const stopped = signalExitCode(io)
    if (stopped === null || error instanceof BerthError) throw error
    return stopped
  } finally {
    await registries.close()
  }
}

/** Returns the age in milliseconds. Throws `usage`. */
function checkOptions({ olderThan, contexts = [], fromCluster }: MirrorOptions): number {
  if (olderThan === undefined)
    throw new BerthError('usage', '--prune needs --older-than AGE, for example --older-than 30d')
  if (contexts.length === 0 && fromCluster !== true)
    throw new BerthError(
      'usage',
      '--prune needs every cluster that pulls from the mirrors: give --context NAME for each, or --from-cluster for the current one only',
    )
  return olderThan
}

async function collectNeeds(
  config: Config,
  images: ImageStore,
  options: MirrorOptions,
  io: Io,
): Promise<{ readonly needed: NeededImages; readonly clusters: readonly string[] }> {
  const onProblem = (message: string) => printMessage(io, message)
  const needed = createNeededImages(config.table)
  addLockedImages(needed, config, options.lock ?? [])
  await addManifestImages(needed, config, {
    files: options.filename,
    recursive: options.recursive === true,
    stdin: io.stdin,
    namespace: options.namespace,
    onProblem,
  })
  await addConfiguredImages(needed, config, images, io.signal)
  const { contexts = [] } = options
  const clusters: string[] = []
  for (const context of contexts.length === 0 ? [undefined] : new Set(contexts)) {
    const { kubeconfig } = options
    const target = { ...(kubeconfig && { kubeconfig }), ...(context && { context }) }
    const cluster = await connect(connectOptions(target, io))
    try {
      await addClusterImages(cluster.api, needed, {
        cluster: cluster.context,
        kinds: readableWorkloads(config),
        signal: io.signal,
        onProblem,
      })
      clusters.push(cluster.context)
    } catch (error) {
      if (!(error instanceof KubeError)) throw error
      const message = `nothing is planned, because cluster ${cluster.context} cannot be read: ${error.message}`
      throw new BerthError(error.code, message, { cause: error })
    } finally {
      await cluster.close()
    }
  }
  return { needed, clusters }
}

/** Repositories between two progress messages. */
const reportedRepositories = 50

function progressOf({ quiet }: MirrorOptions, io: Io): (name: string) => void {
  let count = 0
  return (name) => {
    count += 1
    if (quiet !== true && count % reportedRepositories === 0)
      printMessage(io, escapeLine(`reading repository ${count}, ${name}`))
  }
}

/** Returns the tags that nothing needs and whose age is unknown. The audit log lists them, so that their age counts from now. */
function unneededTags({
  repositories,
}: PrunePlan): Parameters<ReturnType<typeof appendPruneLog>>[0] {
  return repositories.flatMap(({ host, path, tags }) =>
    tags.flatMap(({ tag, digest, since, why }) =>
      why === unknownAge && since === null && digest !== null
        ? [
            {
              destination: `${host}/${path}:${tag}`,
              status: 'unneeded' as const,
              mirrorDigest: digest,
            },
          ]
        : [],
    ),
  )
}

function printPlan(plan: PrunePlan, { output, quiet }: MirrorOptions, io: Io): void {
  if (output !== 'table') return
  const paint = createPainter(io.stdout, io.env)
  print(io.stdout, pruneTable(plan, { now: Date.now(), isQuiet: quiet === true, paint }))
}

interface Removing {
  readonly registries: RegistryClient
  readonly record: ReturnType<typeof appendPruneLog>
}

async function removeAll(
  plan: PrunePlan,
  { registries, record }: Removing,
  { quiet }: MirrorOptions,
  io: Io,
): Promise<readonly RemovalResult[]> {
  const results: RemovalResult[] = []
  await runPrune(plan, {
    registries,
    signal: io.signal,
    onResult(result) {
      results.push(result)
      const { host, path, removal, status } = result
      if (quiet !== true || status !== 'removed')
        print(io.stderr, escapeLine(describeRemoval(result)))
      if (status !== 'removed') return
      record(
        removal.tags.map((tag) => ({
          destination: `${host}/${path}:${tag}`,
          status: 'removed',
          mirrorDigest: removal.digest,
        })),
      )
    },
  })
  return results
}

function printNotes(
  plan: PrunePlan,
  results: readonly RemovalResult[],
  { yes, quiet, auditLog }: MirrorOptions,
  io: Io,
): void {
  if (quiet === true) return
  print(io.stderr, summarizePrune(plan))
  const tags = plan.repositories.flatMap((each) => each.tags)
  if (tags.some(({ why }) => why === unknownAge))
    printMessage(
      io,
      auditLog === undefined
        ? 'the registry does not report the age of tags; with --audit-log FILE, Berth logs tags that nothing needs, and their age counts from then'
        : `${auditLog} now lists the tags of unknown age; their age counts from now`,
    )
  if (results.some(({ status }) => status === 'removed'))
    printMessage(io, 'run the garbage collection of the registry to free the space of what was removed') // prettier-ignore
  if (yes !== true && tags.some(({ action }) => action === 'remove'))
    printMessage(io, 'nothing was removed; add --yes to remove')
}
