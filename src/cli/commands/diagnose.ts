/** `berth diagnose`: why images do not come, from a cluster and its registries, or from a pasted message alone. */
import { text as readAll } from 'node:stream/consumers'
import { stringify } from 'yaml'
import { loadConfig } from '../../config/load.ts'
import { createKeychain } from '../../engine/keychain.ts'
import { classify } from '../../diagnose/rules/classify.ts'
import { findings, type DiagnosedFailure } from '../../diagnose/findings.ts'
import { BerthError } from '../../errors.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { type Cluster, connect } from '../../kube/connect.ts'
import { defaultConfigFile, oneOf, type Parsed, readArguments, text } from '../options.ts'
import { diagnoseCluster, type PodScope } from '../../diagnose/evidence/diagnose-cluster.ts'
import { diagnosisTable, type Diagnosis, findingsTable } from '../output/diagnosis-table.ts'
import {
  createEngine,
  createTokenStore,
  defaultSecretsDirectory,
} from '../../engine/decision-engine.ts'
import { createFallbackCheck } from '../../diagnose/evidence/fallback-evidence.ts'
import { fix, fixOptions, isFixed, readFixWish, shownFix } from './diagnose-fix.ts'
import { type Command, type Io, print } from '../io.ts'
import { podFilter } from '../../diagnose/evidence/pod-filter.ts'
import { createProber } from '../../diagnose/evidence/registry-prober.ts'

export const usage =
  'berth diagnose [KIND/NAME…] [-n NAMESPACE | -A] [--no-probe] [--config FILE] [--secrets-dir DIR] [--kubeconfig FILE] [--context NAME] [-o table|json|yaml] [--fix [--secret NAMESPACE/NAME] [--dry-run | --yes]] | --message TEXT | --message - [-o table|json|yaml]'

/** Milliseconds for one question to a registry: a person waits longer than an API server does. */
const queryTimeoutMs = 5_000

/**
 * Exits with 0 when nothing fails, and with 1 when a pull does; with `--fix`, when something is left to do.
 * With `--message` there is always something that fails: 1 then means that no rule knows a message. 3 when the cluster
 * could not be reached.
 */
export const diagnose: Command = async (args, io) => {
  const { values, positionals } = readArguments(
    args,
    {
      message: { type: 'string' },
      namespace: { type: 'string', short: 'n' },
      'all-namespaces': { type: 'boolean', short: 'A' },
      kubeconfig: { type: 'string' },
      context: { type: 'string' },
      config: { type: 'string' },
      'secrets-dir': { type: 'string' },
      'no-probe': { type: 'boolean' },
      output: { type: 'string', short: 'o' },
      ...fixOptions,
    },
    usage,
  )
  const output = oneOf(values, 'output', ['table', 'json', 'yaml'])
  const message = text(values, 'message')
  const wish = readFixWish(values)
  if (message !== undefined && wish !== null)
    throw new BerthError('usage', `--fix needs a cluster; leave --message out\nusage: ${usage}`)
  if (message !== undefined && positionals.length > 0)
    throw new BerthError(
      'usage',
      `--message asks no cluster for ${positionals[0]}\nusage: ${usage}`,
    )
  const show = (data: unknown, table: () => string) => {
    if (output === 'json') print(io.stdout, JSON.stringify(data, null, 2))
    else if (output === 'yaml') print(io.stdout, stringify(data))
    else print(io.stdout, table())
  }
  if (message === undefined) {
    return fromCluster(values, positionals, io, async (cluster, pulls) => {
      const found = findings(pulls)
      const isTable = output === 'table'
      if (wish === null || isTable) show({ findings: found }, () => findingsTable(found, io))
      if (wish === null) return found.length > 0 ? 1 : 0
      const tell = (line: string) => print(isTable ? io.stdout : io.stderr, line)
      const report = await fix(cluster, pulls, { wish, io, tell })
      if (!isTable) show({ findings: found, fix: shownFix(report) }, () => '')
      return isFixed(report) ? 0 : 1
    })
  }
  const messages = message === '-' ? await readLines(io) : [message]
  const diagnoses = messages.map((each): Diagnosis => ({ message: each, ...classify(each) }))
  show(diagnoses.map(contract), () => diagnosisTable(diagnoses, io))
  return diagnoses.some(({ rule }) => rule.certainty === 'unknown') ? 1 : 0
}

async function fromCluster(
  values: Parsed['values'],
  names: readonly string[],
  io: Io,
  use: (cluster: Cluster, pulls: readonly DiagnosedFailure[]) => Promise<number>,
): Promise<number> {
  const cluster = await connect({
    kubeconfig: text(values, 'kubeconfig'),
    context: text(values, 'context'),
    env: io.env,
  })
  try {
    const isAll = values['all-namespaces'] === true
    if (isAll && names.length > 0)
      throw new BerthError('usage', `${names[0]} is of one namespace; leave -A out`)
    const namespace = isAll ? undefined : (text(values, 'namespace') ?? cluster.namespace)
    const includes = await podFilter(cluster.api, namespace, names)
    return await use(cluster, await judged(cluster.api, { namespace, includes }, values, io))
  } finally {
    await cluster.close()
  }
}

/** With what the config knows, when there is one, and what registries say, unless they are not to be asked. */
async function judged(
  api: KubeApi,
  scope: PodScope,
  values: Parsed['values'],
  io: Io,
): Promise<DiagnosedFailure[]> {
  const file = text(values, 'config') ?? defaultConfigFile()
  const config = file === undefined ? null : loadConfig(file)
  const isProbing = values['no-probe'] !== true
  const secretsDirectory = text(values, 'secrets-dir') ?? defaultSecretsDirectory
  const engineOptions = { secretsDirectory, env: io.env, queryTimeoutMs }
  const engine = config !== null && isProbing ? createEngine(config, engineOptions) : null
  const ecrTokens = createTokenStore(engineOptions)
  const prober = isProbing
    ? createProber({
        config,
        keychainFor: ({ credentials }) =>
          createKeychain(credentials, { secretsDirectory, ecrTokens }),
        now: Date.now,
      })
    : null
  const fallback =
    config === null ? null : createFallbackCheck({ api, config, resolve: engine?.resolve ?? null })
  try {
    return await diagnoseCluster(api, scope, { prober, fallback })
  } finally {
    await Promise.all([prober?.close(), engine?.close()])
  }
}

/** The shape of `-o json`, which docs/cli.md promises. */
function contract({ message, rule, errors }: Diagnosis): Readonly<Record<string, unknown>> {
  return {
    message,
    rule: rule.id,
    cause: rule.cause,
    certainty: rule.certainty,
    leaves: errors,
  }
}

/** One message a line, as it is; a line break inside a message is written `\n`. */
async function readLines(io: Io): Promise<string[]> {
  const lines = (await readAll(io.stdin)).split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  return lines
}
