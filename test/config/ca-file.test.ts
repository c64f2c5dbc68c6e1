import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readConfig, type ReadResult } from '../../src/config/load.ts'
import { createTestCertificate } from '../support/registry-tls.ts'

const directory = mkdtempSync(join(tmpdir(), 'berth-ca-'))

function read(ca: string): ReadResult {
  const text = `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: m.example, mirror: true, ca: ${ca} }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['m.example/{host}/{path}', 'docker.io/{path}'] }]
`
  return readConfig(text, directory)
}

it.each(['before', 'after'])('keeps no private key that is %s the certificates', async (place) => {
  const { cert, key } = await createTestCertificate()
  const { cert: other } = await createTestCertificate()
  const certs = `${cert.trim()}\n${other.trim()}\n`
  writeFileSync(join(directory, 'ca.pem'), place === 'before' ? key + certs : `${certs}${key}`)
  const result = read('ca.pem')

  expect(result.ok && result.config.registries.get('m.example')?.ca).toBe(
    certs.replaceAll('\r', ''),
  )
})

it('refuses a file with only a private key', async () => {
  writeFileSync(join(directory, 'key.pem'), (await createTestCertificate()).key)

  expect(read('key.pem').ok).toBe(false)
})

it('refuses a file without an end', () => {
  expect(read('/dev/zero').ok).toBe(false)
})
