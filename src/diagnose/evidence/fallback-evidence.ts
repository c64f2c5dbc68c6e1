/** Explains what the fallback table has for a failing image, and why the pod does not have it. */
import { type ImageRecord, readRecords } from '../../decision/pod/images-annotation.ts'
import { podKey } from '../../config/pod-key.ts'
import type { Config } from '../../config/config.ts'
import type { PullFailure } from '../pull-failure.ts'
import type { PullVerdict } from '../verdict.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import type { KubeObject } from '../../kube/object.ts'
import { matchesSelector, parseLabelSelector } from '../../decision/labels/label-selector.ts'
import { readPodContext } from '../../decision/pod/pod-context.ts'
import { findSites } from '../../decision/pod/sites.ts'
import { type JsonObject, objectsMember } from '../../json/json.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import { formatReference } from '../../decision/reference/reference.ts'
import type { Resolution } from '../../decision/resolve/resolution.ts'
import { resolve, resolveWithoutProbing } from '../../decision/resolve/resolve.ts'
import type { ResolveDependencies } from '../../decision/resolve/probe-candidate.ts'
import { describeResolution } from '../../decision/resolve/describe-resolution.ts'
import { unlessForbidden } from './cluster-reader.ts'

export interface FallbackDependencies {
  readonly api: KubeApi
  readonly config: Config
  /** Null: no registry is probed. */
  readonly resolve: ResolveDependencies | null
}

/** Milliseconds for one image: three times the webhook's longest. */
const resolveTimeoutMs = 10_000

/** Returns lines for the finding; none when the table has nothing to say. */
export type FallbackCheck = (
  verdict: PullVerdict,
  failure: PullFailure,
  pod: KubeObject,
) => Promise<readonly string[]>

/** Reads the webhook configuration and each namespace once, and resolves each image once per namespace. */
export function createFallbackCheck(dependencies: FallbackDependencies): FallbackCheck {
  const { api, config } = dependencies
  const answers = new Map<string, Promise<unknown>>()
  const once = <T>(key: string, ask: () => Promise<T>): Promise<T> => {
    const answer = (answers.get(key) as Promise<T> | undefined) ?? ask()
    answers.set(key, answer)
    return answer
  }
  return async (verdict, failure, pod) => {
    const record = recordOf(pod, failure)
    const parsed = parseReference(record?.from ?? failure.image)
    if (!parsed.ok || failure.container === '') return []
    const context = readPodContext(pod, failure.namespace)
    const request = { reference: parsed.reference, pod: context }
    const resolution =
      dependencies.resolve === null
        ? resolveWithoutProbing(config, request)
        : await once(
            `${podKey(config, context)} ${failure.namespace} ${formatReference(parsed.reference)}`,
            () =>
              resolve(dependencies.resolve as ResolveDependencies, config, {
                ...request,
                signal: AbortSignal.timeout(resolveTimeoutMs),
              }),
          )
    const better = betterImage(resolution, failure, dependencies.resolve !== null)
    if (better === null)
      return verdict.rule.isAvoidedByMirror ? [whyNothingBetter(resolution, failure)] : []
    const [webhook, namespace] = await Promise.all([
      once('webhook', () => readWebhook(api)),
      once(`namespace ${failure.namespace}`, () =>
        unlessForbidden(
          api.get<KubeObject>({
            apiVersion: 'v1',
            resource: 'namespaces',
            name: failure.namespace,
          }),
        ),
      ),
    ])
    return [better, whyNotUsed({ record, pod, webhook, namespace, mode: config.mode })]
  }
}

/** Returns the annotation's record of the failing image field; null when the image was changed after Berth wrote it. */
function recordOf(pod: KubeObject, { container, image }: PullFailure): ImageRecord | null {
  const site = findSites(pod).find(
    (each) => each.name.endsWith(`/${container}`) && each.image === image,
  )
  const record = site === undefined ? undefined : readRecords(pod).get(site.name)
  return record?.to === image ? record : null
}

/** Null when the table leads to the image that fails. */
function betterImage(
  resolution: Resolution,
  { image }: PullFailure,
  isProbed: boolean,
): string | null {
  const { row, chosen, reason } = resolution
  const target = formatReference(chosen)
  const parsed = parseReference(image)
  const isSame = parsed.ok && formatReference(parsed.reference) === target
  if (row === null || isSame || ['none-found', 'row-denies', 'pin-denies'].includes(reason))
    return null
  if (resolution.kind === 'original' && !resolution.pinned) return null
  const how = isProbed
    ? `it exists, probed from this machine (${describeResolution(resolution)})`
    : 'not probed (--no-probe)'
  return `row ${row} would use ${target}: ${how}`
}

function whyNothingBetter(resolution: Resolution, { image }: PullFailure): string {
  const { row } = resolution
  if (row === null)
    return `no row of the table matches ${image}; a row with a mirror before its registry would avoid this failure`
  return `row ${row} has no better candidate: ${describeResolution(resolution)}`
}

interface Circumstances {
  readonly record: ImageRecord | null
  readonly pod: KubeObject
  /** Null when it does not exist. */
  readonly webhook: KubeObject | 'unreadable' | null
  readonly namespace: KubeObject | 'unreadable' | null
  readonly mode: Config['mode']
}

/** Returns the first reason that holds for a pod that does not have what the table has for it. */
function whyNotUsed({ record, pod, webhook, namespace, mode }: Circumstances): string {
  const again = 'recreate the pod to have it decided again'
  if (record !== null) {
    const isLate = /\btimeout\b/.test(record.why)
    return `when the pod was created, Berth ${isLate ? 'ran out of time' : 'decided'}: ${record.why}; ${again}`
  }
  if (mode === 'observe') return 'not used: the config has mode: observe, which changes no pod'
  if (webhook === 'unreadable')
    return 'not used, for an unknown reason: you may not read the webhook configuration'
  if (webhook === null) return "not used: Berth's webhook is not installed in this cluster"
  const excluded =
    namespace === null || namespace === 'unreadable' ? null : whyExcluded(webhook, namespace)
  if (excluded !== null) return `not used: ${excluded}`
  const [created, installed] = [pod, webhook].map(
    ({ metadata }) => metadata.creationTimestamp ?? '',
  )
  return created !== undefined && installed !== undefined && created < installed
    ? `not used: the pod (${created}) is older than Berth's webhook (${installed}); ${again}`
    : `not used: the pod has no annotation of Berth, so the API server got no answer from Berth when the pod was created; ${again}`
}

/** Returns why the API server does not call Berth for pods of a namespace, or why Berth only observes; null when neither holds. */
function whyExcluded(webhook: KubeObject, { metadata }: KubeObject): string | null {
  const labels = metadata.labels ?? {}
  if (labels['berth.dev/mode'] === 'observe')
    return 'the namespace is in observe mode (label berth.dev/mode: observe)'
  if (labels['berth.dev/rewrite'] === 'disabled')
    return 'the namespace opts out (label berth.dev/rewrite: disabled)'
  return selectsNamespace(webhook, labels)
    ? null
    : "the webhook's namespaceSelector excludes this namespace"
}

const webhookName = 'mutate.berth.dev'

function readWebhook(api: KubeApi): Promise<KubeObject | 'unreadable' | null> {
  const where = { apiVersion: 'admissionregistration.k8s.io/v1', resource: 'mutatingwebhookconfigurations' } // prettier-ignore
  const find = async () => {
    for await (const each of api.list<KubeObject>(where)) if (hooksOf(each).length > 0) return each
    return null
  }
  return unlessForbidden(find())
}

function selectsNamespace(webhook: KubeObject, labels: Readonly<Record<string, string>>): boolean {
  return hooksOf(webhook).some(({ namespaceSelector }) =>
    // The API server defaults a missing namespaceSelector to {}, which selects every namespace.
    matchesSelector(parseLabelSelector(namespaceSelector ?? {}), labels),
  )
}

/** The hooks of Berth in a MutatingWebhookConfiguration. */
function hooksOf(configuration: KubeObject): readonly JsonObject[] {
  return objectsMember(configuration, 'webhooks').filter(({ name }) => name === webhookName)
}
