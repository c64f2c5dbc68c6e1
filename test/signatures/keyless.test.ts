import { beforeAll, describe, expect, it } from 'vitest'
import {
  checkSignature,
  type ImageSignature,
  type Trust,
} from '../../src/signatures/check-signature.ts'
import { createIdentify } from '../../src/signatures/keyless.ts'
import { keyBundle, ecdsaKey, signatureStatement, simpleSigningPayload } from '../support/cosign.ts'
import { createSigstore, type SignedBundle, type TestSigstore } from '../support/sigstore.ts'

const digest = `sha256:${'a'.repeat(64)}`
const signer = {
  identity: 'https://github.com/acme/app/.github/workflows/release.yaml@refs/tags/v1',
  issuer: 'https://token.actions.githubusercontent.com',
  signedAt: Date.UTC(2026, 0, 1),
}

let sigstore: TestSigstore

beforeAll(async () => {
  sigstore = await createSigstore()
})

function trust(root: object = sigstore.trustedRoot): Trust {
  const identify = createIdentify(root as Parameters<typeof createIdentify>[0])
  if (identify === null) throw new Error('invalid root')
  const isTrusted = ({ identity, issuer }: { identity: string; issuer: string }) =>
    identity === signer.identity && issuer === signer.issuer
  return { kind: 'identity', identify, isTrusted }
}

async function bundle(given: Partial<typeof signer> = {}, of = digest): Promise<SignedBundle> {
  return sigstore.signBundle(signatureStatement(of), { ...signer, ...given })
}

function check(signed: object, root?: object) {
  const signature = { format: 'bundle', bundle: JSON.parse(JSON.stringify(signed)) as object }
  return checkSignature(signature as unknown as ImageSignature, digest, trust(root))
}

const invalid = { ok: false, problem: 'signature-invalid' }

describe('a keyless bundle', () => {
  it('is valid if the certificate has the identity and the log has the signature', async () => {
    expect(check(await bundle())).toEqual({ ok: true, signedAt: signer.signedAt })
  })

  it.each([
    ['identity', { identity: 'https://github.com/evil/app' }],
    ['issuer', { issuer: 'https://evil.example' }],
  ])('has the wrong signer with another %s', async (_, given) => {
    expect(check(await bundle(given))).toMatchObject({ ok: false, problem: 'wrong-signer' })
  })

  it('is of another image if its statement names another digest', async () => {
    const other = await bundle({}, `sha256:${'b'.repeat(64)}`)

    expect(check(other)).toMatchObject({ ok: false, problem: 'wrong-image' })
  })

  it('is invalid if another certificate authority issued the certificate', async () => {
    const { trustedRoot } = await createSigstore()

    expect(check(await bundle(), trustedRoot)).toMatchObject(invalid)
  })

  it('is invalid if the statement was changed', async () => {
    const signed = await bundle({}, `sha256:${'b'.repeat(64)}`)
    const payload = signatureStatement(digest).toString('base64')

    expect(check({ ...signed, dsseEnvelope: { ...signed.dsseEnvelope, payload } })).toMatchObject(
      invalid,
    )
  })

  it('is invalid without an entry in the log', async () => {
    const { verificationMaterial, ...rest } = await bundle()
    const material = { ...verificationMaterial, tlogEntries: [] }

    expect(check({ ...rest, verificationMaterial: material })).toMatchObject(invalid)
  })

  it('is invalid if the time of the log was changed, as after the certificate expired', async () => {
    const { verificationMaterial, ...rest } = await bundle()
    const [entry] = verificationMaterial.tlogEntries
    const tlogEntries = [{ ...entry, integratedTime: String(Number(entry?.integratedTime) - 1) }]
    const material = { ...verificationMaterial, tlogEntries }

    expect(check({ ...rest, verificationMaterial: material })).toMatchObject(invalid)
  })

  it('is invalid if the trusted root has a certificate log and the certificate is in none', async () => {
    const { tlogs } = sigstore.trustedRoot as { tlogs: object[] }

    expect(check(await bundle(), { ...sigstore.trustedRoot, ctlogs: tlogs })).toMatchObject(invalid)
  })

  it('is invalid if a key signed it', () => {
    const signed = keyBundle(ecdsaKey(), signatureStatement(digest))

    expect(check(signed)).toMatchObject({ ...invalid, detail: 'it is signed with a key' })
  })

  it('is invalid if it also has another signature, which would be verified in its place', async () => {
    const messageSignature = {
      messageDigest: { algorithm: 'SHA2_256', digest: 'AA==' },
      signature: 'AA==',
    }

    expect(check({ ...(await bundle()), messageSignature })).toMatchObject({
      ...invalid,
      detail: 'it is not a bundle with one statement',
    })
  })

  it('is invalid if a name in the checkpoint is a regular expression', async () => {
    const { verificationMaterial, ...rest } = await bundle()
    const tlogEntries = verificationMaterial.tlogEntries.map((entry) => {
      const { checkpoint, ...proof } = entry.inclusionProof
      const envelope = checkpoint.envelope.replace('\u2014 rekor.test', '\u2014 (.+)+(.+)+x')
      return { ...entry, inclusionProof: { ...proof, checkpoint: { envelope } } }
    })
    const material = { ...verificationMaterial, tlogEntries }

    expect(check({ ...rest, verificationMaterial: material })).toMatchObject({
      ...invalid,
      detail: 'its log entry has an invalid checkpoint',
    })
  })

  it.each([
    ['no certificate', { verificationMaterial: {} }],
    [
      'a certificate that is not DER',
      { verificationMaterial: { certificate: { rawBytes: 'AAAA' } } },
    ],
    ['members of other types', { verificationMaterial: 1, mediaType: [] }],
  ])('is invalid with %s', async (_, change) => {
    expect(check({ ...(await bundle()), ...change })).toMatchObject(invalid)
  })
})

describe('a keyless signature in annotations', () => {
  async function signed(given: Partial<typeof signer> = {}, of = digest) {
    const { annotations, ...rest } = await sigstore.signPayload(simpleSigningPayload(of), {
      ...signer,
      ...given,
    })
    return { format: 'simple-signing', annotations, ...rest } as const
  }

  it('is valid if the certificate has the identity and the log has the signature', async () => {
    expect(checkSignature(await signed(), digest, trust())).toEqual({
      ok: true,
      signedAt: signer.signedAt,
    })
  })

  it('has the wrong signer with another identity', async () => {
    const other = await signed({ identity: 'https://github.com/evil/app' })

    expect(checkSignature(other, digest, trust())).toMatchObject({ problem: 'wrong-signer' })
  })

  it('is of another image if its payload names another digest', async () => {
    const other = await signed({}, `sha256:${'b'.repeat(64)}`)

    expect(checkSignature(other, digest, trust())).toMatchObject({ problem: 'wrong-image' })
  })

  it('is invalid if the payload was changed', async () => {
    const other = { ...(await signed()), payload: simpleSigningPayload(`${digest.slice(0, -1)}b`) }

    expect(checkSignature(other, digest, trust())).toMatchObject(invalid)
  })

  it('is invalid without a certificate or log entry', async () => {
    const { annotations, ...rest } = await signed()
    const certificate = 'dev.sigstore.cosign/certificate'
    const pem = (annotations as Record<string, string>)[certificate]

    expect(checkSignature({ ...rest, annotations: {} }, digest, trust())).toMatchObject({
      ...invalid,
      detail: 'it has no certificate',
    })
    expect(
      checkSignature({ ...rest, annotations: { [certificate]: pem } }, digest, trust()),
    ).toMatchObject(invalid)
  })
})

describe('a trusted root', () => {
  it.each([
    ['without members', {}],
    [
      'with a certificate that is not DER',
      { certificateAuthorities: [{ certChain: { certificates: [{ rawBytes: 'AAAA' }] } }] },
    ],
  ])('%s is not accepted', (_, root) => {
    expect(createIdentify(root)).toBeNull()
  })
})
