/** Certificates: a CA and a serving certificate apart from it, ECDSA P-256 and SHA-256. */
import { randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import type { SelfsignedOptions } from 'selfsigned'
import type { KeyPair } from './certificate-files.ts'

export interface Certificates {
  readonly ca: KeyPair
  readonly leaf: KeyPair
}

export interface CertificateRequest {
  /** DNS names and IP addresses that the API server may call the webhook by; the first one is the common name. */
  readonly names: readonly [string, ...string[]]
  readonly days: number
  readonly now: Date
}

const dayMs = 86_400_000

/** Clocks of nodes differ; a certificate that begins a little in the past is valid on all of them. */
const backdateMs = 3_600_000

/** selfsigned's own defaults are RSA and SHA-1, and an API server counts and refuses SHA-1. */
const strong = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const

/** Makes a CA and a leaf signed by it, both valid for the same days. */
export async function makeCertificates(request: CertificateRequest): Promise<Certificates> {
  const ca = await makeAuthority(request)
  return { ca, leaf: await makeLeaf(ca, request) }
}

/** Makes a CA that may sign serving certificates, and no further CA. */
export function makeAuthority(
  validity: Pick<CertificateRequest, 'days' | 'now'>,
): Promise<KeyPair> {
  // Two CAs of one name cannot be trusted side by side, as a rotation needs: OpenSSL looks an issuer up by its name.
  return make(`berth CA ${randomBytes(8).toString('hex')}`, {
    ...datesOf(validity),
    extensions: [
      { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
}

/** Makes a serving certificate. */
export function makeLeaf(ca: KeyPair, request: CertificateRequest): Promise<KeyPair> {
  const { names } = request
  return make(names[0], {
    ...datesOf(request),
    ca: { key: ca.key, cert: ca.cert },
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: names.map((name) =>
          isIP(name) > 0 ? { type: 7, ip: name } : { type: 2, value: name },
        ),
      },
    ],
  })
}

function datesOf({ days, now }: Pick<CertificateRequest, 'days' | 'now'>) {
  return {
    notBeforeDate: new Date(now.getTime() - backdateMs),
    notAfterDate: new Date(now.getTime() + days * dayMs),
  }
}

async function make(commonName: string, options: SelfsignedOptions): Promise<KeyPair> {
  // RFC 5280 bounds a common name to 64 characters; verifiers read the alternative names only.
  const subject = [{ name: 'commonName', value: commonName.slice(0, 64) }]
  // Some three hundred files, which a process that is given its certificate need not read.
  const { generate } = await import('selfsigned')
  const made = await generate(subject, { ...strong, ...options })
  return { key: made.private, cert: made.cert }
}
