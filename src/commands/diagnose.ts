/** `berth diagnose`: why images do not come, from a cluster, or from a pasted message alone. */
import { text as readAll } from 'node:stream/consumers'
import { stringify } from 'yaml'
import { classify } from '../diagnose/classify.ts'
import { findings, type Judged } from '../diagnose/findings.ts'
import { BerthError } from '../errors.ts'
import { type Cluster, connect } from '../kube/connect.ts'
import { oneOf, type Parsed, readArguments, text } from './arguments.ts'
import { judgeCluster } from './cluster-evidence.ts'
import { diagnosisTable, type Diagnosis, findingsTable } from './diagnosis-table.ts'
import { fix, fixOptions, isFixed, readFixWish, shownFix } from './fix.ts'
import { type Command, type Io, print } from './io.ts'
import { podsOf } from './pods-of.ts'

export const usage =
  'berth diagnose [KIND/NAME…] [-n NAMESPACE | -A] [--kubeconfig FILE] [--context NAME] [-o table|json|yaml] [--fix [--secret NAMESPACE/NAME] [--dry-run | --yes]] | --message TEXT | --message - [-o table|json|yaml]'

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
    return fromCluster(values, positionals, io, async (cluster, judged) => {
      const found = findings(judged)
      const isTable = output === 'table'
      if (wish === null || isTable) show({ findings: found }, () => findingsTable(found, io))
      if (wish === null) return found.length > 0 ? 1 : 0
      const tell = (line: string) => print(isTable ? io.stdout : io.stderr, line)
      const report = await fix(cluster, judged, { wish, io, tell })
      if (!isTable) show({ findings: found, fix: shownFix(report) }, () => '')
      return isFixed(report) ? 0 : 1
    })
  }
  const messages = message === '-' ? await readLines(io) : [message]
  const diagnoses = messages.map((each): Diagnosis => ({ message: each, ...classify(each) }))
  show(diagnoses.map(contract), () => diagnosisTable(diagnoses, io))
  return diagnoses.some(({ cause }) => cause.certainty === 'unknown') ? 1 : 0
}

async function fromCluster(
  values: Parsed['values'],
  names: readonly string[],
  io: Io,
  use: (cluster: Cluster, judged: readonly Judged[]) => Promise<number>,
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
    const isWanted = await podsOf(cluster.api, namespace, names)
    return await use(cluster, await judgeCluster(cluster.api, { namespace, isWanted }))
  } finally {
    await cluster.close()
  }
}

/** The shape of `-o json`, which docs/cli.md promises. */
function contract({ message, cause, leaves }: Diagnosis): Readonly<Record<string, unknown>> {
  return {
    message,
    rule: cause.rule,
    cause: cause.cause,
    certainty: cause.certainty,
    leaves,
  }
}

/** One message a line, as it is; a line break inside a message is written `\n`. */
async function readLines(io: Io): Promise<string[]> {
  const lines = (await readAll(io.stdin)).split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  return lines
}
