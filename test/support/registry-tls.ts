/** Creates certificates for the registries of tests. */
import { generate } from 'selfsigned'

export interface TestCertificate {
  readonly key: string
  readonly cert: string
}

/** Returns a self-signed certificate for these addresses and names. */
export async function createTestCertificate(
  names: readonly string[] = ['127.0.0.1'],
): Promise<TestCertificate> {
  const altNames = names.map((name) =>
    /^[0-9.]+$/.test(name) ? { type: 7 as const, ip: name } : { type: 2 as const, value: name },
  )
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'fake registry' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames },
    ],
  })
  return { key, cert }
}
