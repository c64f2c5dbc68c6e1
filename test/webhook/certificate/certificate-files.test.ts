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
const make = async (name: string, at = now) =>
  (await makeCertificates({ names: [name, '127.0.0.1'], days: 30, now: at })).leaf

describe('certificate files (T4)', async () => {
  const good = await make('berth.example')
  const other = await make('berth.example')
  const stranger = (await makeCertificates({ names: ['stranger.example'], days: 30, now })).leaf
  const old = await make('berth.example', new Date(now.getTime() - 31 * dayMs))
  const early = await make('berth.example', new Date(now.getTime() + dayMs))
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

  it('that are good are read, with their end', () => {
    const result = readCertificate(files, now)

    expect(result).toMatchObject({ ok: true, pair: good })
    expect(result.ok && Math.round((result.expires.getTime() - now.getTime()) / dayMs)).toBe(30)
  })

  const faults: readonly (readonly [string, () => void, RegExp])[] = [
    [
      'half written',
      () => writeFileSync(files.cert, good.cert.slice(0, good.cert.length / 2)),
      /not a PEM/,
    ],
    ['with the key of another', () => writeFileSync(files.key, other.key), /does not belong/],
    ['that have ended', () => put(old), /was valid until/],
    ['that have not begun', () => put(early), /is not valid before/],
    ['for somebody else', () => put(stranger), /none of the names/],
    ['that are empty', () => put({ cert: '', key: '' }), /not a PEM/],
    ['without a key', () => writeFileSync(files.key, ''), /not a PEM/],
    [
      'of garbage',
      () =>
        writeFileSync(files.cert, `-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n`),
      /not a PEM/,
    ],
    ['that are gone', () => rmSync(files.cert), /cannot be read: ENOENT/],
    [
      'that are directories',
      () => {
        rmSync(files.key)
        chmodSync(files.cert, 0o600)
        writeFileSync(join(files.key), '\u0000')
      },
      /not a PEM/,
    ],
  ]

  it.each(faults)('%s leave the pair in use, and are told of once', (_, spoil, fault) => {
    const told: string[] = []
    const used: KeyPair[] = []
    const watch = watchCertificate({
      files,
      inUse: good,
      onPair: (pair) => used.push(pair),
      onFault: (each) => told.push(each),
    })
    spoil()
    watch.look()
    watch.look()
    put(other)
    watch.look()
    watch.stop()

    expect(told).toEqual([expect.stringMatching(fault)])
    expect(used).toEqual([other])
  })

  it('that stay as they are cause nothing', () => {
    const used: KeyPair[] = []
    const watch = watchCertificate({
      files,
      inUse: good,
      onPair: (pair) => used.push(pair),
      onFault: (fault) => {
        throw new Error(fault)
      },
    })
    watch.look()
    watch.stop()

    expect(used).toEqual([])
  })
})
