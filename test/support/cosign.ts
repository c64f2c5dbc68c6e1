/** Signs images as cosign does, with keys of the test, and adds the signatures to a registry of a test. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { digestLike } from '../../src/registry/digest.ts'
import { referrersTag } from '../../src/registry/manifests/referrers.ts'
import { manifestType } from './registry.ts'
import type { Store } from './store-registry.ts'

export interface SigningKey {
  readonly privateKey: KeyObject
  readonly publicPem: string
}

export function ecdsaKey(): SigningKey {
  return signingKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }))
}

export function rsaKey(): SigningKey {
  return signingKey(generateKeyPairSync('rsa', { modulusLength: 2048 }))
}

export function ed25519Key(): SigningKey {
  return signingKey(generateKeyPairSync('ed25519'))
}

function signingKey(pair: { readonly privateKey: KeyObject; readonly publicKey: KeyObject }) {
  const publicPem = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  return { privateKey: pair.privateKey, publicPem }
}

export function signBytes({ privateKey }: SigningKey, bytes: Buffer): Buffer {
  return sign(privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256', bytes, privateKey)
}

export function simpleSigningPayload(digest: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      critical: {
        identity: { 'docker-reference': 'registry.example/app' },
        image: { 'docker-manifest-digest': digest },
        type: 'cosign container image signature',
      },
      optional: null,
    }),
  )
}

export interface TagSignature {
  readonly payload: Buffer
  readonly signature: Buffer
  readonly annotations?: Readonly<Record<string, string>>
}

/** Adds signatures as layers of the tag `sha256-….sig`. Returns the digest of the manifest. */
export function addSignatureTag(
  store: Store,
  repository: string,
  digest: string,
  signatures: readonly TagSignature[],
): string {
  const layers = signatures.map(({ payload, signature, annotations }) => ({
    mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
    ...addBlob(store, repository, payload),
    annotations: {
      'dev.cosignproject.cosign/signature': signature.toString('base64'),
      ...annotations,
    },
  }))
  const config = {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    ...addBlob(store, repository, Buffer.from('{"rootfs":{"type":"layers","diff_ids":[]}}')),
  }
  return addManifest(store, repository, `${referrersTag(digest)}.sig`, { config, layers })
}

/** Returns an in-toto statement as cosign 3 signs it. */
export function signatureStatement(
  digest: string,
  predicateType = 'https://sigstore.dev/cosign/sign/v1',
): Buffer {
  const [algorithm = '', hex = ''] = digest.split(':')
  return Buffer.from(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ name: '', digest: { [algorithm]: hex } }],
      predicateType,
      predicate: {},
    }),
  )
}

export const inTotoType = 'application/vnd.in-toto+json'

/** Returns the bytes that are signed of a DSSE envelope. */
export function preAuthEncoding(payload: Buffer): Buffer {
  const header = `DSSEv1 ${inTotoType.length} ${inTotoType} ${payload.length} `
  return Buffer.concat([Buffer.from(header), payload])
}

export const bundleType = 'application/vnd.dev.sigstore.bundle.v0.3+json'

/** Returns a bundle that is signed with a key. */
export function keyBundle(key: SigningKey, payload: Buffer): object {
  return {
    mediaType: bundleType,
    verificationMaterial: { publicKey: { hint: '' }, tlogEntries: [] },
    dsseEnvelope: {
      payload: payload.toString('base64'),
      payloadType: inTotoType,
      signatures: [{ sig: signBytes(key, preAuthEncoding(payload)).toString('base64') }],
    },
  }
}

/** Adds a bundle as a referrer of the image. Returns the digest of its manifest. */
export function addBundle(
  store: Store,
  repository: string,
  digest: string,
  bundle: object | Buffer,
): string {
  const bytes = Buffer.isBuffer(bundle) ? bundle : Buffer.from(JSON.stringify(bundle))
  return addManifest(store, repository, null, {
    artifactType: bundleType,
    config: {
      mediaType: 'application/vnd.oci.empty.v1+json',
      ...addBlob(store, repository, Buffer.from('{}')),
    },
    layers: [{ mediaType: bundleType, ...addBlob(store, repository, bytes) }],
    subject: { mediaType: manifestType, digest, size: 1 },
  })
}

function addManifest(store: Store, repository: string, tag: string | null, content: object) {
  const document = { schemaVersion: 2, mediaType: manifestType, ...content }
  const body = Buffer.from(JSON.stringify(document))
  return store.addManifest(repository, tag, { body, mediaType: manifestType })
}

function addBlob(store: Store, repository: string, content: Buffer) {
  const digest = digestLike('sha256:', content)
  const blobs = store.blobs.get(repository) ?? new Map<string, Buffer>()
  store.blobs.set(repository, blobs.set(digest, content))
  return { digest, size: content.length }
}
