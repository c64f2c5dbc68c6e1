/** Runs `berth report`: shows what pods run and what Berth would change. Changes nothing. */
import { podKey } from '../../config/pod-key.ts'
import { loadConfig } from '../../config/load.ts'
import { imageTimeoutMs, parallelImages } from '../../engine/batch-decider.ts'
import { createEngine } from '../../engine/decision-engine.ts'
import { connect } from '../../kube/connect.ts'
import { buildReport } from '../../report/cluster-report.ts'
import { readNamespaceModes, listRunningImages } from '../../report/inventory.ts'
import { findConfigFile } from '../config-file.ts'
import { connectOptions } from '../connect-options.ts'
import { type Io, print, printMessage } from '../io.ts'
import type { ConnectionOptions } from '../options.ts'
import { printRecord } from '../output/print-record.ts'
import { reportTable } from '../output/report-table.ts'

export interface ReportOptions extends ConnectionOptions {
  readonly namespace?: string
  readonly allNamespaces?: boolean
  readonly config?: string
  readonly berthNamespace: string
  readonly output: 'table' | 'json' | 'yaml'
  readonly secretsDir: string
}

/** Returns 0; 3 if a mirror did not answer for some image. */
export async function report(options: ReportOptions, io: Io): Promise<number> {
  const config = loadConfig(findConfigFile(options.config))
  const cluster = await connect(connectOptions(options, io))
  const engine = createEngine(config, {
    secretsDirectory: options.secretsDir,
    queryTimeoutMs: imageTimeoutMs / 2,
    env: io.env,
    onProblem: (message) => printMessage(io, message),
  })
  try {
    const namespace =
      options.allNamespaces === true ? undefined : (options.namespace ?? cluster.namespace)
    const built = await buildReport(
      { config, resolve: engine.resolve, imageTimeoutMs, parallelImages },
      await listRunningImages(cluster.api, { namespace, podKey: (pod) => podKey(config, pod) }),
      await readNamespaceModes(cluster.api, options.berthNamespace),
    )
    if (options.output === 'table') print(io.stdout, reportTable(built, io))
    else printRecord(built, options.output, io)
    return built.summary.unknown > 0 ? 3 : 0
  } finally {
    await engine.close()
    await cluster.close()
  }
}
