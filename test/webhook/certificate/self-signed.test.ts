import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { makeCertificates } from '../../../src/webhook/certificate/self-signed.ts'

const now = new Date('2026-06-01T00:00:00Z')
const names = ['berth-webhook.berth-system.svc', '127.0.0.1', '::1'] as const

describe('certificates', async () => {
  const { ca, leaf } = await makeCertificates({ names: [...names], days: 30, now })
  const [authority, serving] = [new X509Certificate(ca.cert), new X509Certificate(leaf.cert)]

  it('are a CA and a leaf that has another key', () => {
    expect([authority.ca, serving.ca]).toEqual([true, false])
    expect(serving.verify(authority.publicKey)).toBe(true)
    expect(ca.key).not.toBe(leaf.key)
  })

  it.each([
    ['CA', authority],
    ['leaf', serving],
  ])('use ECDSA P-256 and SHA-256: the %s', (_, certificate) => {
    expect(certificate.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' })
    expect(certificate.toLegacyObject()).toMatchObject({ asn1Curve: 'prime256v1' })
    expect(Buffer.from(certificate.raw).includes(Buffer.from('06082a8648ce3d040302', 'hex'))).toBe(
      true,
    )
  })

  it('name every address that the API server may call', () => {
    expect(serving.checkHost('berth-webhook.berth-system.svc')).toBeDefined()
    expect([serving.checkIP('127.0.0.1'), serving.checkIP('::1')].every(Boolean)).toBe(true)
    expect(serving.checkHost('other.svc')).toBeUndefined()
  })
})
