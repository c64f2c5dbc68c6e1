/** Runs `berth diagnose`: explains image pull failures, from a cluster and its registries or from a message alone. */
import { loadConfig } from '../../config/load.ts'
import { diagnoseCluster, type PodScope } from '../../diagnose/evidence/diagnose-cluster.ts'
import { podFilter } from '../../diagnose/evidence/pod-filter.ts'
import { type DiagnosedFailure, findings } from '../../diagnose/findings.ts'
import type { SecretName } from '../../diagnose/fix/steps.ts'
import { classifyLine } from '../../diagnose/rules/classify.ts'
import type { Cause } from '../../diagnose/rules/table.ts'
import { openDiagnosisSources } from '../../engine/diagnosis-sources.ts'
import { BerthError } from '../../errors.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { type Cluster, connect } from '../../kube/connect.ts'
import { defaultConfigFile } from '../config-file.ts'
import { connectOptions } from '../connect-options.ts'
import { type Io, print, printMessage } from '../io.ts'
import type { ConnectionOptions } from '../options.ts'
import { diagnosisTable, type Diagnosis, findingsTable } from '../output/diagnosis-table.ts'
import { printRecord } from '../output/print-record.ts'
import { readLines } from '../read-lines.ts'
import { type Output, showOnce, showWhilePodsChange } from '../watch-pods.ts'
import { fix, fixRecord, isFixed } from './diagnose-fix.ts'

export interface DiagnoseOptions extends ConnectionOptions {
  readonly namespace?: string
  readonly allNamespaces?: boolean
  readonly message?: string
  readonly probe: boolean
  readonly fix?: boolean
  readonly secret?: SecretName
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly watch?: boolean
  readonly config?: string
  readonly output: 'table' | 'json' | 'yaml'
  readonly secretsDir: string
}

/**
 * Minimum milliseconds between two diagnoses with `--watch`. Each one probes registries, and a pod that waits for an image
 * changes with every attempt.
 */
const minIntervalMs = 10_000

/**
 * Returns 0 if nothing fails, and 1 if a pull fails; with `--fix`, 1 if something is left to do. With `--message`, 1 means
 * that no rule knows a message, or that the messages repeat a failure without its cause.
 */
export async function diagnose(
  names: readonly string[],
  options: DiagnoseOptions,
  io: Io,
): Promise<number> {
  requireUsable(names, options)
  const { message } = options
  return message === undefined
    ? diagnosePods(names, options, io)
    : diagnoseMessages(message === '-' ? await readLines(io.stdin) : [message], options, io)
}

function requireUsable(names: readonly string[], options: DiagnoseOptions): void {
  const [first] = names
  if (first !== undefined && options.message !== undefined)
    throw new BerthError('usage', `--message reads no cluster; leave ${first} out`)
  if (first !== undefined && options.allNamespaces === true)
    throw new BerthError('usage', `${first} is in one namespace; leave -A out`)
  if (options.fix === true) return
  const { yes, dryRun, secret } = options
  const given = Object.entries({ yes, 'dry-run': dryRun, secret }).find(
    ([, value]) => value !== undefined,
  )
  if (given !== undefined) throw new BerthError('usage', `--${given[0]} needs --fix`)
}

function diagnoseMessages(
  messages: readonly string[],
  { output }: DiagnoseOptions,
  io: Io,
): number {
  const diagnoses = messages.map((message): Diagnosis => ({ message, ...classifyLine(message) }))
  if (output === 'table') print(io.stdout, diagnosisTable(diagnoses, io))
  else printRecord(diagnoses.map(diagnosisRecord), output, io)
  const has = (...causes: readonly Cause[]) =>
    diagnoses.some(({ rule: { cause } }) => causes.includes(cause))
  const hasCause = diagnoses.some(
    ({ rule: { cause } }) => !['unknown', 'repeated-line', 'no-pull-failure'].includes(cause),
  )
  return has('unknown') || (has('repeated-line') && !hasCause) ? 1 : 0
}

/** The contract of `--message TEXT -o json`. */
function diagnosisRecord({ message, rule, errors }: Diagnosis): object {
  return {
    message,
    rule: rule.id,
    cause: rule.cause,
    certainty: rule.certainty,
    leaves: errors,
  }
}

async function diagnosePods(
  names: readonly string[],
  options: DiagnoseOptions,
  io: Io,
): Promise<number> {
  const cluster = await connect(connectOptions(options, io))
  const { api } = cluster
  const namespace =
    options.allNamespaces === true ? undefined : (options.namespace ?? cluster.namespace)
  // After a rollout, deployment/NAME selects other pods.
  const findFailures = async () =>
    diagnoseFailures(
      api,
      { namespace, includes: await podFilter(api, namespace, names) },
      options,
      io,
    )
  const { output: format } = options
  try {
    if (options.fix === true) return await fixFailures(cluster, await findFailures(), options, io)
    const build = async () => findingsOutput(await findFailures(), io)
    if (options.watch !== true) return showOnce(await build(), format, io)
    return await showWhilePodsChange(build, { api, namespace, io, format, minIntervalMs })
  } finally {
    await cluster.close()
  }
}

function findingsOutput(failures: readonly DiagnosedFailure[], io: Io): Output {
  const found = findings(failures)
  return {
    record: { findings: found },
    table: () => findingsTable(found, io),
    exitCode: found.length > 0 ? 1 : 0,
  }
}

async function fixFailures(
  cluster: Cluster,
  failures: readonly DiagnosedFailure[],
  { output, yes, dryRun, secret }: DiagnoseOptions,
  io: Io,
): Promise<number> {
  if (output === 'table') print(io.stdout, findingsTable(findings(failures), io))
  const report = await fix(cluster, failures, {
    confirmed: yes === true,
    dryRun: dryRun === true,
    secret: secret ?? null,
    io,
    onStep: (line) => print(output === 'table' ? io.stdout : io.stderr, line),
  })
  if (output !== 'table')
    printRecord({ findings: findings(failures), fix: fixRecord(report) }, output, io)
  return isFixed(report) ? 0 : 1
}

/** Diagnoses the failing pods, with the config if there is one, and with the registries unless `--no-probe` is given. */
async function diagnoseFailures(
  api: KubeApi,
  scope: PodScope,
  { config: given, probe, secretsDir: secretsDirectory }: DiagnoseOptions,
  io: Io,
): Promise<DiagnosedFailure[]> {
  const file = given ?? defaultConfigFile()
  const config = file === undefined ? null : loadConfig(file)
  const opened = openDiagnosisSources(api, {
    config,
    probe,
    secretsDirectory,
    env: io.env,
    onProblem: printOnce(io),
  })
  try {
    return await diagnoseCluster(api, scope, opened.sources)
  } finally {
    await opened.close()
  }
}

/** The engine and the prober read the same files. */
function printOnce(io: Io): (message: string) => void {
  const printed = new Set<string>()
  return (message) => {
    if (!printed.has(message)) printMessage(io, message)
    printed.add(message)
  }
}
