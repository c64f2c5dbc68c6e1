/** A private instance of sigstore: a certificate authority and a log that sign what a test asks for, and the trusted root. */
import { createHash, createPrivateKey, sign, webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { bundleType, inTotoType, preAuthEncoding, type TagSignature } from './cosign.ts'

x509.cryptoProvider.set(webcrypto as never)

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

export interface Signer {
  /** A URI. */
  readonly identity: string
  readonly issuer: string
  /** Milliseconds since the epoch. */
  readonly signedAt: number
}

export interface TestSigstore {
  /** The trusted root as JSON. */
  readonly trustedRoot: object
  /** Signs a statement as cosign 3 does. */
  signBundle(statement: Buffer, signer: Signer): Promise<SignedBundle>
  /** Signs a payload as cosign 2 does. */
  signPayload(payload: Buffer, signer: Signer): Promise<TagSignature>
}

export interface SignedBundle {
  readonly mediaType: string
  readonly verificationMaterial: {
    readonly certificate: { readonly rawBytes: string }
    readonly tlogEntries: readonly LogEntry[]
  }
  readonly dsseEnvelope: object
}

type LogEntry = Awaited<ReturnType<typeof logEntry>>

export async function createSigstore(): Promise<TestSigstore> {
  const caKeys = await generateKeys()
  const logKeys = await generateKeys()
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=test-ca,O=test',
    notBefore: new Date('2020-01-01'),
    notAfter: new Date('2050-01-01'),
    signingAlgorithm: algorithm,
    keys: caKeys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  })
  const logKey = Buffer.from(await webcrypto.subtle.exportKey('spki', logKeys.publicKey))
  const log: Log = { keyId: createHash('sha256').update(logKey).digest(), key: logKeys.privateKey }
  const authority = { keys: caKeys, certificate: ca }
  const validFor = { start: '2020-01-01T00:00:00Z' }
  return {
    trustedRoot: {
      mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
      tlogs: [
        {
          baseUrl: 'https://rekor.test',
          hashAlgorithm: 'SHA2_256',
          publicKey: {
            rawBytes: logKey.toString('base64'),
            keyDetails: 'PKIX_ECDSA_P256_SHA_256',
            validFor,
          },
          logId: { keyId: log.keyId.toString('base64') },
        },
      ],
      certificateAuthorities: [
        {
          subject: { organization: 'test', commonName: 'test-ca' },
          uri: 'https://fulcio.test',
          certChain: { certificates: [{ rawBytes: base64(ca.rawData) }] },
          validFor,
        },
      ],
      ctlogs: [],
      timestampAuthorities: [],
    },
    async signBundle(statement, signer) {
      const { certificate, signature } = await signWith(
        authority,
        signer,
        preAuthEncoding(statement),
      )
      const body = {
        apiVersion: '0.0.1',
        kind: 'dsse',
        spec: {
          payloadHash: { algorithm: 'sha256', value: sha256(statement).toString('hex') },
          signatures: [{ signature: signature.toString('base64'), verifier: '' }],
        },
      }
      return {
        mediaType: bundleType,
        verificationMaterial: {
          certificate: { rawBytes: base64(certificate.rawData) },
          tlogEntries: [await logEntry(log, body, signer.signedAt)],
        },
        dsseEnvelope: {
          payload: statement.toString('base64'),
          payloadType: inTotoType,
          signatures: [{ sig: signature.toString('base64') }],
        },
      }
    },
    async signPayload(payload, signer) {
      const { certificate, signature } = await signWith(authority, signer, payload)
      const body = {
        apiVersion: '0.0.1',
        kind: 'hashedrekord',
        spec: {
          data: { hash: { algorithm: 'sha256', value: sha256(payload).toString('hex') } },
          signature: { content: signature.toString('base64'), publicKey: { content: '' } },
        },
      }
      const entry = await logEntry(log, body, signer.signedAt)
      const bundle = {
        SignedEntryTimestamp: entry.inclusionPromise.signedEntryTimestamp,
        Payload: {
          body: entry.canonicalizedBody,
          integratedTime: Number(entry.integratedTime),
          logIndex: 0,
          logID: log.keyId.toString('hex'),
        },
      }
      const annotations = {
        'dev.sigstore.cosign/certificate': certificate.toString('pem'),
        'dev.sigstore.cosign/bundle': JSON.stringify(bundle),
      }
      return { payload, signature, annotations }
    },
  }
}

interface Log {
  readonly keyId: Buffer
  readonly key: webcrypto.CryptoKey
}

async function signWith(
  {
    keys,
    certificate: ca,
  }: { readonly keys: webcrypto.CryptoKeyPair; readonly certificate: x509.X509Certificate },
  { identity, issuer, signedAt }: Signer,
  bytes: Buffer,
) {
  const own = await generateKeys()
  const issuerValue = Buffer.from(issuer)
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: '02',
    subject: '',
    issuer: ca.subject,
    notBefore: new Date(signedAt - 60_000),
    notAfter: new Date(signedAt + 540_000),
    signingAlgorithm: algorithm,
    signingKey: keys.privateKey,
    publicKey: own.publicKey,
    extensions: [
      new x509.ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.3']),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: identity }], true),
      // The issuer as a UTF8String (sigstore/fulcio, docs/oid-info.md).
      new x509.Extension(
        '1.3.6.1.4.1.57264.1.8',
        false,
        Buffer.concat([Buffer.from([0x0c, issuerValue.length]), issuerValue]),
      ),
    ],
  })
  return { certificate, signature: await signBytes(own.privateKey, bytes) }
}

/** An entry in a log that has no other entries (sigstore/rekor, and transparency-dev/formats for the checkpoint). */
async function logEntry({ keyId, key }: Log, content: object, signedAt: number) {
  const body = Buffer.from(JSON.stringify(content))
  const canonicalizedBody = body.toString('base64')
  const integratedTime = Math.floor(signedAt / 1_000)
  const logID = keyId.toString('hex')
  const promised = JSON.stringify({ body: canonicalizedBody, integratedTime, logID, logIndex: 0 })
  const rootHash = sha256(Buffer.concat([Buffer.from([0]), body])).toString('base64')
  const note = `rekor.test\n1\n${rootHash}\n`
  const noteSignature = await signBytes(key, Buffer.from(note))
  const noteLine = Buffer.concat([keyId.subarray(0, 4), noteSignature]).toString('base64')
  return {
    logIndex: '0',
    logId: { keyId: keyId.toString('base64') },
    kindVersion: {
      kind: (content as { kind: string }).kind,
      version: '0.0.1',
    },
    integratedTime: String(integratedTime),
    inclusionPromise: {
      signedEntryTimestamp: (await signBytes(key, Buffer.from(promised))).toString('base64'),
    },
    inclusionProof: {
      logIndex: '0',
      rootHash,
      treeSize: '1',
      hashes: [],
      checkpoint: { envelope: `${note}\n\u2014 rekor.test ${noteLine}\n` },
    },
    canonicalizedBody,
  }
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

/** Signs in DER, as sigstore does. */
async function signBytes(key: webcrypto.CryptoKey, bytes: Buffer): Promise<Buffer> {
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key))
  return sign('sha256', bytes, createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }))
}

function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest()
}

function base64(bytes: ArrayBuffer): string {
  return Buffer.from(bytes).toString('base64')
}
