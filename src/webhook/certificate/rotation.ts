/**
 * Certificates that Berth makes for itself, and their renewal: which step is due, decided by the wall clock each time it
 * is asked, never by a timer that sleeps for months. A CA is replaced in two steps, so that no call is ever refused:
 * the new one is trusted first, beside the old, and signs only when every API server has had time to hear of it.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { KeyPair } from './certificate-files.ts'
import { makeAuthority, makeLeaf } from './self-signed.ts'

/** What one Secret holds. */
export interface OwnCertificates {
  /** Signs. */
  readonly signer: KeyPair
  /** Is trusted already, and will sign. */
  readonly next: KeyPair | null
  /** Signed once, and is trusted as long as a certificate of its may be in use. PEM. */
  readonly old: { readonly cert: string; readonly until: Date } | null
  readonly leaf: KeyPair
}

export interface Circumstances {
  readonly names: readonly [string, ...string[]]
  readonly now: Date
  /** Milliseconds since the API servers have been told of all that `bundleOf` gives; null if they have not. */
  readonly publishedForMs: number | null
  /** Somebody asks for a new CA before its time. */
  readonly rotate: boolean
  /** Milliseconds until every API server has heard of a change of the webhook configuration. */
  readonly settleMs: number
}

export interface RotationStep {
  readonly certificates: OwnCertificates
  /** For the log: what was done and why. */
  readonly why: string
}

const leafDays = 90

/** So long that a rotation is rare, and a leaf of its last third still ends before it. */
const authorityDays = 1_095

/** Renewed when this part of its life is over, as cert-manager does; a third is left to notice that renewal fails. */
const renewAt = 2 / 3

/** API servers follow the webhook configuration by a watch; this is what they take for late. */
export const defaultSettleMs = 120_000

/** Everything that callers have to trust, as one PEM text; the same text for the same certificates. */
export function bundleOf({ signer, next, old }: OwnCertificates): string {
  return [signer.cert, next?.cert, old?.cert]
    .filter((cert) => cert !== undefined)
    .map((cert) => `${cert.trim()}\n`)
    .join('')
}

/** The step that is due, if any; `current` is null where there is nothing that can be used. */
export async function nextStep(
  current: OwnCertificates | null,
  circumstances: Circumstances,
): Promise<RotationStep | null> {
  const { names, now, publishedForMs, rotate, settleMs } = circumstances
  const leafFor = (signer: KeyPair) => makeLeaf(signer, { names, days: leafDays, now })
  if (current === null) {
    const signer = await makeAuthority({ days: authorityDays, now })
    const leaf = await leafFor(signer)
    return { certificates: { signer, next: null, old: null, leaf }, why: 'there was none' }
  }
  const { signer, next, old, leaf } = current
  const fault = leafFault(current, names, now)
  if (fault !== null)
    return { certificates: { ...current, leaf: await leafFor(signer) }, why: fault }
  if (next !== null && publishedForMs !== null && publishedForMs >= settleMs) {
    const until = new Date(now.getTime() + leafDays * 86_400_000)
    return {
      certificates: {
        signer: next,
        next: null,
        old: { cert: signer.cert, until },
        leaf: await leafFor(next),
      },
      why: 'the next CA has been known for long enough to sign',
    }
  }
  if (next === null && (rotate || isDue(signer, now)))
    return {
      certificates: { ...current, next: await makeAuthority({ days: authorityDays, now }) },
      why: rotate ? 'a new CA was asked for' : 'two thirds of the CA’s life are over',
    }
  if (isDue(leaf, now))
    return {
      certificates: { ...current, leaf: await leafFor(signer) },
      why: 'two thirds of the serving certificate’s life are over',
    }
  if (old !== null && now >= old.until)
    return {
      certificates: { ...current, old: null },
      why: 'the old CA’s last certificate has ended',
    }
  return null
}

/** Whether a caller that trusts this PEM bundle accepts this certificate now. */
export function isTrusted(leaf: string, bundle: string, now: Date): boolean {
  const certificate = new X509Certificate(leaf)
  return certificatesOf(bundle).some(
    (authority) =>
      certificate.checkIssued(authority) &&
      certificate.verify(authority.publicKey) &&
      isValid(authority, now) &&
      isValid(certificate, now),
  )
}

function leafFault(
  { signer, leaf, old, next }: OwnCertificates,
  names: readonly string[],
  now: Date,
): string | null {
  const certificate = new X509Certificate(leaf.cert)
  const missing = names.find((name) => !isFor(certificate, name))
  if (missing !== undefined) return `the serving certificate was not for ${missing}`
  const bundle = bundleOf({ signer, next, old, leaf })
  return isTrusted(leaf.cert, bundle, now) ? null : 'the serving certificate was not valid'
}

function isFor(certificate: X509Certificate, name: string): boolean {
  return (isIP(name) > 0 ? certificate.checkIP(name) : certificate.checkHost(name)) !== undefined
}

function isDue({ cert }: KeyPair, now: Date): boolean {
  const { validFrom, validTo } = new X509Certificate(cert)
  const from = new Date(validFrom).getTime()
  return now.getTime() >= from + (new Date(validTo).getTime() - from) * renewAt
}

function isValid({ validFrom, validTo }: X509Certificate, now: Date): boolean {
  return now >= new Date(validFrom) && now < new Date(validTo)
}

function certificatesOf(bundle: string): X509Certificate[] {
  const blocks = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return blocks.flatMap((block) => {
    try {
      return [new X509Certificate(block)]
    } catch {
      return []
    }
  })
}

/** As a Secret of type kubernetes.io/tls stores it: `tls.*` and `ca.crt` by their usual meaning, the rest beside them. */
export function toSecretData(certificates: OwnCertificates): Record<string, string> {
  const { signer, next, old, leaf } = certificates
  const texts: Record<string, string> = {
    'tls.crt': leaf.cert,
    'tls.key': leaf.key,
    'ca.crt': bundleOf(certificates),
    'signer.crt': signer.cert,
    'signer.key': signer.key,
    ...(next === null ? {} : { 'next.crt': next.cert, 'next.key': next.key }),
    ...(old === null ? {} : { 'old.crt': old.cert, 'old.until': old.until.toISOString() }),
  }
  return Object.fromEntries(
    Object.entries(texts).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  )
}

/** Null where the signing CA cannot be used any more; what else is broken is left out, or made anew by `nextStep`. */
export function fromSecretData(
  data: Readonly<Record<string, string>> | undefined,
  now: Date,
): OwnCertificates | null {
  const text = (key: string) => Buffer.from(data?.[key] ?? '', 'base64').toString('utf8')
  const pair = (name: string) => usablePair({ cert: text(`${name}.crt`), key: text(`${name}.key`) })
  const signer = pair('signer')
  const leaf = pair('tls')
  if (signer === null || leaf === null || !isValid(new X509Certificate(signer.cert), now))
    return null
  const until = new Date(text('old.until'))
  const old = certificatesOf(text('old.crt'))[0]
  return {
    signer,
    next: pair('next'),
    old:
      old === undefined || Number.isNaN(until.getTime()) ? null : { cert: text('old.crt'), until },
    leaf,
  }
}

function usablePair(pair: KeyPair): KeyPair | null {
  try {
    return new X509Certificate(pair.cert).checkPrivateKey(createPrivateKey(pair.key)) ? pair : null
  } catch {
    return null
  }
}
