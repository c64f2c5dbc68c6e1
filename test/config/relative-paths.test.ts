import { X509Certificate } from 'node:crypto'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { createTestCertificate } from '../support/registry-tls.ts'

it('reads every relative path from the directory of the config file, not from the current one', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'berth-relative-'))
  const put = (name: string, text: string) => writeFileSync(join(directory, name), text)
  const { cert, key } = await createTestCertificate()
  put('ca.crt', cert)
  put('client.crt', cert)
  put('client.key', key)
  put('docker.json', '{}')
  put('berth.lock', 'apiVersion: berth.dev/v1alpha1\nkind: BerthLock\nimages: []\n')
  put(
    'berth.yaml',
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - host: m.example
    mirror: true
    ca: ca.crt
    credentials: { dockerConfig: docker.json }
    clientCertificate: { cert: client.crt, key: client.key }
fallback: [{ name: hub, images: ['docker.io/**'], try: ['m.example/{host}/{path}', 'docker.io/{path}'] }]
pin: { lock: berth.lock }
mirror: { verify: [{ images: ['docker.io/acme/*'], cosign: { key: ./cosign.pub } }] }
`,
  )
  put('cosign.pub', 'not a key')

  expect(() => loadConfig(join(directory, 'berth.yaml'))).toThrow(
    /mirror\.verify\[0\]\.cosign\.key: the key .*cosign\.pub/,
  )
  put('cosign.pub', publicKeyOf(cert))
  const config = loadConfig(join(directory, 'berth.yaml'))

  expect(config.warnings).toEqual([])
  expect(config.registries.get('m.example')).toMatchObject({
    ca: cert,
    credentials: { file: join(directory, 'docker.json') },
    clientCertificate: { cert: join(directory, 'client.crt'), key: join(directory, 'client.key') },
  })
  expect(config.lock?.source).toContain('BerthLock')
})

function publicKeyOf(cert: string): string {
  return new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'pem' }) as string
}
