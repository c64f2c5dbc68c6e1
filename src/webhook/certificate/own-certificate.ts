/**
 * Keeps the webhook's own certificate: in one Secret that all replicas share, and in the caBundle of the webhook
 * configuration. Every replica runs it; the API server's versions decide who was first, and the others take what is there.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { KubeObject, ObjectMeta, ResourceRef } from '../../kube/object.ts'
import { startInformer } from '../../kube/informer.ts'
import type { KeyPair } from './certificate-files.ts'
import {
  bundleOf,
  fromSecretData,
  isTrusted,
  nextStep,
  type OwnCertificates,
  toSecretData,
} from './rotation.ts'
import type { Logger } from '../../telemetry/log.ts'

export interface OwnCertificateOptions {
  readonly namespace: string
  readonly secret: string
  /** The MutatingWebhookConfiguration whose caBundles are ours. */
  readonly webhook: string
  /** What the API server may call the webhook by. */
  readonly names: readonly [string, ...string[]]
  readonly settleMs: number
  readonly onPair: (pair: KeyPair) => void
  readonly log: Logger
  readonly signal: AbortSignal
}

export interface OwnCertificate {
  /** Null when callers that go by the live webhook configuration accept the certificate in use; else why not. */
  notReady(): string | null
}

interface Secret extends KubeObject {
  readonly data?: Readonly<Record<string, string>>
  readonly type?: string
}

interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly {
    readonly name: string
    readonly clientConfig?: { readonly caBundle?: string }
  }[]
}

/** `kubectl annotate secret NAME berth.dev/rotate=now` begins a rotation. */
const rotateAnnotation = 'berth.dev/rotate'

/** The clock is looked at this often; far below the minute after which a renewal would count as late. */
const tickMs = 5_000

/** A change is followed by others; the API server is not asked for each. */
const leastMs = 200

/** Starts, and goes on until the signal aborts. Never throws: what fails is tried again. */
export function keepOwnCertificate(api: KubeApi, options: OwnCertificateOptions): OwnCertificate {
  const { namespace, secret: name, webhook, names, settleMs, onPair, log, signal } = options
  const secrets: ResourceRef = { apiVersion: 'v1', resource: 'secrets', namespace }
  const configurations: ResourceRef = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    resource: 'mutatingwebhookconfigurations',
  }
  let used: KeyPair | null = null
  let fault: string | null = 'no certificate yet'
  let published: { readonly bundle: string; readonly since: number } | null = null
  let wake = () => {}

  for (const [ref, only] of [
    [secrets, name],
    [configurations, webhook],
  ] as const)
    startInformer(api, {
      ref,
      selection: { fieldSelector: `metadata.name=${only}`, metadataOnly: true },
      transform: ({ metadata }) => metadata.resourceVersion ?? '',
      onChange: () => wake(),
      onError: (error) => log.debug({ problem: String(error) }, 'own certificate: watch'),
      signal,
    })

  /** Takes the step that is due, if any, and gives what the Secret holds then. Null if somebody else was faster. */
  async function renew(): Promise<OwnCertificates | null> {
    const stored = await api.get<Secret>({ ...secrets, name }, { signal })
    const now = new Date()
    if (isSomebodyElses(stored?.data))
      throw new Error(
        `${namespace}/${name} holds a certificate that is not Berth's own; serve it with --tls-cert and --tls-key, or name another Secret`,
      )
    const current = fromSecretData(stored?.data, now)
    const isPublished = current !== null && published?.bundle === bundleOf(current)
    const step = await nextStep(current, {
      names,
      now,
      publishedForMs:
        isPublished && published !== null ? performance.now() - published.since : null,
      rotate: stored?.metadata.annotations?.[rotateAnnotation] !== undefined,
      settleMs,
    })
    if (step === null) return current
    const written = {
      apiVersion: 'v1',
      kind: 'Secret',
      type: stored?.type ?? 'kubernetes.io/tls',
      data: toSecretData(step.certificates),
    }
    try {
      if (stored === null)
        await api.create(secrets, { ...written, metadata: { name, namespace } }, { signal })
      else
        await api.replace(
          { ...secrets, name },
          { ...stored, ...written, metadata: withoutRequest(stored.metadata) },
          { signal },
        )
    } catch (error) {
      if (hasStatus(error, 409)) return null
      throw error
    }
    log.info({ secret: `${namespace}/${name}`, why: step.why }, 'own certificate: renewed')
    return step.certificates
  }

  /** Makes the API server trust the bundle. Only caBundles are touched, each by its webhook's name. */
  async function publish(bundle: string, leaf: string): Promise<void> {
    const live = await api.get<WebhookConfiguration>(
      { ...configurations, name: webhook },
      { signal },
    )
    const webhooks = live?.webhooks ?? []
    const caBundle = base64(bundle)
    const stale = webhooks.filter(({ clientConfig }) => clientConfig?.caBundle !== caBundle)
    const now = new Date()
    const refused = stale.find(({ clientConfig }) => {
      const known = Buffer.from(clientConfig?.caBundle ?? '', 'base64').toString('utf8')
      return !isTrusted(leaf, known, now)
    })
    fault =
      refused === undefined
        ? null
        : `the caBundle of ${refused.name} does not trust the certificate`
    if (live !== null && stale.length > 0) {
      await api.patch(
        { ...configurations, name: webhook },
        'strategic',
        {
          metadata: { resourceVersion: live.metadata.resourceVersion },
          webhooks: stale.map((each) => ({ name: each.name, clientConfig: { caBundle } })),
        },
        { signal },
      )
      log.info({ webhook, webhooks: stale.map((each) => each.name) }, 'own certificate: told')
    }
    fault = null
    if (published?.bundle !== bundle) published = { bundle, since: performance.now() }
  }

  async function reconcile(): Promise<void> {
    const current = await renew()
    if (current === null) return wake()
    if (used?.cert !== current.leaf.cert) {
      used = current.leaf
      onPair(current.leaf)
    }
    await publish(bundleOf(current), current.leaf.cert)
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const woken = new AbortController()
      wake = () => woken.abort()
      signal.addEventListener('abort', wake, { once: true })
      try {
        await reconcile()
      } catch (error) {
        if (signal.aborted) return
        if (hasStatus(error, 409)) wake()
        // What is in use stays in use, and is ready if it was.
        if (used === null) fault = error instanceof Error ? error.message : String(error)
        if (!hasStatus(error, 409))
          log.warn({ problem: String(error) }, 'own certificate: not kept; tried again')
      }
      await sleep(leastMs, undefined, { signal }).catch(() => undefined)
      await sleep(tickMs, undefined, { signal: woken.signal }).catch(() => undefined)
      signal.removeEventListener('abort', wake)
    }
  }

  void run()
  return { notReady: () => fault }
}

/** A pair without the CA that Berth stores beside its own was put there by a person or by cert-manager. */
function isSomebodyElses(data: Secret['data']): boolean {
  return (data?.['tls.crt'] ?? '') !== '' && data?.['signer.crt'] === undefined
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

function withoutRequest(metadata: ObjectMeta): ObjectMeta {
  const { [rotateAnnotation]: _request, ...annotations } = metadata.annotations ?? {}
  return { ...metadata, annotations }
}
