/**
 * The control loop for the webhook's own certificate: it keeps the Secret that all replicas share and the caBundles of the
 * webhook configuration up to date. Every replica runs the loop. Resource versions decide which write comes first, and the
 * other replicas take what is stored.
 */
import { createNotifier } from '../../async/notifier.ts'
import { sleep } from '../../async/sleep.ts'
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import { startInformer } from '../../kube/informer.ts'
import {
  findStaleWebhooks,
  updateBundles,
  webhookConfigurations,
  whyUntrusted,
} from './ca-bundle.ts'
import type { KeyPair } from './certificate-files.ts'
import { type CertificateSecretOptions, renewSecret, secretsIn } from './certificate-secret.ts'
import { bundleOf, type OwnCertificates } from './rotation.ts'

export interface KeepCertificateOptions extends CertificateSecretOptions {
  /** The MutatingWebhookConfiguration whose caBundles are updated. */
  readonly webhook: string
  /** Called with the first pair and with each renewed one. */
  readonly onPair: (pair: KeyPair) => void
  readonly times?: CertificateLoopTimes
}

export interface CertificateLoopTimes {
  /** Milliseconds after which the loop runs even if nothing has changed: renewals depend on the clock. */
  readonly resyncMs: number
  /** Milliseconds between two runs, so that changes that follow each other are reconciled together. */
  readonly minIntervalMs: number
}

export interface OwnCertificate {
  /** Null when the API server, by the caBundles that it has, accepts the certificate in use; else why not. */
  notReady(): string | null
}

/** Far below the minute after which a renewal counts as late. */
const defaultTimes: CertificateLoopTimes = { resyncMs: 5_000, minIntervalMs: 200 }

/** Starts the loop, which runs until the signal aborts. Never throws: what fails is retried. */
export function keepOwnCertificate(api: KubeApi, options: KeepCertificateOptions): OwnCertificate {
  const { webhook, onPair, times = defaultTimes, log, signal } = options
  const changes = createNotifier()
  let inUse: KeyPair | null = null
  let notReady: string | null = 'no certificate yet'
  let published: { readonly bundle: string; readonly since: number } | null = null

  function publishedForMs(bundle: string): number | null {
    return published?.bundle === bundle ? performance.now() - published.since : null
  }

  async function publish(certificates: OwnCertificates): Promise<void> {
    const bundle = bundleOf(certificates)
    const stale = await findStaleWebhooks(api, webhook, { bundle, signal })
    notReady = whyUntrusted(stale, certificates.leaf.cert)
    if (stale.webhooks.length > 0) {
      await updateBundles(api, stale, { bundle, signal })
      log.info({ webhook, webhooks: stale.webhooks.map(({ name }) => name) }, 'caBundle updated')
    }
    notReady = null
    if (published?.bundle !== bundle) published = { bundle, since: performance.now() }
  }

  async function reconcile(): Promise<void> {
    const certificates = await renewSecret(api, options, publishedForMs)
    if (certificates === null) return changes.notify()
    if (inUse?.cert !== certificates.leaf.cert) {
      inUse = certificates.leaf
      onPair(certificates.leaf)
    }
    await publish(certificates)
  }

  function handleError(error: unknown): void {
    if (signal.aborted) return
    // A pair that is in use stays in use, and ready if it was.
    if (inUse === null) notReady = error instanceof Error ? error.message : String(error)
    // Another writer was faster: read again.
    if (hasStatus(error, 409)) changes.notify()
    else log.warn({ problem: String(error) }, 'certificate reconciliation failed')
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      await reconcile().catch(handleError)
      await sleep(times.minIntervalMs, signal)
      await changes.wait(times.resyncMs, signal)
    }
  }

  watchForChanges(api, options, () => changes.notify())
  void run()
  return { notReady: () => notReady }
}

/** Watches the Secret and the webhook configuration. */
function watchForChanges(
  api: KubeApi,
  { namespace, secret, webhook, log, signal }: KeepCertificateOptions,
  onChange: () => void,
): void {
  const watched = [
    { ref: secretsIn(namespace), name: secret },
    { ref: webhookConfigurations, name: webhook },
  ]
  for (const { ref, name } of watched)
    startInformer(api, {
      ref,
      selection: { fieldSelector: `metadata.name=${name}`, metadataOnly: true },
      transform: ({ metadata }) => metadata.resourceVersion ?? '',
      onChange,
      onError: (error) => log.debug({ problem: String(error) }, 'certificate watch failed'),
      signal,
    })
}
