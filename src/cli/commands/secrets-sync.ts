/** `berth secrets plan` and `berth secrets sync`: prints what is to be written for pull secrets, or writes it. */
import { stringify } from 'yaml'
import type { Config } from '../../config/config.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import {
  planCopies,
  syncCopies,
  type SyncLine,
  type SyncOptions,
} from '../../pull-secrets/cluster/sync-copies.ts'
import { type Io, print } from '../io.ts'
import { table } from '../output/table.ts'

export interface SecretsTask {
  readonly api: KubeApi
  readonly settings: Config['pullSecretCopies']
  /** Null for all namespaces. */
  readonly namespace: string | null
  readonly output: 'table' | 'json' | 'yaml'
  readonly io: Io
}

/** Returns 1 when something is to be written or cannot be, else 0. */
export async function planSecrets(task: SecretsTask): Promise<number> {
  const lines = await planCopies(optionsOf(task))
  printLines(task, lines)
  return lines.length === 0 ? 0 : 1
}

/** Returns 1 when something could not be written, else 0. */
export async function syncSecrets(task: SecretsTask): Promise<number> {
  const { written, problems } = await syncCopies(optionsOf(task))
  printLines(task, [...problems, ...written])
  return problems.length === 0 ? 0 : 1
}

function optionsOf({ api, settings, namespace, io: { signal } }: SecretsTask): SyncOptions {
  return { api, settings, namespace, signal }
}

function printLines({ output, io }: SecretsTask, lines: readonly SyncLine[]): void {
  if (output === 'json') print(io.stdout, JSON.stringify(lines, null, 2))
  else if (output === 'yaml') print(io.stdout, stringify(lines))
  else if (lines.length === 0) print(io.stderr, 'all copies and service accounts are up to date')
  else print(io.stdout, table(['namespace', 'action', 'object', 'reason'], lines))
}
