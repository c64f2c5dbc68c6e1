/** The Secret that stores the webhook's own certificates: reads it, and takes the rotation step that is due. */
import type { KubeApi } from '../../kube/api-client.ts'
import { hasStatus } from '../../kube/error.ts'
import type { KubeObject, ObjectMeta, ResourceRef } from '../../kube/object.ts'
import type { Logger } from '../../telemetry/log.ts'
import {
  bundleOf,
  fromSecretData,
  nextStep,
  type OwnCertificates,
  toSecretData,
} from './rotation.ts'

export interface CertificateSecretOptions {
  readonly namespace: string
  /** Its name. */
  readonly secret: string
  /** DNS names and IP addresses by which the API server may call the webhook. */
  readonly names: readonly [string, ...string[]]
  /** Milliseconds that API servers get to trust a new CA before it signs. */
  readonly settleMs: number
  readonly log: Logger
  readonly signal: AbortSignal
}

interface CertificateSecret extends KubeObject {
  readonly data?: Readonly<Record<string, string>>
  readonly type?: string
}

/** `kubectl annotate secret NAME berth.dev/rotate=now` starts a rotation. */
const rotateAnnotation = 'berth.dev/rotate'

/**
 * Takes the rotation step that is due, if any, and returns what the Secret holds then. Null when another replica wrote first:
 * read again. Throws when the Secret holds a certificate that is not Berth's.
 *
 * @param publishedForMs milliseconds since the caBundles have had a bundle; null when they have not
 */
export async function renewSecret(
  api: KubeApi,
  options: CertificateSecretOptions,
  publishedForMs: (bundle: string) => number | null,
): Promise<OwnCertificates | null> {
  const { names, settleMs, log, signal } = options
  const ref = { ...secretsIn(options.namespace), name: options.secret }
  const stored = await api.get<CertificateSecret>(ref, { signal })
  if (isForeign(stored?.data))
    throw new Error(
      `Secret ${ref.namespace}/${ref.name} holds a certificate that Berth did not create; use it with --tls-cert and --tls-key, or name another Secret`,
    )
  const now = new Date()
  const current = fromSecretData(stored?.data, now)
  const step = await nextStep(current, {
    names,
    now,
    settleMs,
    publishedForMs: current === null ? null : publishedForMs(bundleOf(current)),
    rotate: stored?.metadata.annotations?.[rotateAnnotation] !== undefined,
  })
  if (step === null) return current
  if (!(await write(api, ref, { stored, certificates: step.certificates, signal }))) return null
  log.info({ secret: `${ref.namespace}/${ref.name}`, reason: step.reason }, 'certificate renewed')
  return step.certificates
}

export function secretsIn(namespace: string): ResourceRef & { readonly namespace: string } {
  return { apiVersion: 'v1', resource: 'secrets', namespace }
}

/** False when another replica wrote first. */
async function write(
  api: KubeApi,
  ref: ReturnType<typeof secretsIn> & { readonly name: string },
  {
    stored,
    certificates,
    signal,
  }: {
    readonly stored: CertificateSecret | null
    readonly certificates: OwnCertificates
    readonly signal: AbortSignal
  },
): Promise<boolean> {
  const { name, namespace } = ref
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    type: stored?.type ?? 'kubernetes.io/tls',
    data: toSecretData(certificates),
  }
  try {
    if (stored === null)
      await api.create(
        secretsIn(namespace),
        { ...secret, metadata: { name, namespace } },
        { signal },
      )
    else
      await api.replace(
        ref,
        { ...stored, ...secret, metadata: withoutRotateRequest(stored.metadata) },
        { signal },
      )
    return true
  } catch (error) {
    if (hasStatus(error, 409)) return false
    throw error
  }
}

/** A pair without the CA that Berth stores with it was put there by a person or by cert-manager. */
function isForeign(data: CertificateSecret['data']): boolean {
  return (data?.['tls.crt'] ?? '') !== '' && data?.['signer.crt'] === undefined
}

function withoutRotateRequest(metadata: ObjectMeta): ObjectMeta {
  const { [rotateAnnotation]: _, ...annotations } = metadata.annotations ?? {}
  return { ...metadata, annotations }
}
