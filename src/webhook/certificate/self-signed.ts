/** Issues certificates: a CA, and a serving certificate signed by it, with ECDSA P-256 and SHA-256. */
import { randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import type { SelfsignedOptions } from 'selfsigned'
import type { KeyPair } from './certificate-files.ts'

export interface Certificates {
  readonly ca: KeyPair
  readonly leaf: KeyPair
}

export interface CertificateRequest {
  /** DNS names and IP addresses by which the API server may call the webhook; the first one is the common name. */
  readonly names: readonly [string, ...string[]]
  readonly days: number
  readonly now: Date
}

const dayMs = 86_400_000

/** The clocks of nodes differ: a certificate whose validity starts a little in the past is valid on all of them. */
const backdateMs = 3_600_000

/** The defaults of selfsigned are RSA and SHA-1; API servers reject SHA-1. */
const algorithms = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const

/** Issues a CA and a leaf signed by it, both valid for the same days. */
export async function makeCertificates(request: CertificateRequest): Promise<Certificates> {
  const ca = await makeAuthority(request)
  return { ca, leaf: await makeLeaf(ca, request) }
}

/** Issues a CA that may sign serving certificates but no further CA. */
export function makeAuthority(
  validity: Pick<CertificateRequest, 'days' | 'now'>,
): Promise<KeyPair> {
  // A random name: a rotation needs two trusted CAs, and OpenSSL looks up an issuer by its name.
  return issue(`berth CA ${randomBytes(8).toString('hex')}`, {
    ...datesOf(validity),
    extensions: [
      { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
}

/** Issues a serving certificate. */
export function makeLeaf(ca: KeyPair, request: CertificateRequest): Promise<KeyPair> {
  const { names } = request
  return issue(names[0], {
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

async function issue(commonName: string, options: SelfsignedOptions): Promise<KeyPair> {
  // RFC 5280 limits a common name to 64 characters; verifiers read the alternative names only.
  const subject = [{ name: 'commonName', value: commonName.slice(0, 64) }]
  // Loaded late: some three hundred files, which a process with a certificate from files does not need.
  const { generate } = await import('selfsigned')
  const { private: key, cert } = await generate(subject, { ...algorithms, ...options })
  return { key, cert }
}
