import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { createImageVerifier } from '../../src/mirror/verify-image.ts'
import { digestLike } from '../../src/registry/digest.ts'
import { referrersTag } from '../../src/registry/manifests/referrers.ts'
import { systemClock } from '../../src/registry/http/retry-policy.ts'
import type { RegistryClient } from '../../src/registry/registry-client.ts'
import {
  addBundle,
  addSignatureTag,
  bundleType,
  ecdsaKey,
  ed25519Key,
  keyBundle,
  rsaKey,
  signatureStatement,
  signBytes,
  simpleSigningPayload,
  type SigningKey,
} from '../support/cosign.ts'
import { mirrorPairs, pair, registriesFor } from '../support/mirroring.ts'
import { indexType, manifestType } from '../support/registry.ts'
import { createSigstore } from '../support/sigstore.ts'
import { startStore, type Store } from '../support/store-registry.ts'

const directory = mkdtempSync(join(tmpdir(), 'berth-verify-'))
const key = ecdsaKey()
const other = ecdsaKey()
writeFileSync(join(directory, 'cosign.pub'), key.publicPem)

let source: Store
let mirror: Store
let registries: RegistryClient

async function start(options: { readonly referrers?: boolean } = {}) {
  source = await startStore(options)
  mirror = await startStore(options)
  registries = registriesFor([source.url, mirror.url], systemClock)
}

beforeEach(() => start())

async function stop() {
  await registries.close()
  await source.close()
  await mirror.close()
}

afterEach(stop)
afterAll(() => rmSync(directory, { recursive: true }))

/** The entry of `mirror.verify` for every image, as in the config file. */
function rules(entry: object, before: readonly object[] = []) {
  const config = {
    apiVersion: 'berth.dev/v1alpha1',
    kind: 'BerthConfig',
    mirror: { verify: [...before, { images: ['**'], ...entry }] },
  }
  const result = readConfig(JSON.stringify(config), directory)
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join('\n'))
  return result.config.mirror.verify
}

const signedByKey = { cosign: { key: 'cosign.pub' } }

async function copy(entry: object = signedByKey, options: object = {}) {
  const verifier = createImageVerifier(rules(entry))
  const pairs = [pair(`${source.host}/app:1`, `${mirror.host}/app:1`)]
  const [result] = await mirrorPairs(registries, pairs, { verifier, ...options })
  return result
}

function sign(digest: string, by: SigningKey = key, of: string = digest) {
  const payload = simpleSigningPayload(of)
  const signatures = [{ payload, signature: signBytes(by, payload) }]
  return addSignatureTag(source, 'app', digest, signatures)
}

function refused(code: string, message: RegExp) {
  return {
    status: 'failed',
    outcome: 'refused',
    refusal: { code, rule: 'mirror.verify[0]' },
    detail: expect.stringMatching(message) as string,
  }
}

function expectNothingCopied() {
  expect(mirror.requests.filter(({ method }) => !['HEAD', 'GET'].includes(method))).toEqual([])
}

describe('an image with a signature in a tag', () => {
  it.each([
    ['ECDSA', ecdsaKey()],
    ['RSA', rsaKey()],
    ['Ed25519', ed25519Key()],
  ])('is copied with its signature if it is signed with an %s key', async (_, by) => {
    const digest = source.addImage('app', '1')
    const signature = sign(digest, by)

    expect(await copy({ cosign: { key: by.publicPem } })).toMatchObject({ status: 'copied' })
    expect(mirror.tags.get('app')?.get('1')).toBe(digest)
    expect(mirror.tags.get('app')?.get(`${referrersTag(digest)}.sig`)).toBe(signature)
  })

  it('is refused if it has no signature', async () => {
    source.addImage('app', '1')

    expect(await copy()).toMatchObject(
      refused('unsigned', /^mirror\.verify\[0\] \(\*\*\) refuses it: app@sha256:.* has no cosign/),
    )
    expectNothingCopied()
  })

  it('is refused if another key signed it', async () => {
    sign(source.addImage('app', '1'), other)

    expect(await copy()).toMatchObject(refused('signature-invalid', /no valid signature/))
    expectNothingCopied()
  })

  it('is refused if the payload was changed', async () => {
    const digest = source.addImage('app', '1')
    const signature = signBytes(key, simpleSigningPayload(`sha256:${'0'.repeat(64)}`))
    addSignatureTag(source, 'app', digest, [{ payload: simpleSigningPayload(digest), signature }])

    expect(await copy()).toMatchObject(refused('signature-invalid', /no valid signature/))
    expectNothingCopied()
  })

  it('is refused with the signature of another image', async () => {
    const signed = source.addImage('app', 'good')
    sign(source.addImage('app', '1'), key, signed)

    expect(await copy()).toMatchObject(refused('wrong-image', /is of another image/))
    expectNothingCopied()
  })

  it('is refused if only one of its platforms is signed', async () => {
    const child = source.addImage('app', null)
    const manifests = [{ mediaType: manifestType, digest: child, size: 100 }]
    const index = { schemaVersion: 2, mediaType: indexType, manifests }
    source.addManifest('app', '1', {
      mediaType: indexType,
      body: Buffer.from(JSON.stringify(index)),
    })
    sign(child)

    expect(await copy()).toMatchObject(refused('unsigned', /no cosign signature/))
  })

  it('is copied if one of several signatures is valid', async () => {
    const digest = source.addImage('app', '1')
    const payload = simpleSigningPayload(digest)
    addSignatureTag(source, 'app', digest, [
      { payload, signature: signBytes(other, payload) },
      { payload, signature: signBytes(key, payload) },
    ])

    expect(await copy()).toMatchObject({ status: 'copied' })
  })

  it('is refused if the valid signature comes after 64 others', async () => {
    const digest = source.addImage('app', '1')
    const payload = simpleSigningPayload(digest)
    const junk = { payload, signature: Buffer.from('x') }
    const valid = { payload, signature: signBytes(key, payload) }
    addSignatureTag(source, 'app', digest, [...Array.from({ length: 64 }, () => junk), valid])

    expect(await copy()).toMatchObject(refused('signature-invalid', /checks 64 signatures/))
  })

  it('is refused if the payload exceeds 256 KiB', async () => {
    const digest = source.addImage('app', '1')
    const padding = ' '.repeat(256 * 1024)
    const payload = Buffer.concat([simpleSigningPayload(digest), Buffer.from(padding)])
    const signatures = [{ payload, signature: signBytes(key, payload) }]
    addSignatureTag(source, 'app', digest, signatures)

    expect(await copy()).toMatchObject(refused('unsigned', /no cosign signature/))
  })

  it('is refused if the key cannot be read', async () => {
    sign(source.addImage('app', '1'))

    expect(await copy({ cosign: { key: 'gone.pub' } })).toMatchObject(
      refused('trust-unavailable', /cannot read .*gone\.pub: it does not exist/),
    )
  })

  it('is copied by the digest that was verified if the tag moves', async () => {
    const digest = source.addImage('app', '1')
    sign(digest)
    const moved = source.addImage('app', null, { layers: [Buffer.from('unsigned')] })
    source.fault(({ path }) => {
      if (path.endsWith('.sig')) source.tags.get('app')?.set('1', moved)
      return null
    })

    expect(await copy()).toMatchObject({ status: 'copied', mirrorDigest: digest })
    expect(source.tags.get('app')?.get('1')).toBe(moved)
    expect(mirror.manifests.get('app')?.has(moved)).toBe(false)
  })

  it('does not stop the copy of other images', async () => {
    source.addImage('app', '1')
    source.addImage('other', '1')
    const verifier = createImageVerifier(
      rules(signedByKey, [{ images: [`${source.host}/other`], minAge: '0s' }]),
    )
    const pairs = ['app', 'other'].map((name) =>
      pair(`${source.host}/${name}:1`, `${mirror.host}/${name}:1`),
    )

    expect(await mirrorPairs(registries, pairs, { verifier })).toMatchObject([
      { status: 'failed', refusal: { code: 'unsigned', rule: 'mirror.verify[1]' } },
      { status: 'copied' },
    ])
  })

  it('is refused in a dry run too', async () => {
    source.addImage('app', '1')

    expect(await copy(signedByKey, { dryRun: true })).toMatchObject(refused('unsigned', /cosign/))
  })

  it('fails as unreachable if the registry does not answer for the signatures', async () => {
    sign(source.addImage('app', '1'))
    source.fault(({ path }) => (path.endsWith('.sig') ? { status: 503 } : null))

    expect(await copy()).toMatchObject({ status: 'failed', outcome: 'unreachable' })
    expectNothingCopied()
  })
})

describe.each([
  ['the referrers API', true],
  ['the referrers tag', false],
])('an image with a bundle, found by %s,', (_, referrers) => {
  beforeEach(async () => {
    await stop()
    await start({ referrers })
  })

  function addReferrer(digest: string, bundle: object | Buffer) {
    const referrer = addBundle(source, 'app', digest, bundle)
    if (referrers) return referrer
    const entry = { mediaType: manifestType, digest: referrer, size: 1, artifactType: bundleType }
    const index = { schemaVersion: 2, mediaType: indexType, manifests: [entry] }
    const body = Buffer.from(JSON.stringify(index))
    source.addManifest('app', referrersTag(digest), { mediaType: indexType, body })
    return referrer
  }

  it('is copied with the bundle if it is signed with the key', async () => {
    const digest = source.addImage('app', '1')
    const referrer = addReferrer(digest, keyBundle(key, signatureStatement(digest)))

    expect(await copy()).toMatchObject({ status: 'copied' })
    expect(mirror.manifests.get('app')?.has(referrer)).toBe(true)
  })

  it('is refused if another key signed the bundle', async () => {
    const digest = source.addImage('app', '1')
    addReferrer(digest, keyBundle(other, signatureStatement(digest)))

    expect(await copy()).toMatchObject(refused('signature-invalid', /no valid signature/))
  })

  it('is refused with the bundle of another image', async () => {
    const digest = source.addImage('app', '1')
    addReferrer(digest, keyBundle(key, signatureStatement(`sha256:${'0'.repeat(64)}`)))

    expect(await copy()).toMatchObject(refused('wrong-image', /is of another image/))
  })

  it('is refused with an attestation only', async () => {
    const digest = source.addImage('app', '1')
    addReferrer(
      digest,
      keyBundle(key, signatureStatement(digest, 'https://slsa.dev/provenance/v1')),
    )

    expect(await copy()).toMatchObject(refused('unsigned', /no cosign signature/))
  })

  it('is refused if the bundle is not JSON', async () => {
    const digest = source.addImage('app', '1')
    addReferrer(digest, Buffer.from('{'))

    expect(await copy()).toMatchObject(refused('unsigned', /no cosign signature/))
  })
})

const hour = 3_600_000

describe('an image with a minimum age', () => {
  /** Adds an image whose config states this creation. */
  function addImage(created: unknown, tag: string | null = '1', annotations: object = {}) {
    const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', created }))
    const digest = digestLike('sha256:', config)
    source.blobs.get('app')?.set(digest, config)
    const mediaType = 'application/vnd.oci.image.config.v1+json'
    return source.addImage('app', tag, {
      more: { config: { mediaType, digest, size: config.length }, annotations },
    })
  }

  function ago(hours: number): string {
    return new Date(Date.now() - hours * hour).toISOString()
  }

  beforeEach(() => {
    source.addImage('app', 'other')
  })

  const aged = { minAge: '48h' }

  it.each([
    ['is copied if it was created before', 49, { status: 'copied' }],
    [
      'is refused if it was created after',
      47,
      refused('too-young', /it is 47 h old, and must be 48 h old; copy it after 20\d\d-.{11}Z/),
    ],
    ['is refused if its creation is in the future', -1, refused('too-young', /in the future/)],
  ])('%s', async (_, hours, result) => {
    addImage(ago(hours))

    expect(await copy(aged)).toMatchObject(result)
  })

  it.each([
    ['states 1970, as reproducible builds do', '1970-01-01T00:00:00Z'],
    ['states 1980', '1980-01-01T00:00:01Z'],
    ['states no creation', undefined],
    ['states something else', { year: 2020 }],
    ['states no time', 'yesterday'],
  ])('is refused if it %s', async (_, created) => {
    addImage(created)

    expect(await copy(aged)).toMatchObject(refused('age-unknown', /its age is not known/))
    expectNothingCopied()
  })

  it('is copied if it states its creation in an annotation only', async () => {
    addImage(undefined, '1', { 'org.opencontainers.image.created': ago(49) })

    expect(await copy(aged)).toMatchObject({ status: 'copied' })
  })

  it('is refused if the registry has it for less time than it states', async () => {
    addImage(ago(1_000))
    const modified = new Date(Date.now() - hour).toUTCString()
    source.fault(({ path }) =>
      path.includes('/manifests/sha256:') ? { change: { 'last-modified': modified } } : null,
    )

    expect(await copy(aged)).toMatchObject(refused('too-young', /old, and must be 48 h old/))
  })

  it('is copied if it states 1970 and the registry has it for longer', async () => {
    addImage('1970-01-01T00:00:00Z')
    const modified = new Date(Date.now() - 49 * hour).toUTCString()
    source.fault(() => ({ change: { 'last-modified': modified } }))

    expect(await copy(aged)).toMatchObject({ status: 'copied' })
  })

  it('is refused if one of its platforms is too young', async () => {
    const children = [addImage(ago(1_000), null), addImage(ago(1), null)]
    const manifests = children.map((digest, at) => ({
      mediaType: manifestType,
      digest,
      size: 100,
      platform: { os: 'linux', architecture: ['amd64', 'arm64'][at] },
    }))
    const index = { schemaVersion: 2, mediaType: indexType, manifests }
    source.addManifest('app', '1', {
      mediaType: indexType,
      body: Buffer.from(JSON.stringify(index)),
    })

    expect(await copy(aged)).toMatchObject(refused('too-young', /it is 60 min old/))
    expect(await copy(aged, { platforms: ['linux/amd64'] })).toMatchObject({ status: 'copied' })
  })

  it('is copied without a check with minAge: 0s', async () => {
    addImage(undefined)

    expect(await copy({ minAge: '0s' })).toMatchObject({ status: 'copied' })
  })

  it('needs the signature too if the entry has both', async () => {
    const digest = addImage(ago(49))

    expect(await copy({ ...aged, ...signedByKey })).toMatchObject(refused('unsigned', /cosign/))
    sign(digest)
    expect(await copy({ ...aged, ...signedByKey })).toMatchObject({ status: 'copied' })
  })

  it('is as old as its oldest keyless signature', async () => {
    const sigstore = await createSigstore()
    writeFileSync(join(directory, 'root.json'), JSON.stringify(sigstore.trustedRoot))
    const [identity, issuer] = ['https://ci.example/acme/app@v1', 'https://ci.example']
    const entry = {
      ...aged,
      cosign: { identity: 'https://ci.example/acme/**', issuer, trustedRoot: 'root.json' },
    }
    const digest = addImage('1970-01-01T00:00:00Z')
    const payload = simpleSigningPayload(digest)
    const signedAgo = (hours: number) =>
      sigstore.signPayload(payload, { identity, issuer, signedAt: Date.now() - hours * hour })
    const recent = await signedAgo(1)
    addSignatureTag(source, 'app', digest, [recent])

    expect(await copy(entry)).toMatchObject(refused('too-young', /it is 60 min old/))
    addSignatureTag(source, 'app', digest, [recent, await signedAgo(49)])
    expect(await copy(entry)).toMatchObject({ status: 'copied' })
  })

  it('is refused if someone else signed it', async () => {
    const sigstore = await createSigstore()
    writeFileSync(join(directory, 'root.json'), JSON.stringify(sigstore.trustedRoot))
    const [identity, issuer] = ['https://ci.example/evil', 'https://ci.example']
    const digest = addImage(ago(1))
    const statement = signatureStatement(digest)
    const signer = { identity, issuer, signedAt: Date.now() }
    addBundle(source, 'app', digest, await sigstore.signBundle(statement, signer))
    const cosign = { identity: 'https://ci.example/acme/**', issuer, trustedRoot: 'root.json' }

    expect(await copy({ cosign })).toMatchObject(
      refused('wrong-signer', /not signed by .*acme.*: https:\/\/ci\.example\/evil made it/),
    )
  })
})
