import { createHash } from 'node:crypto'
import type { Account } from './registry.ts'

/** A repository of a registry, with the account to use there. */
export type Repository = { registry: string; repository: string; auth?: Account }

/** A blob or manifest as manifests refer to it. */
export type Descriptor = { mediaType: string; digest: string; size: number }

/** Media types of the OCI image format. */
export const oci = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
} as const

/** Uploads a blob unless the repository has it. */
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

/** Uploads a manifest or index under a tag, or under its digest when there is none. */
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

/** The digest a tag stands for; undefined when the registry does not have it. */
export async function digestOfTag(of: Repository, reference: string): Promise<string | undefined> {
  const accept = `${oci.index}, ${oci.manifest}`
  const answer = await fetch(urlOf(of, `manifests/${reference}`), {
    method: 'HEAD',
    headers: { ...authorization(of), accept },
  })
  if (answer.status === 404) return undefined
  return (await expectOk(answer)).headers.get('docker-content-digest') ?? undefined
}

/** Deletes a manifest by its digest, and with it every tag that stands for it. */
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

async function expectOk(answer: Response): Promise<Response> {
  if (answer.ok) return answer
  throw new Error(`${answer.url} answered ${answer.status}: ${await answer.text()}`)
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
