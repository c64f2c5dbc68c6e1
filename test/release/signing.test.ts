import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { checkSignature, type ImageSignature } from '../../src/signatures/check-signature.ts'
import { parsePublicKeys } from '../../src/signatures/public-keys.ts'
import {
  attestImage,
  createSigner,
  signatureTag,
  signFile,
  signImage,
  signStatement,
} from '../../tools/release/signing.ts'

const digest = `sha256:${'a'.repeat(64)}`
const signer = createSigner(null)

function trustIn(pem: string) {
  const keys = parsePublicKeys(pem)
  if (!keys.ok) throw new Error(keys.message)
  return { kind: 'keys', keys: keys.keys } as const
}

/** The signature as `berth mirror` reads it from the tag. */
function readSignature(): ImageSignature {
  const { root, blobs } = signImage('ghcr.io/acme/berth', digest, signer)
  const { layers } = JSON.parse(root.content.toString()) as {
    layers: { digest: string; annotations: Record<string, string> }[]
  }
  const annotations = layers[0]?.annotations ?? {}
  const payload = blobs.find((blob) => blob.digest === layers[0]?.digest)?.content
  const signature = Buffer.from(annotations['dev.cosignproject.cosign/signature'] ?? '', 'base64')
  return {
    format: 'simple-signing',
    payload: payload ?? Buffer.alloc(0),
    signature,
    annotations,
  }
}

describe('signImage', () => {
  it('makes signatures that Berth verifies with the public key', () => {
    expect(checkSignature(readSignature(), digest, trustIn(signer.publicKeyPem))).toMatchObject({
      ok: true,
    })
  })

  it('makes signatures that are not valid for another key or another image', () => {
    const other = trustIn(createSigner(null).publicKeyPem)
    const trust = trustIn(signer.publicKeyPem)

    expect(checkSignature(readSignature(), digest, other)).toMatchObject({ ok: false })
    expect(checkSignature(readSignature(), `sha256:${'b'.repeat(64)}`, trust)).toMatchObject({
      problem: 'wrong-image',
    })
  })
})

describe('signatureTag', () => {
  it('returns the tag that cosign looks for', () => {
    expect(signatureTag(digest, 'sig')).toBe(`sha256-${'a'.repeat(64)}.sig`)
  })
})

describe('signStatement and attestImage', () => {
  const statement = { _type: 'https://in-toto.io/Statement/v1', subject: [] }

  it('sign the payload with its type', () => {
    const { payload, payloadType, signatures } = signStatement(statement, signer) as {
      payload: string
      payloadType: string
      signatures: { sig: string }[]
    }
    const bytes = Buffer.from(payload, 'base64')
    const signed = Buffer.concat([
      Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${bytes.length} `),
      bytes,
    ])

    const signature = Buffer.from(signatures[0]?.sig ?? '', 'base64')
    expect(JSON.parse(bytes.toString())).toEqual(statement)
    expect(verify('sha256', signed, createPublicKey(signer.publicKeyPem), signature)).toBe(true)
  })

  it('name the type of each statement in the layers', () => {
    const artifact = attestImage([{ predicateType: 'type', statement }], signer)

    expect(JSON.parse(artifact.root.content.toString())).toMatchObject({
      layers: [
        {
          mediaType: 'application/vnd.dsse.envelope.v1+json',
          annotations: { predicateType: 'type' },
        },
      ],
    })
  })
})

describe('signFile', () => {
  it('signs the bytes of the file', () => {
    const content = Buffer.from('checksums')
    const { messageSignature } = signFile(content, signer) as {
      messageSignature: { signature: string }
    }

    const signature = Buffer.from(messageSignature.signature, 'base64')
    expect(verify('sha256', content, createPublicKey(signer.publicKeyPem), signature)).toBe(true)
  })
})

describe('createSigner', () => {
  it('reads a private key in PEM', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string

    expect(createSigner(pem).publicKeyPem).toBe(publicKey.export({ type: 'spki', format: 'pem' }))
  })

  it('refuses other kinds of keys', () => {
    const { privateKey } = generateKeyPairSync('ed25519')
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string

    expect(() => createSigner(pem)).toThrow('P-256')
  })
})
