/** Signs images and files with a key in the formats that cosign verifies: its SIGNATURE_SPEC.md, DSSE, sigstore bundle v0.3. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto'
import {
  type AnnotatedBlob,
  type Artifact,
  type Blob,
  createBlob,
  createJsonBlob,
  createManifest,
  ociType,
  sha256,
} from '../../deploy/image/oci.ts'

/** The annotation of a layer that holds its signature. */
const signatureAnnotation = 'dev.cosignproject.cosign/signature'

export interface Signer {
  readonly privateKey: KeyObject
  readonly publicKeyPem: string
}

/** Returns the signer of a private key in PEM; null for a new key. Throws if the key is not ECDSA with P-256. */
export function createSigner(pem: string | null): Signer {
  const privateKey =
    pem === null
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
      : createPrivateKey(pem)
  if (privateKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new Error(
      'the key is not an ECDSA key with the curve P-256; make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256',
    )
  const publicKeyPem = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }) as string
  return { privateKey, publicKeyPem }
}

/** Returns the tag of the signature or the attestations of an image: `sha256-….sig`. */
export function signatureTag(digest: string, suffix: 'sig' | 'att'): string {
  return `${digest.replace(':', '-')}.${suffix}`
}

/** Returns the signature of an image, which cosign looks for under `signatureTag`. */
export function signImage(repository: string, digest: string, { privateKey }: Signer): Artifact {
  const payload = Buffer.from(
    JSON.stringify({
      critical: {
        identity: { 'docker-reference': repository },
        image: { 'docker-manifest-digest': digest },
        type: 'cosign container image signature',
      },
      optional: null,
    }),
  )
  const signature = sign('sha256', payload, privateKey).toString('base64')
  const layer = createBlob('application/vnd.dev.cosign.simplesigning.v1+json', payload)
  return artifactOf([{ ...layer, annotations: { [signatureAnnotation]: signature } }])
}

/** Returns the attestations of an image: signed in-toto statements. */
export function attestImage(
  statements: readonly { readonly predicateType: string; readonly statement: object }[],
  signer: Signer,
): Artifact {
  return artifactOf(
    statements.map(({ predicateType, statement }) => ({
      ...createJsonBlob('application/vnd.dsse.envelope.v1+json', signStatement(statement, signer)),
      annotations: { [signatureAnnotation]: '', predicateType },
    })),
  )
}

/** Returns a DSSE envelope with the statement (secure-systems-lab/dsse, protocol.md). */
export function signStatement(statement: object, { privateKey }: Signer): object {
  const type = 'application/vnd.in-toto+json'
  const payload = Buffer.from(JSON.stringify(statement))
  const header = `DSSEv1 ${type.length} ${type} ${payload.length} `
  const signature = sign('sha256', Buffer.concat([Buffer.from(header), payload]), privateKey)
  return {
    payloadType: type,
    payload: payload.toString('base64'),
    signatures: [{ keyid: '', sig: signature.toString('base64') }],
  }
}

/** Returns the signature of a file as a sigstore bundle, for `cosign verify-blob --bundle`. */
export function signFile(content: Buffer, { privateKey, publicKeyPem }: Signer): object {
  const der = createPublicKey(publicKeyPem).export({ type: 'spki', format: 'der' })
  return {
    mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    verificationMaterial: {
      // What cosign writes: the hash of the key.
      publicKey: { hint: createHash('sha256').update(der).digest('base64') },
    },
    messageSignature: {
      messageDigest: {
        algorithm: 'SHA2_256',
        digest: createHash('sha256').update(content).digest('base64'),
      },
      signature: sign('sha256', content, privateKey).toString('base64'),
    },
  }
}

function artifactOf(layers: readonly AnnotatedBlob[]): Artifact {
  const config = createJsonBlob(ociType('config.v1+json'), {
    architecture: '',
    os: '',
    config: {},
    rootfs: { type: 'layers', diff_ids: layers.map(({ content }) => sha256(content)) },
  })
  const blobs: readonly Blob[] = [config, ...layers]
  return { root: createManifest(config, layers), manifests: [], blobs }
}
