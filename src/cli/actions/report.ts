/** Runs `berth report`: shows what pods run and what Berth would change. Changes nothing. */
import type { Config } from '../../config/config.ts'
import { podKey } from '../../config/pod-key.ts'
import { loadConfig } from '../../config/load.ts'
import { imageTimeoutMs, parallelImages } from '../../engine/batch-limits.ts'
import { createHelperRunner } from '../../engine/credential-helper.ts'
import { createEngine, type Engine } from '../../engine/decision-engine.ts'
import { openMirrorRegistries } from '../../engine/mirror-registries.ts'
import { type Cluster, connect } from '../../kube/connect.ts'
import type { KubeObject } from '../../kube/object.ts'
import { buildAtRiskReport, createAvailabilityChecks } from '../../report/at-risk-report.ts'
import { buildReport } from '../../report/cluster-report.ts'
import { readAdmissionModes } from '../../report/admission-mode.ts'
import { listPodImages, listRunningImages } from '../../report/inventory.ts'
import { buildMirrorReport } from '../../report/mirror-report.ts'
import { buildUnprocessedReport } from '../../report/unprocessed-report.ts'
import { findConfigFile } from '../config-file.ts'
import { connectOptions } from '../connect-options.ts'
import { type Io, printMessage } from '../io.ts'
import type { ConnectionOptions } from '../options.ts'
import {
  atRiskReportTable,
  mirrorReportTable,
  reportTable,
  unprocessedReportTable,
} from '../output/report-table.ts'
import { type Output, showOnce, showWhilePodsChange } from '../watch-pods.ts'

export interface ReportOptions extends ConnectionOptions {
  readonly namespace?: string
  readonly allNamespaces?: boolean
  readonly mirror?: boolean
  readonly tryPush?: boolean
  readonly unprocessed?: boolean
  readonly atRisk?: boolean
  readonly watch?: boolean
  readonly config?: string
  readonly berthNamespace: string
  readonly output: 'table' | 'json' | 'yaml'
  readonly secretsDir: string
}

/** Returns 0; 3 if a registry did not answer for some image; with `--watch`, the exit code of the signal that ended it. */
export async function report(options: ReportOptions, io: Io): Promise<number> {
  const config = loadConfig(findConfigFile(options.config))
  const cluster = await connect(connectOptions(options, io))
  try {
    const { api } = cluster
    const namespace =
      options.allNamespaces === true ? undefined : (options.namespace ?? cluster.namespace)
    const built = await openReport({ config, cluster, namespace, options }, io)
    try {
      return options.watch === true
        ? await showWhilePodsChange(() => built.build(), {
            api,
            namespace,
            io,
            format: options.output,
          })
        : showOnce(await built.build(), options.output, io)
    } finally {
      await built.close()
    }
  } finally {
    await cluster.close()
  }
}

interface ReportRequest {
  readonly config: Config
  readonly cluster: Cluster
  /** Undefined for all namespaces. */
  readonly namespace: string | undefined
  readonly options: ReportOptions
}

/** Builds a report as often as it is needed, with the same connections and caches. */
interface OpenReport {
  build(): Promise<Output>
  close(): Promise<void>
}

function openReport(request: ReportRequest, io: Io): Promise<OpenReport> | OpenReport {
  if (request.options.mirror === true) return openMirrorReport(request, io)
  const engine = openEngine(request, io)
  return {
    build: () => buildWith(engine, request, io),
    close: () => engine.close(),
  }
}

function openEngine({ config, options }: ReportRequest, io: Io): Engine {
  return createEngine(config, {
    secretsDirectory: options.secretsDir,
    queryTimeoutMs: imageTimeoutMs / 2,
    env: io.env,
    runHelper: createHelperRunner(io.env),
    ownLogin: true,
    onProblem: (message) => printMessage(io, message),
  })
}

function buildWith(engine: Engine, request: ReportRequest, io: Io): Promise<Output> {
  const { unprocessed, atRisk } = request.options
  if (unprocessed === true) return buildUnprocessed(engine, request, io)
  return atRisk === true ? buildAtRisk(engine, request, io) : buildImages(engine, request, io)
}

async function buildImages(
  { resolve }: Engine,
  { config, cluster: { api }, namespace, options }: ReportRequest,
  io: Io,
): Promise<Output> {
  const built = await buildReport(
    { config, resolve, imageTimeoutMs, parallelImages },
    await listRunningImages(api, {
      namespace,
      podKey: (pod) => podKey(config, pod),
      findMode: (await readAdmissionModes(api, options.berthNamespace)).find,
    }),
  )
  return {
    record: built,
    table: () => reportTable(built, io),
    exitCode: built.summary.unknown > 0 ? 3 : 0,
  }
}

async function buildUnprocessed(
  { decide }: Engine,
  { config, cluster: { api }, namespace, options }: ReportRequest,
  io: Io,
): Promise<Output> {
  const built = await buildUnprocessedReport(api, {
    table: config.table,
    decide,
    findMode:
      config.mode === 'enforce'
        ? (await readAdmissionModes(api, options.berthNamespace)).find
        : () => ({ mode: 'observe' }),
    namespace,
    timeoutMs: imageTimeoutMs,
    parallelPods: parallelImages,
  })
  return {
    record: built,
    table: () => unprocessedReportTable(built, io),
    exitCode: built.summary.unknown > 0 ? 3 : 0,
  }
}

async function buildAtRisk(
  { resolve }: Engine,
  { config, cluster: { api }, namespace }: ReportRequest,
  io: Io,
): Promise<Output> {
  const pods = { apiVersion: 'v1', resource: 'pods' }
  const built = await buildAtRiskReport(
    api.list<KubeObject>(namespace === undefined ? pods : { ...pods, namespace }),
    {
      isPlainHttp: config.table.isPlainHttp,
      checks: createAvailabilityChecks({ resolve, timeoutMs: imageTimeoutMs, parallelImages }),
    },
  )
  return {
    record: built,
    table: () => atRiskReportTable(built, io),
    exitCode: built.summary.unanswered > 0 ? 3 : 0,
  }
}

async function openMirrorReport(
  { config, cluster: { api }, namespace, options }: ReportRequest,
  io: Io,
): Promise<OpenReport> {
  const { registries } = await openMirrorRegistries({
    config,
    names: [],
    secretsDirectory: options.secretsDir,
    createRepositories: false,
    env: io.env,
    onProblem: (message) => printMessage(io, message),
  })
  const build = async (): Promise<Output> => {
    const built = await buildMirrorReport(
      {
        registries,
        table: config.table,
        jobs: parallelImages,
        tryPush: options.tryPush === true,
        signal: io.signal,
      },
      await listPodImages(api, namespace),
    )
    const { limited, unreachable, timeout, skipped } = built.summary
    return {
      record: built,
      table: () => mirrorReportTable(built, io),
      exitCode: limited + unreachable + timeout + skipped > 0 ? 3 : 0,
    }
  }
  return { build, close: () => registries.close() }
}
