/** What the fallback table has for an image that does not come, and why the pod has not got it. */
import { type ImageRecord, readRecords } from '../../decision/pod/images-annotation.ts'
import type { Config } from '../../config/config.ts'
import type { PullFailure } from '../pull-failure.ts'
import { isOfNetwork } from './probe-evidence.ts'
import type { PullVerdict } from '../verdict.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { KubeObject } from '../../kube/object.ts'
import { findSites } from '../../decision/pod/sites.ts'
import { isObject, member } from '../../json/json.ts'
import { parseReference } from '../../decision/reference/parse.ts'
import { formatReference } from '../../decision/reference/reference.ts'
import type { Resolution } from '../../decision/resolve/resolution.ts'
import { resolve, resolveWithoutProbing } from '../../decision/resolve/resolve.ts'
import type { ResolveDependencies } from '../../decision/resolve/probe-candidate.ts'
import { describeResolution } from '../../decision/resolve/describe-resolution.ts'
import { matchesSelector, parseLabelSelector } from '../../decision/labels/label-selector.ts'

export interface FallbackDependencies {
  readonly api: KubeApi
  readonly config: Config
  /** Null: no registry is asked. */
  readonly resolve: ResolveDependencies | null
}

/** Milliseconds for one image: three times what a webhook has for it at the most. */
const patienceMs = 10_000

export type FallbackCheck = (
  verdict: PullVerdict,
  failure: PullFailure,
  pod: KubeObject,
) => Promise<readonly string[]>

/** A function that says it in sentences. The webhook's configuration and each namespace are read once. */
export function createFallbackCheck(dependencies: FallbackDependencies): FallbackCheck {
  const { api, config } = dependencies
  const once = new Map<string, Promise<unknown>>()
  const read = <T>(key: string, ask: () => Promise<T>): Promise<T> => {
    const found = (once.get(key) as Promise<T> | undefined) ?? ask()
    once.set(key, found)
    return found
  }
  return async (verdict, failure, pod) => {
    const record = recordOf(pod, failure)
    const parsed = parseReference(record?.from ?? failure.image)
    if (!parsed.ok || failure.container === '') return []
    const request = { reference: parsed.reference, namespace: failure.namespace }
    const resolution =
      dependencies.resolve === null
        ? resolveWithoutProbing(config, request)
        : await read(`${failure.namespace} ${formatReference(parsed.reference)}`, () =>
            resolve(dependencies.resolve as ResolveDependencies, config, {
              ...request,
              signal: AbortSignal.timeout(patienceMs),
            }),
          )
    const would = whatWould(resolution, failure, dependencies.resolve !== null)
    if (would === null)
      return isOfNetwork(verdict.cause.rule) ? [whyNothing(resolution, failure)] : []
    const [webhook, namespace] = await Promise.all([
      read('webhook', () => webhookOf(api)),
      read(`namespace ${failure.namespace}`, () =>
        readable(
          api.get<KubeObject>({
            apiVersion: 'v1',
            resource: 'namespaces',
            name: failure.namespace,
          }),
        ),
      ),
    ])
    return [would, whyNot({ record, pod, webhook, namespace, mode: config.mode })]
  }
}

/** What Berth wrote of this very site; of no use once somebody has changed the image since. */
function recordOf(pod: KubeObject, { container, image }: PullFailure): ImageRecord | null {
  const site = findSites(pod).find(
    ({ name, image: asked }) => name.endsWith(`/${container}`) && asked === image,
  )
  const record = site === undefined ? undefined : readRecords(pod).get(site.name)
  return record?.to === image ? record : null
}

/** Null when the table leads to no other image than the one that fails. */
function whatWould(
  resolution: Resolution,
  { image }: PullFailure,
  isAsked: boolean,
): string | null {
  const { row, chosen, reason } = resolution
  const target = formatReference(chosen)
  const parsed = parseReference(image)
  const isSame = parsed.ok && formatReference(parsed.reference) === target
  if (row === null || isSame || ['none-found', 'row-denies', 'pin-denies'].includes(reason))
    return null
  if (resolution.kind === 'original' && !resolution.pinned) return null
  const how = isAsked
    ? `it is there, asked from this machine (${describeResolution(resolution)})`
    : 'not asked (--no-probe)'
  return `row ${row} would take ${target}: ${how}`
}

function whyNothing({ row, reason, steps, ...rest }: Resolution, { image }: PullFailure): string {
  if (row === null)
    return `no row of the table is for ${image}: one with a mirror before its registry would take it from there`
  return `row ${row} has nothing better: ${describeResolution({ row, reason, steps, ...rest })}`
}

interface Circumstances {
  readonly record: ImageRecord | null
  readonly pod: KubeObject
  /** `unreadable`, or null when there is none. */
  readonly webhook: KubeObject | 'unreadable' | null
  readonly namespace: KubeObject | 'unreadable' | null
  readonly mode: Config['mode']
}

/** Why a pod has not got what the table has for it: the first reason that holds. */
function whyNot({ record, pod, webhook, namespace, mode }: Circumstances): string {
  const again = 'a pod made anew is decided anew'
  if (record !== null) {
    const isLate = /\btimeout\b/.test(record.why)
    return `when the pod was made Berth ${isLate ? 'ran out of time' : 'decided'}: ${record.why}; ${again}`
  }
  if (mode === 'observe') return 'not chosen: the config says mode: observe, which changes nothing'
  if (webhook === 'unreadable')
    return "not chosen, and why could not be seen: the webhook's configuration may not be read by you"
  if (webhook === null) return "not chosen: Berth's webhook is not in this cluster"
  const left =
    namespace === null || namespace === 'unreadable' ? null : whyLeftOut(webhook, namespace)
  if (left !== null) return `not chosen: ${left}`
  const [made, installed] = [pod, webhook].map(({ metadata }) => metadata.creationTimestamp ?? '')
  return made !== undefined && installed !== undefined && made < installed
    ? `not chosen: the pod (${made}) is older than Berth's webhook (${installed}); ${again}`
    : `not chosen: the pod has no annotation of Berth's, so the API server had no answer from it when the pod was made; ${again}`
}

/** Why the API server does not call Berth for pods of a namespace; null when it does. */
function whyLeftOut(webhook: KubeObject, { metadata }: KubeObject): string | null {
  const labels = metadata.labels ?? {}
  if (labels['berth.dev/mode'] === 'observe')
    return 'the namespace is in shadow mode (berth.dev/mode: observe)'
  if (labels['berth.dev/rewrite'] === 'disabled')
    return 'the namespace opts out (berth.dev/rewrite: disabled)'
  return selectsNamespace(webhook, labels)
    ? null
    : "the webhook's namespaceSelector leaves this namespace out"
}

const webhookName = 'mutate.berth.dev'

async function webhookOf(api: KubeApi): Promise<KubeObject | 'unreadable' | null> {
  const where = { apiVersion: 'admissionregistration.k8s.io/v1', resource: 'mutatingwebhookconfigurations' } // prettier-ignore
  return readable(
    (async () => {
      for await (const each of api.list<KubeObject>(where))
        if (hooksOf(each).some(({ name }) => name === webhookName)) return each
      return null
    })(),
  )
}

function selectsNamespace(webhook: KubeObject, labels: Readonly<Record<string, string>>): boolean {
  return hooksOf(webhook)
    .filter(({ name }) => name === webhookName)
    .some(({ namespaceSelector }) =>
      // The API server defaults a missing namespaceSelector to {}, which selects every namespace.
      matchesSelector(parseLabelSelector(namespaceSelector ?? {}), labels),
    )
}

function hooksOf(configuration: KubeObject): readonly Readonly<Record<string, unknown>>[] {
  const hooks = member(configuration, 'webhooks')
  return Array.isArray(hooks) ? hooks.filter(isObject) : []
}

async function readable<T>(asked: Promise<T>): Promise<T | 'unreadable'> {
  try {
    return await asked
  } catch (error) {
    if (hasStatus(error, 403)) return 'unreadable'
    throw error
  }
}
