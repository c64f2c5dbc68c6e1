/** Runs `berth drift`: compares mirrors with upstream, and with --update copies what is behind. */
import { sleep } from '../../async/sleep.ts'
import { tagTtlMs } from '../../decision/resolve/manifest-cache.ts'
import type { MirrorRegistries } from '../../engine/mirror-registries.ts'
import { BerthError } from '../../errors.ts'
import { readAuditLog } from '../../mirror/audit-log.ts'
import { type DriftResult, driftExitCode, findDrift, isBehind } from '../../mirror/drift.ts'
import type { ServedImage } from '../../mirror/outdated-images.ts'
import { restartWorkloads, type WorkloadRestart } from '../../mirror/restart-workloads.ts'
import type { CopyResult } from '../../mirror/copy-result.ts'
import { collectPairs } from '../../mirror/collect-pairs.ts'
import { neverPushedReason } from '../../mirror/copy-plan.ts'
import { formatReference } from '../../decision/reference/reference.ts'
import { connectOptions } from '../connect-options.ts'
import { type Io, print, printMessage, signalExitCode } from '../io.ts'
import { driftRecord, driftTable } from '../output/drift-report.ts'
import { loadItemFormat } from '../output/item-format.ts'
import { mirrorExitCode } from '../output/mirror-report.ts'
import {
  collectOptions,
  copyAll,
  type CopyOptions,
  openRegistries,
  reportUnmirrored,
} from './mirror.ts'

export interface DriftOptions extends CopyOptions {
  readonly platforms?: boolean
  readonly deep?: boolean
  readonly update?: boolean
  readonly restart?: boolean
}

/** Returns 0 if nothing differs, or everything was updated; 1 for drift that is left; 3 if an image could not be checked. */
export async function drift(
  names: readonly string[],
  options: DriftOptions,
  io: Io,
): Promise<number> {
  if (options.restart === true && options.update !== true)
    throw new BerthError('usage', '--restart needs --update')
  const opened = await openRegistries(names, options, io)
  try {
    const collected = { ...collectOptions(names, options, io), includeNeverPushed: true }
    const wanted = await collectPairs(opened, collected)
    reportUnmirrored(wanted, options, io)
    const drifts = await findDrift(opened.images, wanted.pairs, {
      signal: io.signal,
      jobs: options.jobs,
      platforms: options.platforms === true,
      deep: options.deep === true,
      allowMissingAttestations: options.allowMissingAttestations === true,
      copiedDigests: readAuditLog(options.auditLog),
    })
    await printDrifts(drifts, options, io)
    const stopped = signalExitCode(io)
    if (stopped !== null) return stopped
    const code =
      options.update === true ? await update(opened, options, drifts, io) : driftExitCode(drifts)
    if (signalExitCode(io) === null) collected.unread.throwInvalid()
    return code === 0 && wanted.unlisted.length > 0 ? 1 : code
  } finally {
    await opened.registries.close()
  }
}

async function printDrifts(
  drifts: readonly DriftResult[],
  { output, quiet }: DriftOptions,
  io: Io,
): Promise<void> {
  if (output !== 'table') {
    const format = await loadItemFormat(output)
    for (const each of drifts) print(io.stdout, format(driftRecord(each)))
    return
  }
  const shown = quiet === true ? drifts.filter(({ state }) => state !== 'same') : drifts
  if (shown.length > 0) print(io.stdout, driftTable(shown))
}

/** Copies what is behind, and restarts workloads that run the old image. Drift that copying cannot repair sets the exit code. */
async function update(
  opened: MirrorRegistries,
  options: DriftOptions,
  drifts: readonly DriftResult[],
  io: Io,
): Promise<number> {
  const neverPushed = opened.config?.table.neverPushed
  const isLeft = ({ pair: { destination } }: DriftResult) =>
    neverPushed?.has(destination.domain) === true
  const canCopy = (each: DriftResult) => isBehind(each) && !isLeft(each)
  for (const { pair } of drifts.filter((each) => isBehind(each) && isLeft(each)))
    printMessage(
      io,
      `${formatReference(pair.destination)} is not updated: ${neverPushedReason(pair)}`,
    )
  const stores = { ...opened, sources: opened.images, destinations: opened.images }
  const behind = drifts.filter(canCopy).map(({ pair }) => pair)
  const results =
    behind.length === 0
      ? []
      : await copyAll(stores, { ...options, needsReferrers: () => false }, behind, io)
  const stopped = signalExitCode(io)
  if (stopped !== null) return stopped
  if (options.restart === true) {
    if (results.some(({ status }) => status === 'copied' || status === 'repaired'))
      await waitForCaches(options, io)
    const target = {
      connection: connectOptions(options, io),
      allNamespaces: options.allNamespaces === true,
      namespace: options.namespace,
      dryRun: options.dryRun === true,
      signal: io.signal,
    }
    await restartWorkloads(target, {
      served: [...drifts.flatMap(servedUnchanged), ...results.flatMap(servedNow)],
      onPlan: (restarts) => print(io.stderr, restartPlan(restarts)),
    })
  }
  const left = driftExitCode(drifts.filter((each) => !canCopy(each)))
  const copied = mirrorExitCode(results)
  return copied === 0 ? left : copied
}

/** Waits until webhooks forget the old digest: they would pin the new pods to it. */
async function waitForCaches({ quiet }: DriftOptions, io: Io): Promise<void> {
  if (quiet !== true)
    print(io.stderr, `waiting ${tagTtlMs / 1_000} s until every webhook asks the mirror again`)
  await sleep(tagTtlMs, io.signal)
}

function servedUnchanged({ pair, state, mirrorDigest }: DriftResult): ServedImage[] {
  if (state !== 'same' || mirrorDigest === null) return []
  return [{ image: pair.destination, digest: mirrorDigest, isNew: false }]
}

/** What the mirror serves after the copy. With `--dry-run`, what it would serve. */
function servedNow({ pair, status, sourceDigest, mirrorDigest }: CopyResult): ServedImage[] {
  const digest = status === 'planned' ? sourceDigest : mirrorDigest
  if (status === 'failed' || digest === null) return []
  return [{ image: pair.destination, digest, isNew: true }]
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
