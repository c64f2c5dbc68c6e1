/**
 * The rotation of the certificates that Berth issues for itself: decides which step is due, by the wall clock at each call, never
 * by a timer that runs for months. A CA is replaced in two steps, so that no call ever fails: API servers first trust the new
 * CA as well as the old one, and the new CA signs only when every API server has had time to receive it.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { KeyPair } from './certificate-files.ts'
import { makeAuthority, makeLeaf } from './self-signed.ts'

/** The certificates in one Secret. */
export interface OwnCertificates {
  /** The CA that signs. */
  readonly signer: KeyPair
  /** The CA that is trusted already and signs next. */
  readonly next: KeyPair | null
  /** The previous CA (PEM). It is trusted until the last certificate that it signed has expired. */
  readonly old: { readonly cert: string; readonly until: Date } | null
  readonly leaf: KeyPair
}

export interface RotationInput {
  readonly names: readonly [string, ...string[]]
  readonly now: Date
  /** Milliseconds since the caBundles have had all of `bundleOf`; null if they have not. */
  readonly publishedForMs: number | null
  /** True when a user requests a new CA before it is due. */
  readonly rotate: boolean
  /** Milliseconds until every API server has received a change of the webhook configuration. */
  readonly settleMs: number
}

export interface RotationStep {
  readonly certificates: OwnCertificates
  /** Why the step was due, for the log. */
  readonly reason: string
}

const leafDays = 90

/** Long, so that rotations are rare, and a leaf that is issued in the last third still expires before its CA. */
const authorityDays = 1_095

/** Certificates are renewed after this part of their life, as cert-manager does; the last third is for noticing that renewal fails. */
const renewAt = 2 / 3

/** Returns all CAs that callers have to trust, as one PEM text; the same text for the same certificates. */
export function bundleOf({ signer, next, old }: OwnCertificates): string {
  return [signer.cert, next?.cert, old?.cert]
    .filter((cert) => cert !== undefined)
    .map((cert) => `${cert.trim()}\n`)
    .join('')
}

/** Returns the step that is due, or null. `current` is null when there are no usable certificates. */
export async function nextStep(
  current: OwnCertificates | null,
  input: RotationInput,
): Promise<RotationStep | null> {
  const { names, now, publishedForMs, rotate, settleMs } = input
  const issueLeaf = (signer: KeyPair) => makeLeaf(signer, { names, days: leafDays, now })
  if (current === null) {
    const signer = await makeAuthority({ days: authorityDays, now })
    const leaf = await issueLeaf(signer)
    return {
      certificates: { signer, next: null, old: null, leaf },
      reason: 'no usable certificates',
    }
  }
  const { signer, next, old, leaf } = current
  const invalid = whyInvalid(current, names, now)
  if (invalid !== null)
    return { certificates: { ...current, leaf: await issueLeaf(signer) }, reason: invalid }
  if (next !== null && publishedForMs !== null && publishedForMs >= settleMs) {
    const until = new Date(now.getTime() + leafDays * 86_400_000)
    return {
      certificates: {
        signer: next,
        next: null,
        old: { cert: signer.cert, until },
        leaf: await issueLeaf(next),
      },
      reason: 'the next CA was published long enough to sign',
    }
  }
  if (next === null && (rotate || isDue(signer, now)))
    return {
      certificates: { ...current, next: await makeAuthority({ days: authorityDays, now }) },
      reason: rotate ? 'a new CA was requested' : 'two thirds of the lifetime of the CA are over',
    }
  if (isDue(leaf, now))
    return {
      certificates: { ...current, leaf: await issueLeaf(signer) },
      reason: 'two thirds of the lifetime of the serving certificate are over',
    }
  if (old !== null && now >= old.until)
    return {
      certificates: { ...current, old: null },
      reason: 'the last certificate of the old CA has expired',
    }
  return null
}

/** Returns whether a caller that trusts this PEM bundle accepts this certificate now. */
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

function whyInvalid(
  { signer, leaf, old, next }: OwnCertificates,
  names: readonly string[],
  now: Date,
): string | null {
  const certificate = new X509Certificate(leaf.cert)
  const missing = names.find((name) => !hasName(certificate, name))
  if (missing !== undefined) return `the serving certificate lacked the name ${missing}`
  const bundle = bundleOf({ signer, next, old, leaf })
  return isTrusted(leaf.cert, bundle, now)
    ? null
    : 'the serving certificate was not valid or not trusted'
}

function hasName(certificate: X509Certificate, name: string): boolean {
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

/** Returns the data of a Secret of type kubernetes.io/tls: `tls.*` and `ca.crt` with their usual meaning, and keys of our own. */
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

/** Returns null when the signing CA or the leaf is unusable. Other broken parts are left out, and `nextStep` replaces them. */
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
