import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  type CertificateFiles,
  type KeyPair,
  readCertificate,
  watchCertificate,
} from '../../../src/webhook/certificate/certificate-files.ts'
import { makeCertificates } from '../../../src/webhook/certificate/self-signed.ts'

const now = new Date()
const dayMs = 86_400_000
const makeLeaf = async (name: string, at = now) =>
  (await makeCertificates({ names: [name, '127.0.0.1'], days: 30, now: at })).leaf

describe('certificate files', async () => {
  const good = await makeLeaf('berth.example')
  const other = await makeLeaf('berth.example')
  const otherService = (await makeCertificates({ names: ['other-service.example'], days: 30, now }))
    .leaf
  const expired = await makeLeaf('berth.example', new Date(now.getTime() - 31 * dayMs))
  const notYetValid = await makeLeaf('berth.example', new Date(now.getTime() + dayMs))
  let files: CertificateFiles

  beforeEach(() => {
    const directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
    files = { cert: join(directory, 'tls.crt'), key: join(directory, 'tls.key') }
    put(good)
  })

  function put({ cert, key }: KeyPair) {
    writeFileSync(files.cert, cert)
    writeFileSync(files.key, key)
  }

  it('are read with their expiry', () => {
    const result = readCertificate(files, now)

    expect(result).toMatchObject({ ok: true, pair: good })
    expect(result.ok && Math.round((result.expires.getTime() - now.getTime()) / dayMs)).toBe(30)
  })

  const invalid: readonly (readonly [string, () => void, RegExp])[] = [
    [
      'are half written',
      () => writeFileSync(files.cert, good.cert.slice(0, good.cert.length / 2)),
      /not a PEM/,
    ],
    [
      'have the key of another certificate',
      () => writeFileSync(files.key, other.key),
      /does not match the key/,
    ],
    ['have expired', () => put(expired), /expired at/],
    ['are not valid yet', () => put(notYetValid), /is not valid before/],
    ['are for another service', () => put(otherService), /none of the names/],
    ['are empty', () => put({ cert: '', key: '' }), /not a PEM/],
    ['have no key', () => writeFileSync(files.key, ''), /not a PEM/],
    [
      'contain garbage',
      () =>
        writeFileSync(files.cert, `-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n`),
      /not a PEM/,
    ],
    ['are missing', () => rmSync(files.cert), /cannot be read: it does not exist/],
    [
      'have a binary key',
      () => {
        rmSync(files.key)
        chmodSync(files.cert, 0o600)
        writeFileSync(join(files.key), '\u0000')
      },
      /not a PEM/,
    ],
  ]

  it.each(invalid)(
    'leave the pair in use, and are reported once, when they %s',
    (_, spoil, reason) => {
      const reported: string[] = []
      const used: KeyPair[] = []
      const watch = watchCertificate({
        files,
        inUse: good,
        onRenewed: (pair) => used.push(pair),
        onInvalid: (each) => reported.push(each),
      })
      spoil()
      watch.check()
      watch.check()
      put(other)
      watch.check()
      watch.stop()

      expect(reported).toEqual([expect.stringMatching(reason)])
      expect(used).toEqual([other])
    },
  )

  it('cause no renewal while they do not change', () => {
    const used: KeyPair[] = []
    const watch = watchCertificate({
      files,
      inUse: good,
      onRenewed: (pair) => used.push(pair),
      onInvalid: (reason) => {
        throw new Error(reason)
      },
    })
    watch.check()
    watch.stop()

    expect(used).toEqual([])
  })
})
