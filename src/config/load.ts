/** Loads a config file: from its text to a frozen Config, or to all problems with line and column. */
import { dirname } from 'node:path'
import { lintTable } from '../decision/fallback/lint.ts'
import { createTable, type FallbackTable } from '../decision/fallback/table.ts'
import { lockedDigest } from '../decision/lock/image-lock.ts'
import { BerthError } from '../errors.ts'
import { readLimitedFile, TooLargeError } from '../files/read-limited.ts'
import { configLimits } from '../yaml/limits.ts'
import type { Config } from './config.ts'
import { readEcrTokens } from './ecr.ts'
import { readPatterns, readRows, readTagGlobs, warnAboutMissingPorts } from './fallback-rows.ts'
import { knownConflicts } from './known-conflicts.ts'
import { readLockFile } from './lock-file.ts'
import { readMirrorImages } from './mirror-images.ts'
import { type ConfigProblem, formatProblem, type ReportProblem } from './problem.ts'
import { createProblemList } from './problem-list.ts'
import { readCopies } from './pull-secret-copies.ts'
import { readPullSecrets } from './pull-secret-rules.ts'
import { plainHttpHosts, readRegistries } from './registries.ts'
import type { ConfigInput } from './schema.ts'
import { checkShape } from './shape-problems.ts'
import { readWhen } from './when.ts'
import { parseYamlDocument } from './yaml-document.ts'

export type ReadResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly problems: readonly ConfigProblem[] }

/** Loads a config file. Throws `config-unreadable`, or `config-invalid` with one line for each problem. */
export function loadConfig(file: string): Config {
  const result = readConfig(readConfigFile(file), dirname(file))
  if (result.ok) return result.config
  const lines = result.problems.map((problem) => formatProblem(file, problem))
  throw new BerthError('config-invalid', `${file} has errors\n${lines.join('\n')}`)
}

/** Returns the text of a config file. Throws `config-unreadable`, or `config-invalid` if it is too large. */
export function readConfigFile(file: string): string {
  try {
    return readLimitedFile(file, configLimits.length).toString('utf8')
  } catch (cause) {
    if (cause instanceof TooLargeError)
      throw new BerthError(
        'config-invalid',
        `${file} has more than ${cause.maxBytes} bytes, which is what a ConfigMap can hold; replace rows that differ only in the image by one row with a pattern`,
        { cause },
      )
    const { code } = cause as NodeJS.ErrnoException
    throw new BerthError(
      'config-unreadable',
      `cannot read the config file ${file} (${code}); give its path with --config FILE`,
      { cause },
    )
  }
}

/** Returns the config that a text describes, or its problems. Relative paths in it start from `directory`. */
export function readConfig(text: string, directory: string): ReadResult {
  const document = parseYamlDocument(text)
  if (document.problems.length > 0) return { ok: false, problems: document.problems }
  if (document.value === null || document.value === undefined) {
    const message = 'the file is empty; begin with apiVersion: berth.dev/v1alpha1'
    return { ok: false, problems: [document.problemAt('error', [], message)] }
  }
  const problems = createProblemList(document)
  const shape = checkShape(document.value)
  if (!shape.ok) {
    for (const { path, message } of shape.problems) problems.report('error', path, message())
    return { ok: false, problems: problems.list() }
  }
  const config = build(shape.input, directory, problems.report)
  if (problems.hasErrors()) return { ok: false, problems: problems.list() }
  const tests = config.tests.map((test, index) => {
    const { line, column } = document.problemAt('warning', ['tests', index, 'image'], '')
    return { ...test, line, column }
  })
  const warnings = problems.list()
  return { ok: true, config: Object.freeze({ ...config, tests, source: text, warnings }) }
}

function build(
  input: ConfigInput,
  directory: string,
  report: ReportProblem,
): Omit<Config, 'source' | 'warnings' | 'tests'> & Pick<ConfigInput, 'tests'> {
  const pullSecrets = readPullSecrets(input.pullSecrets, report)
  const rows = readRows(input.fallback, report)
  const registries = readRegistries(
    input.registries,
    rows.flatMap((row) => row.try),
    { directory, report },
  )
  const mirrors = [...registries.values()].filter(({ mirror }) => mirror).map(({ host }) => host)
  const conflicts = input.knownConflicts === 'leave' ? knownConflicts().map(({ row }) => row) : []
  const table = createTable(rows, mirrors, {
    conflicts,
    isPlainHttp: plainHttpHosts(registries.values()),
  })
  reportTableFindings(table, report)
  warnAboutMissingPorts(rows, registries.keys(), report)
  const lock = readLockFile(input.pin.lock, { directory, report })
  return {
    registries,
    table,
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
    pullSecrets,
    ecrTokens: readEcrTokens(input.ecrTokens, { registries, directory, report }),
    conflicts: input.conflicts,
    pullFailures: input.pullFailures,
    stuckPods: input.stuckPods ?? null,
    workloads: input.workloads.map(({ kind, pod, images }) => ({
      kind,
      pod: pod === undefined ? null : splitMemberPath(pod),
      images: images.map(splitMemberPath),
    })),
    mirror: { ...input.mirror, images: readMirrorImages(input.mirror.images, report) },
    pullSecretCopies: readCopies(
      input.pullSecretCopies,
      new Set(input.pullSecrets.map(({ secret }) => secret)),
      report,
    ),
    mode: input.mode,
    tests: input.tests,
  }
}

function reportTableFindings(table: FallbackTable, report: ReportProblem): void {
  for (const { severity, row, key, index, message } of lintTable(table)) {
    const path = ['fallback', row, key]
    const isList = key === 'images' || key === 'try'
    report(severity, isList ? [...path, index] : path, message)
  }
}

/** Returns `spec`, `steps`, `[]`, `image` for `spec.steps[].image`. */
function splitMemberPath(text: string): string[] {
  return text.replaceAll('[]', '.[]').split('.')
}
