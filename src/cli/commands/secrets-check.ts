/** `berth secrets check`: prints the registries that pods need and their service accounts lack. */
import { stringify } from 'yaml'
import type { SourceName } from '../../config/copy-settings.ts'
import { checkCredentials } from '../../pull-secrets/cluster/check-credentials.ts'
import type { MissingCredential } from '../../pull-secrets/missing-credentials.ts'
import { print } from '../io.ts'
import { table } from '../output/table.ts'
import type { SecretsTask } from './secrets-sync.ts'

export interface CheckTask extends SecretsTask {
  /** In addition to the sources in the config. */
  readonly sources: readonly SourceName[]
}

/** Returns 1 when a service account or a pod lacks a credential, or a source cannot be used; else 0. */
export async function checkSecrets(task: CheckTask): Promise<number> {
  const { api, settings, io, namespace } = task
  const sources = [...task.sources, ...settings.copies.flatMap(({ from }) => from)]
  const { missing, unusableSources } = await checkCredentials(api, sources, namespace)
  for (const problem of unusableSources) print(io.stderr, `berth: ${problem}`)
  printMissing(task, missing)
  return missing.length + unusableSources.length === 0 ? 0 : 1
}

function printMissing({ output, io }: CheckTask, missing: readonly MissingCredential[]): void {
  if (output === 'json') print(io.stdout, JSON.stringify(missing, null, 2))
  else if (output === 'yaml') print(io.stdout, stringify(missing))
  else if (missing.length === 0)
    print(io.stderr, 'no missing credentials: every registry that a source knows is covered')
  else
    print(
      io.stdout,
      table(
        ['namespace', 'service account', 'registry', 'source', 'pods', 'stuck', 'fix'],
        missing.map(({ namespace, serviceAccount, registry, source, pods, stuck, isLinked }) => ({
          namespace,
          'service account': serviceAccount,
          registry,
          source,
          pods: String(pods.length),
          stuck: String(stuck),
          fix: isLinked ? 'recreate the pods' : 'copy and link the source',
        })),
      ),
    )
}
