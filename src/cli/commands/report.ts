/** `berth report`: what a cluster runs, what of it is on a mirror, and what Berth would change. Changes nothing. */
import pLimit from 'p-limit'
import { stringify } from 'yaml'
import type { Config } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import { connect } from '../../kube/connect.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import { formatReference } from '../../decision/reference/reference.ts'
import { resolve } from '../../decision/resolve/resolve.ts'
import { describeResolution } from '../../decision/resolve/describe-resolution.ts'
import { configFile, oneOf, readOptions, text } from '../options.ts'
import { createEngine, defaultSecretsDirectory, type Engine } from '../../engine/decision-engine.ts'
import { readNamespaceModes, type RunningImage, listRunningImages } from '../../report/inventory.ts'
import { type Command, print } from '../io.ts'
import { reportTable } from '../output/report-table.ts'

export const usage =
  'berth report [-n NAMESPACE | -A] [--config FILE] [--kubeconfig FILE] [--context NAME] [--berth-namespace NAME] [-o table|json|yaml] [--secrets-dir DIR]'

/** One image of one namespace. */
export interface ReportLine extends RunningImage {
  /** Whether all of its pods run it from a mirror. */
  readonly onMirror: boolean
  /** Whether a mirror of the table has it: what is left if the internet goes away. Null when the mirrors did not say. */
  readonly mirrored: boolean | null
  /** What Berth would make of a new pod's; null where it is not asked. */
  readonly becomes: string | null
  readonly row: string | null
  readonly why: string
}

export interface Report {
  readonly images: readonly ReportLine[]
  readonly summary: {
    readonly images: number
    readonly onMirror: number
    readonly mirrored: number
    readonly needInternet: number
    readonly unknown: number
    readonly wouldChange: number
  }
}

/** A person waits longer than an API server does. */
const patienceMs = 10_000

/** Enough to hide the latency of registries, few enough not to look like an attack on one. */
const parallel = 8

/** Exits with 0; with 3 when the cluster, or every mirror for some image, could not be reached. */
export const report: Command = async (args, io) => {
  const values = readOptions(
    args,
    {
      config: { type: 'string' },
      namespace: { type: 'string', short: 'n' },
      'all-namespaces': { type: 'boolean', short: 'A' },
      kubeconfig: { type: 'string' },
      context: { type: 'string' },
      'berth-namespace': { type: 'string' },
      output: { type: 'string', short: 'o' },
      'secrets-dir': { type: 'string' },
    },
    usage,
  )
  const output = oneOf(values, 'output', ['table', 'json', 'yaml'])
  const config = loadConfig(configFile(values))
  const cluster = await connect({
    kubeconfig: text(values, 'kubeconfig'),
    context: text(values, 'context'),
    env: io.env,
  })
  const engine = createEngine(config, {
    secretsDirectory: text(values, 'secrets-dir') ?? defaultSecretsDirectory,
    queryTimeoutMs: patienceMs / 2,
    env: io.env,
    onProblem: (message) => print(io.stderr, `berth: ${message}`),
  })
  try {
    const namespace =
      values['all-namespaces'] === true
        ? undefined
        : (text(values, 'namespace') ?? cluster.namespace)
    const running = await listRunningImages(cluster.api, namespace)
    const states = await readNamespaceModes(
      cluster.api,
      text(values, 'berth-namespace') ?? 'berth-system',
    )
    const limit = pLimit(parallel)
    const lines = await Promise.all(
      running.map((each) =>
        limit(() =>
          lineFor({ config, engine }, each, states.get(each.namespace)?.mode ?? 'enforce'),
        ),
      ),
    )
    const made = summarise(lines)
    if (output === 'json') print(io.stdout, JSON.stringify(made, null, 2))
    else if (output === 'yaml') print(io.stdout, stringify(made))
    else print(io.stdout, reportTable(made, io))
    return made.summary.unknown > 0 ? 3 : 0
  } finally {
    await engine.close()
    await cluster.close()
  }
}

interface ReportDependencies {
  readonly config: Config
  readonly engine: Engine
}

async function lineFor(
  { config, engine }: ReportDependencies,
  running: RunningImage,
  mode: 'enforce' | 'observe' | 'out',
): Promise<ReportLine> {
  const isMirror = (image: string) => {
    const parsed = parseReference(image)
    return parsed.ok && config.registries.get(parsed.reference.domain)?.mirror === true
  }
  const onMirror = running.runs.every(isMirror)
  const parsed = parseReference(running.image)
  if (!parsed.ok)
    return { ...running, onMirror, mirrored: false, becomes: null, row: null, why: parsed.message }
  const resolution = await resolve(engine.resolve, config, {
    reference: parsed.reference,
    namespace: running.namespace,
    signal: AbortSignal.timeout(patienceMs),
  })
  const chosen = formatReference(resolution.chosen)
  const mirrors = resolution.steps.filter(({ candidate }) => isMirror(candidate.image))
  const silent = mirrors.some(({ outcome }) =>
    ['unreachable', 'timeout', 'skipped', 'limited'].includes(outcome),
  )
  const has = isMirror(chosen) && resolution.reason !== 'none-found'
  return {
    ...running,
    onMirror,
    mirrored: has ? true : silent ? null : false,
    becomes: mode === 'enforce' ? chosen : null,
    row: resolution.row,
    why:
      mode === 'out'
        ? 'the namespace is left out'
        : mode === 'observe'
          ? `in shadow mode: ${describeResolution(resolution)}`
          : describeResolution(resolution),
  }
}

function summarise(lines: readonly ReportLine[]): Report {
  const images = lines.toSorted(
    (one, other) => compare(one.namespace, other.namespace) || compare(one.image, other.image),
  )
  const count = (test: (line: ReportLine) => boolean) => images.filter(test).length
  return {
    images,
    summary: {
      images: images.length,
      onMirror: count(({ onMirror }) => onMirror),
      mirrored: count(({ mirrored }) => mirrored === true),
      needInternet: count(({ mirrored }) => mirrored === false),
      unknown: count(({ mirrored }) => mirrored === null),
      wouldChange: count(
        ({ becomes, runs }) => becomes !== null && runs.some((image) => image !== becomes),
      ),
    },
  }
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
