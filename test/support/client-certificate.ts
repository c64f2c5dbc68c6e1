import { generate } from 'selfsigned'
import type { KeyPair } from '../../src/webhook/certificate/certificate-files.ts'

/** Returns a CA for client certificates, and a certificate that it signed for one name. */
export async function makeClientCertificate(
  name: string,
  caName = 'callers',
): Promise<{ ca: KeyPair; client: KeyPair }> {
  const strong = { keyType: 'ec', algorithm: 'sha256' } as const
  const ca = await generate([{ name: 'commonName', value: caName }], {
    ...strong,
    extensions: [{ name: 'basicConstraints', cA: true, critical: true }],
  })
  const client = await generate([{ name: 'commonName', value: 'caller' }], {
    ...strong,
    ca: { key: ca.private, cert: ca.cert },
    extensions: [
      { name: 'extKeyUsage', clientAuth: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: name }] },
    ],
  })
  return {
    ca: { key: ca.private, cert: ca.cert },
    client: { key: client.private, cert: client.cert },
  }
}
