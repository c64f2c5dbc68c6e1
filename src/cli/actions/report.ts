/** Runs `berth report`: shows what pods run and what Berth would change. Changes nothing. */
import type { Config } from '../../config/config.ts'
import { podKey } from '../../config/pod-key.ts'
import { loadConfig } from '../../config/load.ts'
import { imageTimeoutMs, parallelImages } from '../../engine/batch-decider.ts'
import { createHelperRunner } from '../../engine/credential-helper.ts'
import { createEngine, type Engine } from '../../engine/decision-engine.ts'
import { openMirrorRegistries } from '../../engine/mirror-registries.ts'
import { type Cluster, connect } from '../../kube/connect.ts'
import { buildAtRiskReport } from '../../report/at-risk-report.ts'
import { buildReport } from '../../report/cluster-report.ts'
import { readAdmissionModes } from '../../report/admission-mode.ts'
import { listPodImages, listRunningImages } from '../../report/inventory.ts'
import { buildMirrorReport } from '../../report/mirror-report.ts'
import { buildUnprocessedReport } from '../../report/unprocessed-report.ts'
import { findConfigFile } from '../config-file.ts'
import { connectOptions } from '../connect-options.ts'
import { type Io, print, printMessage } from '../io.ts'
import type { ConnectionOptions } from '../options.ts'
import { printRecord } from '../output/print-record.ts'
import {
  atRiskReportTable,
  mirrorReportTable,
  reportTable,
  unprocessedReportTable,
} from '../output/report-table.ts'

export interface ReportOptions extends ConnectionOptions {
  readonly namespace?: string
  readonly allNamespaces?: boolean
  readonly mirror?: boolean
  readonly tryPush?: boolean
  readonly unprocessed?: boolean
  readonly atRisk?: boolean
  readonly config?: string
  readonly berthNamespace: string
  readonly output: 'table' | 'json' | 'yaml'
  readonly secretsDir: string
}

/** Returns 0; 3 if a registry did not answer for some image. */
export async function report(options: ReportOptions, io: Io): Promise<number> {
  const config = loadConfig(findConfigFile(options.config))
  const cluster = await connect(connectOptions(options, io))
  try {
    const namespace =
      options.allNamespaces === true ? undefined : (options.namespace ?? cluster.namespace)
    const request = { config, cluster, namespace, options }
    if (options.mirror === true) return await reportMirror(request, io)
    if (options.unprocessed === true) return await reportUnprocessed(request, io)
    if (options.atRisk === true) return await reportAtRisk(request, io)
    return await reportImages(request, io)
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

function openEngine(
  config: Config,
  { secretsDir: secretsDirectory }: ReportOptions,
  io: Io,
): Engine {
  return createEngine(config, {
    secretsDirectory,
    queryTimeoutMs: imageTimeoutMs / 2,
    env: io.env,
    runHelper: createHelperRunner(io.env),
    onProblem: (message) => printMessage(io, message),
  })
}

async function reportImages(
  { config, cluster: { api }, namespace, options }: ReportRequest,
  io: Io,
): Promise<number> {
  const engine = openEngine(config, options, io)
  try {
    const built = await buildReport(
      { config, resolve: engine.resolve, imageTimeoutMs, parallelImages },
      await listRunningImages(api, {
        namespace,
        podKey: (pod) => podKey(config, pod),
        findMode: (await readAdmissionModes(api, options.berthNamespace)).find,
      }),
    )
    if (options.output === 'table') print(io.stdout, reportTable(built, io))
    else printRecord(built, options.output, io)
    return built.summary.unknown > 0 ? 3 : 0
  } finally {
    await engine.close()
  }
}

async function reportUnprocessed(
  { config, cluster: { api }, namespace, options }: ReportRequest,
  io: Io,
): Promise<number> {
  const engine = openEngine(config, options, io)
  try {
    const built = await buildUnprocessedReport(api, {
      table: config.table,
      decide: engine.decide,
      findMode:
        config.mode === 'enforce'
          ? (await readAdmissionModes(api, options.berthNamespace)).find
          : () => ({ mode: 'observe' }),
      namespace,
      timeoutMs: imageTimeoutMs,
      parallelPods: parallelImages,
    })
    if (options.output === 'table') print(io.stdout, unprocessedReportTable(built, io))
    else printRecord(built, options.output, io)
    return built.summary.unknown > 0 ? 3 : 0
  } finally {
    await engine.close()
  }
}

async function reportAtRisk(
  { config, cluster: { api }, namespace, options }: ReportRequest,
  io: Io,
): Promise<number> {
  const engine = openEngine(config, options, io)
  try {
    const built = await buildAtRiskReport(api, {
      resolve: engine.resolve,
      isPlainHttp: config.table.isPlainHttp,
      namespace,
      timeoutMs: imageTimeoutMs,
      parallelImages,
    })
    if (options.output === 'table') print(io.stdout, atRiskReportTable(built, io))
    else printRecord(built, options.output, io)
    return built.summary.unanswered > 0 ? 3 : 0
  } finally {
    await engine.close()
  }
}

async function reportMirror(
  { config, cluster: { api }, namespace, options }: ReportRequest,
  io: Io,
): Promise<number> {
  const { registries } = await openMirrorRegistries({
    config,
    names: [],
    secretsDirectory: options.secretsDir,
    createRepositories: false,
    env: io.env,
    onProblem: (message) => printMessage(io, message),
  })
  try {
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
    if (options.output === 'table') print(io.stdout, mirrorReportTable(built, io))
    else printRecord(built, options.output, io)
    const { limited, unreachable, timeout, skipped } = built.summary
    return limited + unreachable + timeout + skipped > 0 ? 3 : 0
  } finally {
    await registries.close()
  }
}
