/** Reads policies from files, directories, standard input and the cluster. */
import type { Readable } from 'node:stream'
import { stringify } from 'yaml'
import { isObject, member, textMember } from '../json/json.ts'
import type { KubeApi } from '../kube/api-client.ts'
import { connect, type ConnectOptions } from '../kube/connect.ts'
import { hasStatus } from '../kube/error.ts'
import type { KubeObject } from '../kube/object.ts'
import { addUnread, readManifestFiles } from '../manifests/manifest-files.ts'
import { type Manifests, readManifests } from '../manifests/manifests.ts'
import { createUnreadFiles } from '../manifests/unread-files.ts'
import { BerthError } from '../errors.ts'
import { manifestLimits } from '../yaml/limits.ts'
import type { PolicyRule } from './policy-rule.ts'
import { readPolicies } from './read-policies.ts'

/** One file with policies. */
export interface PolicyFile {
  /** The file name, or `cluster`. */
  readonly name: string
  readonly manifests: Manifests
  readonly rules: readonly PolicyRule[]
}

export interface PolicySourceOptions {
  /** Files, directories, `-` for `stdin`, or `cluster`. */
  readonly sources: readonly string[]
  readonly recursive: boolean
  readonly stdin: Readable
  readonly connection: ConnectOptions
  readonly signal: AbortSignal
  /** Receives a message about what is skipped. */
  readonly onProblem: (message: string) => void
}

/** The value of `--policies` for the cluster. For a file with this name, users write `./cluster`. */
const clusterSource = 'cluster'

/** Returns the files that have policies. Throws `manifest-invalid` if a file cannot be read, and what the API client throws. */
export async function readPolicySources(options: PolicySourceOptions): Promise<PolicyFile[]> {
  const { sources, onProblem } = options
  const names = sources.filter((source) => source !== clusterSource)
  const unread = createUnreadFiles()
  const texts = await readManifestFiles(names, { ...options, unread })
  if (names.length < sources.length) {
    const text = await readClusterPolicies(options.connection, options.signal)
    texts.push({ name: clusterSource, text, isFromDirectory: false, state: null })
  }
  const files = texts.flatMap((file) => {
    const { name } = file
    const read = readManifests(file.text)
    if (!read.ok) {
      addUnread(unread, file, read)
      return []
    }
    const { rules, isCut } = readPolicies(read.manifests, name)
    if (isCut) onProblem(`${name}: only the first ${rules.length} policy rules are checked`)
    return rules.length === 0 ? [] : [{ name, manifests: read.manifests, rules }]
  })
  unread.reportSkipped(onProblem)
  unread.throwInvalid()
  return files
}

/** The collections with policies, by group. */
const collections: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'kyverno.io': { clusterpolicies: 'ClusterPolicy', policies: 'Policy' },
  'policies.kyverno.io': {
    imagevalidatingpolicies: 'ImageValidatingPolicy',
    namespacedimagevalidatingpolicies: 'NamespacedImageValidatingPolicy',
    validatingpolicies: 'ValidatingPolicy',
    namespacedvalidatingpolicies: 'NamespacedValidatingPolicy',
  },
  'policy.sigstore.dev': { clusterimagepolicies: 'ClusterImagePolicy' },
  'admissionregistration.k8s.io': { validatingadmissionpolicies: 'ValidatingAdmissionPolicy' },
}

/** Returns all policies of a cluster as one YAML stream. */
async function readClusterPolicies(
  connection: ConnectOptions,
  signal: AbortSignal,
): Promise<string> {
  const cluster = await connect(connection)
  const texts: string[] = []
  let length = 0
  try {
    for await (const policy of listPolicies(cluster.api, signal)) {
      const text = stringify(policy)
      length += text.length
      if (length > manifestLimits.length) throw tooLarge()
      texts.push(text)
    }
  } finally {
    await cluster.close()
  }
  return texts.join('---\n')
}

function tooLarge(): BerthError {
  const message = `the policies of the cluster have more than ${manifestLimits.length} characters; give files instead`
  return new BerthError('manifest-invalid', message)
}

/** Yields the policies of all kinds that the cluster serves. */
async function* listPolicies(api: KubeApi, signal: AbortSignal): AsyncGenerator<object> {
  for (const [group, kinds] of Object.entries(collections)) {
    const versions = await servedVersions(api, group, signal)
    for (const [resource, kind] of Object.entries(kinds))
      for await (const { apiVersion, object } of listServed(api, { versions, resource }, signal))
        yield withoutState(object, apiVersion, kind)
  }
}

/** Returns the versions of a group that the API server serves, the preferred one first; none without the group. */
async function servedVersions(
  api: KubeApi,
  group: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  try {
    const answer = await api.getRaw(`/apis/${group}`, signal)
    const preferred = textMember(member(answer, 'preferredVersion'), 'groupVersion')
    const versions = member(answer, 'versions')
    const others = Array.isArray(versions)
      ? versions.map((each) => textMember(each, 'groupVersion'))
      : []
    return [...new Set([preferred, ...others])].filter((version) => version !== '')
  } catch (error) {
    if (hasStatus(error, 404)) return []
    throw error
  }
}

interface ServedObject {
  readonly apiVersion: string
  readonly object: KubeObject
}

/** Yields the objects of a collection in the first version that has it. */
async function* listServed(
  api: KubeApi,
  { versions, resource }: { readonly versions: readonly string[]; readonly resource: string },
  signal: AbortSignal,
): AsyncGenerator<ServedObject> {
  for (const apiVersion of versions)
    try {
      for await (const object of api.list({ apiVersion, resource }, notOfBerth, signal))
        yield { apiVersion, object }
      return
    } catch (error) {
      // A version may lack the collection.
      if (!hasStatus(error, 404)) throw error
    }
}

/** The policy of Berth lists mirrors, and covers no images. */
const notOfBerth = { labelSelector: 'app.kubernetes.io/name!=berth' }

/** Returns the object without its status and without what the API server adds. */
function withoutState(object: KubeObject, apiVersion: string, kind: string): object {
  const { metadata, status: _, ...rest } = object as KubeObject & { readonly status?: unknown }
  const { name, namespace, labels, annotations } = metadata
  const { 'kubectl.kubernetes.io/last-applied-configuration': __, ...written } = annotations ?? {}
  return {
    ...rest,
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(isObject(labels) ? { labels } : {}),
      ...(Object.keys(written).length > 0 ? { annotations: written } : {}),
    },
  }
}
