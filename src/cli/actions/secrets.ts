/** Runs `berth secrets`: does once what the controller does for pull secrets. */
import type { Config } from '../../config/config.ts'
import type { SourceName } from '../../config/copy-settings.ts'
import { loadConfig } from '../../config/load.ts'
import { BerthError } from '../../errors.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { connect } from '../../kube/connect.ts'
import { checkCredentials } from '../../pull-secrets/cluster/check-credentials.ts'
import { scopesOf } from '../../pull-secrets/cluster/informers.ts'
import { planCopies, syncCopies, type SyncLine } from '../../pull-secrets/cluster/sync-copies.ts'
import type { MissingCredential } from '../../pull-secrets/missing-credentials.ts'
import { controllerRbac } from '../../pull-secrets/rbac/controller-rbac.ts'
import { webhookRbac } from '../../pull-secrets/rbac/webhook-rbac.ts'
import { findConfigFile } from '../config-file.ts'
import { connectOptions } from '../connect-options.ts'
import { type Io, print, printMessage } from '../io.ts'
import type { ConnectionOptions } from '../options.ts'
import { formatTable } from '../output/columns.ts'
import { createPainter } from '../output/colour.ts'
import { formatYaml, printRecord } from '../output/print-record.ts'

export type SecretsAction = 'check' | 'plan' | 'sync' | 'rbac'

export interface SecretsOptions extends ConnectionOptions {
  readonly config?: string
  readonly source: readonly SourceName[]
  readonly namespace?: string
  readonly serviceAccount: string
  readonly lease: string
  readonly output: 'table' | 'json' | 'yaml'
}

type CopySettings = Config['pullSecretCopies']

/** Named so in every manifest of deploy/. */
const webhookAccount = 'berth-webhook'

/** Returns 0; 1 if anything is missing, planned or failed. */
export async function secrets(
  action: SecretsAction,
  options: SecretsOptions,
  io: Io,
): Promise<number> {
  const settings = readSettings(action, options)
  if (action === 'rbac') {
    printRbac(settings, options, io)
    return 0
  }
  const cluster = await connect(connectOptions(options, io))
  try {
    return action === 'check'
      ? await checkSecrets(cluster.api, settings, options, io)
      : await writeSecrets(action, { api: cluster.api, settings, options, io })
  } finally {
    await cluster.close()
  }
}

/** Throws `usage` if there is nothing to copy or check. */
function readSettings(action: SecretsAction, { config, source }: SecretsOptions): CopySettings {
  // A check of given sources needs no config.
  if (action === 'check' && source.length > 0)
    return { copies: [], stuckPods: 'report', rbac: 'cluster', writesPerSecond: 10 }
  const settings = loadConfig(findConfigFile(config)).pullSecretCopies
  if (settings.copies.length > 0 || source.length > 0) return settings
  throw new BerthError(
    'usage',
    'the config copies no pull secrets; add `pullSecretCopies`, or use check with --source NAMESPACE/NAME',
  )
}

function printRbac(
  settings: CopySettings,
  { namespace = 'berth-system', serviceAccount, lease, output }: SecretsOptions,
  io: Io,
): void {
  const given = { ...settings, namespace, scopes: scopesOf(settings) }
  const manifests = [
    ...controllerRbac({ ...given, account: serviceAccount, component: 'controller', lease }),
    ...webhookRbac({ ...given, account: webhookAccount, component: 'webhook' }),
  ]
  if (output === 'json') printRecord(manifests, output, io)
  else print(io.stdout, manifests.map(formatYaml).join('---\n'))
}

async function checkSecrets(
  api: KubeApi,
  { copies }: CopySettings,
  options: SecretsOptions,
  io: Io,
): Promise<number> {
  const sources = [...options.source, ...copies.flatMap(({ from }) => from)]
  const namespace = options.namespace ?? null
  const { missing, unusableSources } = await checkCredentials(api, sources, namespace)
  for (const problem of unusableSources) printMessage(io, problem)
  if (options.output !== 'table') printRecord(missing, options.output, io)
  else if (missing.length === 0)
    print(io.stderr, 'no missing credentials: every registry that a source knows is covered')
  else print(io.stdout, missingTable(missing, io))
  return missing.length + unusableSources.length === 0 ? 0 : 1
}

function missingTable(missing: readonly MissingCredential[], io: Io): string {
  const headings = ['namespace', 'service account', 'registry', 'source', 'pods', 'stuck', 'fix']
  const rows = missing.map((each) => [
    each.namespace,
    each.serviceAccount,
    each.registry,
    each.source,
    String(each.pods.length),
    String(each.stuck),
    each.isLinked ? 'recreate the pods' : 'copy and link the source',
  ])
  return formatTable(headings, rows, createPainter(io.stdout, io.env))
}

interface WriteTask {
  readonly api: KubeApi
  readonly settings: CopySettings
  readonly options: SecretsOptions
  readonly io: Io
}

async function writeSecrets(
  action: 'plan' | 'sync',
  { api, settings, options, io }: WriteTask,
): Promise<number> {
  const sync = { api, settings, namespace: options.namespace ?? null, signal: io.signal }
  if (action === 'plan') {
    const lines = await planCopies(sync)
    printLines(lines, options, io)
    return lines.length === 0 ? 0 : 1
  }
  const { written, problems } = await syncCopies(sync)
  printLines([...problems, ...written], options, io)
  return problems.length === 0 ? 0 : 1
}

function printLines(lines: readonly SyncLine[], { output }: SecretsOptions, io: Io): void {
  if (output !== 'table') printRecord(lines, output, io)
  else if (lines.length === 0) print(io.stderr, 'all copies and service accounts are up to date')
  else
    print(
      io.stdout,
      formatTable(
        ['namespace', 'action', 'object', 'reason'],
        lines.map(({ namespace, action, object, reason }) => [namespace, action, object, reason]),
        createPainter(io.stdout, io.env),
      ),
    )
}
