/** Compiles a valid config: patterns, templates and conditions become functions, and the rows a table. */
import { createLane } from '../async/lane.ts'
import { createTable, type FallbackRow } from '../decision/fallback/table.ts'
import { lockedDigest } from '../decision/lock/image-lock.ts'
import type { RegistrySettings } from '../registry/http/registry-settings.ts'
import { durationMs } from '../text/units.ts'
import type { Config } from './config.ts'
import { readEcrTokens } from './ecr.ts'
import { readPatterns, readRows, readTagGlobs } from './fallback-rows.ts'
import { knownConflicts } from './known-conflicts.ts'
import { splitMemberPath } from './member-path.ts'
import { readMirrorImages } from './mirror-images.ts'
import type { ReportProblem } from './problem.ts'
import { readCopies } from './pull-secret-copies.ts'
import { readPullSecrets } from './pull-secret-rules.ts'
import { plainHttpHosts } from './registries.ts'
import type { ConfigInput } from './schema.ts'
import { readVerifyRules } from './verify-rules.ts'
import { readWhen } from './when.ts'

export interface CompileOptions {
  readonly input: ConfigInput
  /** The compiled rows of the input. */
  readonly rows: readonly FallbackRow[]
  readonly registries: ReadonlyMap<string, RegistrySettings>
  readonly lock: Config['lock']
  /** Relative paths in the config start from here. */
  readonly directory: string
  readonly report: ReportProblem
}

export type CompiledConfig = Omit<Config, 'source' | 'warnings' | 'tests'>

/** Returns the config without its rows, which are compiled already. Reports what is invalid in each section. */
export function compileConfig(options: CompileOptions): CompiledConfig {
  const { input, rows, registries, lock, directory, report } = options
  const mirrors = [...registries.values()].filter(({ mirror }) => mirror)
  const hostsOf = (settings: readonly RegistrySettings[]) => settings.map(({ host }) => host)
  const neverPushed = hostsOf(mirrors.filter(({ copy }) => copy === false))
  const isPlainHttp = plainHttpHosts(registries.values())
  const conflicts = input.knownConflicts === 'leave' ? knownConflicts().map(({ row }) => row) : []
  return {
    registries,
    table: createTable(rows, hostsOf(mirrors), { conflicts, isPlainHttp, neverPushed }),
    pin: {
      when: readWhen(input.pin.when, ['pin', 'when'], report),
      matches: readTagGlobs(input.pin.tags, ['pin', 'tags'], report),
      unresolved: input.pin.unresolved,
      locked: (reference) => (lock === null ? null : lockedDigest(lock.images, reference)),
    },
    lock,
    pullPolicy: input.pullPolicy.map(({ images, when, set }, index) => ({
      images: readPatterns(images, ['pullPolicy', index, 'images'], report),
      when: readWhen(when, ['pullPolicy', index, 'when'], report),
      set,
    })),
    pullSecrets: readPullSecrets(input.pullSecrets, report),
    ecrTokens: readEcrTokens(input.ecrTokens, { registries, directory, report }),
    conflicts: input.conflicts,
    pullFailures: input.pullFailures,
    stuckPods: input.stuckPods ?? null,
    unprocessed: input.unprocessed ?? null,
    availability: readAvailability(input.availability),
    reports: input.reports,
    workloads: input.workloads.map(({ kind, pod, images }) => ({
      kind,
      pods: pod === undefined ? [] : [splitMemberPath(pod)],
      images: images.map(splitMemberPath),
    })),
    mirror: {
      ...input.mirror,
      images: readMirrorImages(input.mirror.images, report),
      verify: readVerifyRules(input.mirror.verify, { directory, report }),
    },
    pullSecretCopies: readCopies(
      input.pullSecretCopies,
      new Set(input.pullSecrets.map(({ secret }) => secret)),
      report,
    ),
    mode: input.mode,
  }
}

function readAvailability(input: ConfigInput['availability']): Config['availability'] {
  if (input === undefined) return null
  const { interval, perMinute } = input
  return { intervalMs: durationMs(interval), perMinute }
}

/** Returns the compiled rows of a config without problems. Takes turns, so that the event loop can answer reviews in between. */
export async function compileRowsInTurns({
  fallback,
  registries,
}: ConfigInput): Promise<FallbackRow[]> {
  const isPlainHttp = plainHttpHosts(registries)
  const lane = createLane()
  const rows: FallbackRow[] = []
  await lane.next()
  for (const input of fallback) {
    if (lane.isOver()) await lane.next()
    for (const row of readRows([input], () => undefined, isPlainHttp)) rows.push(row)
  }
  return rows
}
