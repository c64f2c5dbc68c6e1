/** A client that pushes blobs and manifests to registries. */
import { createHash } from 'node:crypto'
import type { Account } from './registry.ts'

/** A repository in a registry, with the account to use. */
export type Repository = { registry: string; repository: string; auth?: Account }

/** A descriptor of a blob or manifest (OCI image-spec, descriptor.md). */
export type Descriptor = { mediaType: string; digest: string; size: number }

/** Media types of the OCI image format. */
export const oci = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
} as const

/** Uploads a blob unless the repository has it already. */
export async function pushBlob(
  to: Repository,
  mediaType: string,
  content: Buffer,
): Promise<Descriptor> {
  const digest = digestOf(content)
  const known = await request(to, 'HEAD', `blobs/${digest}`)
  if (known.ok) return { mediaType, digest, size: content.length }
  const upload = await expectOk(await request(to, 'POST', 'blobs/uploads/'))
  const location = new URL(upload.headers.get('location') ?? '', to.registry)
  location.searchParams.set('digest', digest)
  await expectOk(await request(to, 'PUT', location, content, 'application/octet-stream'))
  return { mediaType, digest, size: content.length }
}

/** Uploads a manifest or index under a tag; without a tag, under its digest. */
export async function pushManifest(
  to: Repository,
  mediaType: string,
  manifest: Record<string, unknown>,
  tag?: string,
): Promise<Descriptor> {
  const content = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...manifest }))
  const digest = digestOf(content)
  const path = `manifests/${tag ?? digest}`
  await expectOk(await request(to, 'PUT', path, content, mediaType))
  return { mediaType, digest, size: content.length }
}

/** Returns the digest of a tag; undefined if the registry does not have it. */
export async function digestOfTag(of: Repository, reference: string): Promise<string | undefined> {
  const accept = `${oci.index}, ${oci.manifest}`
  const response = await fetch(urlOf(of, `manifests/${reference}`), {
    method: 'HEAD',
    headers: { ...authorization(of), accept },
  })
  if (response.status === 404) return undefined
  return (await expectOk(response)).headers.get('docker-content-digest') ?? undefined
}

/** Deletes a manifest by digest, and with it every tag of the manifest. */
export async function deleteDigest(of: Repository, digest: string): Promise<void> {
  await expectOk(await request(of, 'DELETE', `manifests/${digest}`))
}

async function request(
  to: Repository,
  method: string,
  path: string | URL,
  ...[body, contentType]: [body?: Buffer, contentType?: string]
): Promise<Response> {
  const headers = { ...authorization(to), ...(contentType && { 'content-type': contentType }) }
  const url = typeof path === 'string' ? urlOf(to, path) : path
  return fetch(url, { method, headers, ...(body && { body: new Uint8Array(body) }) })
}

async function expectOk(response: Response): Promise<Response> {
  if (response.ok) return response
  throw new Error(`${response.url} responded with ${response.status}: ${await response.text()}`)
}

function urlOf({ registry, repository }: Repository, path: string): string {
  return `${registry}/v2/${repository}/${path}`
}

function authorization({ auth }: Repository): Record<string, string> {
  if (auth === undefined) return {}
  const pair = Buffer.from(`${auth.username}:${auth.password}`).toString('base64')
  return { authorization: `Basic ${pair}` }
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`
}
