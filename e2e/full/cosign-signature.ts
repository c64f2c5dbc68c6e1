/** Signs images as `cosign sign --key` does, with the signature under a tag (cosign, specs/SIGNATURE_SPEC.md). */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { oci, pushBlob, pushManifest, type Repository } from '../harness/registry-client.ts'

export type SigningKey = { privateKey: KeyObject; publicKeyPem: string }

export function createSigningKey(): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { privateKey, publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }) as string }
}

/** Pushes a signature of the image to its repository. */
export async function signImage(
  repository: Repository,
  digest: string,
  { privateKey }: SigningKey,
): Promise<void> {
  const payload = Buffer.from(
    JSON.stringify({
      critical: {
        identity: { 'docker-reference': repository.repository },
        image: { 'docker-manifest-digest': digest },
        type: 'cosign container image signature',
      },
      optional: null,
    }),
  )
  const layer = await pushBlob(
    repository,
    'application/vnd.dev.cosign.simplesigning.v1+json',
    payload,
  )
  const diffId = `sha256:${createHash('sha256').update(payload).digest('hex')}`
  const config = await pushBlob(
    repository,
    'application/vnd.oci.image.config.v1+json',
    Buffer.from(
      JSON.stringify({
        architecture: '',
        os: '',
        config: {},
        rootfs: { type: 'layers', diff_ids: [diffId] },
      }),
    ),
  )
  const signature = sign('sha256', payload, privateKey).toString('base64')
  const annotations = { 'dev.cosignproject.cosign/signature': signature }
  await pushManifest(
    repository,
    oci.manifest,
    { config, layers: [{ ...layer, annotations }] },
    `${digest.replace(':', '-')}.sig`,
  )
}
