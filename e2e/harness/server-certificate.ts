/** Self-signed certificates for servers of the tests. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generate } from 'selfsigned'

/** A name in each certificate, in addition to the address. */
export const certificateName = 'registry.test'

/** Writes `certificate.pem` and `key.pem` into the directory; returns the path of the certificate. */
export async function writeServerCertificate(directory: string, address: string): Promise<string> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'server' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 7, ip: address },
          { type: 2, value: certificateName },
        ],
      },
    ],
  })
  writeFileSync(join(directory, 'key.pem'), key, { mode: 0o600 })
  const file = join(directory, 'certificate.pem')
  writeFileSync(file, cert)
  return file
}
