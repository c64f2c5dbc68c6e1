/** `berth secrets check`: which service accounts lack a registry that their pods need, while a source knows it. */
import { stringify } from 'yaml'
import type { KubeApi } from '../../kube/api-client.ts'
import type { KubeObject, ResourceRef } from '../../kube/object.ts'
import { readContent } from '../../pull-secrets/content.ts'
import {
  findMissingCredentials,
  type KnownSource,
  type MissingCredential,
  type PodNeed,
} from '../../pull-secrets/missing-credentials.ts'
import type { RawAccount, RawSecret } from '../../pull-secrets/objects.ts'
import { type RawPod, readStuckPod } from '../../pull-secrets/stuck-pods.ts'
import type { SourceName } from '../../config/copy-settings.ts'
import { print } from '../io.ts'
import type { SecretsTask } from './secrets-sync.ts'
import { table } from '../output/table.ts'

export interface CheckTask extends SecretsTask {
  /** Beside those of the config; they need not consent, for nothing is copied. */
  readonly sources: readonly SourceName[]
}

const secretTypes = ['kubernetes.io/dockerconfigjson', 'kubernetes.io/dockercfg']

/** 0, or 1 when an account or a pod lacks something. Reads the pull secrets of the namespaces, with the caller's rights. */
export async function checkSecrets(task: CheckTask): Promise<number> {
  const { api, settings, io } = task
  const names = [...task.sources, ...settings.copies.flatMap(({ from }) => from)]
  const sources: KnownSource[] = []
  for (const name of names) {
    const source = await readSource(api, name)
    if ('reason' in source) print(io.stderr, `berth: ${source.reason}`)
    else sources.push(source)
  }
  const within = task.namespace === null ? {} : { namespace: task.namespace }
  const collection = (resource: string): ResourceRef => ({ apiVersion: 'v1', resource, ...within })
  const pods: PodNeed[] = []
  for await (const pod of api.list<RawPod & KubeObject>(collection('pods'))) pods.push(needOf(pod))
  const accounts = new Map<string, readonly string[]>()
  for await (const account of api.list<RawAccount & KubeObject>(collection('serviceaccounts')))
    accounts.set(
      keyOf(account),
      (account.imagePullSecrets ?? []).map(({ name = '' }) => name),
    )
  const secrets = new Map<string, RawSecret>()
  for (const type of secretTypes) {
    const selection = { fieldSelector: `type=${type}` }
    for await (const secret of api.list<RawSecret & KubeObject>(collection('secrets'), selection))
      secrets.set(keyOf(secret), secret)
  }
  const lacks = findMissingCredentials({ pods, accounts, secrets, sources })
  show(task, lacks)
  return lacks.length === 0 && sources.length === names.length ? 0 : 1
}

async function readSource(
  api: KubeApi,
  source: SourceName,
): Promise<KnownSource | { readonly reason: string }> {
  const name = `${source.namespace}/${source.name}`
  const secret = await api.get<RawSecret & KubeObject>({
    apiVersion: 'v1',
    resource: 'secrets',
    ...source,
  })
  if (secret === null) return { reason: `there is no source ${name}` }
  const { type = '', data = {} } = secret
  const found = { uid: '', type, data, expiresAt: null }
  const content = readContent({ from: [source], type: 'keep' }, () => found)
  return content.kind === 'good' ? { name, keys: content.keys } : { reason: content.reason }
}

function needOf(pod: RawPod): PodNeed {
  const { metadata, spec = {} } = pod
  const containers = [...(spec.initContainers ?? []), ...(spec.containers ?? [])]
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    account: spec.serviceAccountName ?? 'default',
    images: containers.map(({ image = '' }) => image),
    pullSecrets: (spec.imagePullSecrets ?? []).map(({ name = '' }) => name),
    isStuck: readStuckPod(pod) !== null,
  }
}

function keyOf({ metadata: { namespace, name } }: KubeObject): string {
  return `${namespace}/${name}`
}

function show({ output, io }: CheckTask, lacks: readonly MissingCredential[]): void {
  if (output === 'json') print(io.stdout, JSON.stringify(lacks, null, 2))
  else if (output === 'yaml') print(io.stdout, stringify(lacks))
  else if (lacks.length === 0)
    print(io.stderr, 'no service account lacks a registry that its pods need and a source knows')
  else
    print(
      io.stdout,
      table(
        ['namespace', 'service account', 'registry', 'source', 'pods', 'stuck', 'fix'],
        lacks.map(({ namespace, serviceAccount, registry, source, pods, stuck, isLinked }) => ({
          namespace,
          'service account': serviceAccount,
          registry,
          source,
          pods: String(pods.length),
          stuck: String(stuck),
          fix: isLinked ? 'make the pods again' : 'copy and link the source',
        })),
      ),
    )
}
