/** A registry in the process of the tests: tokens like Docker Hub's, damaged content, or TLS with its own certificate. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { generate } from 'selfsigned'
import { listen } from './servers.ts'

export type RegistryScript = {
  /** Repositories with anonymous access, each with its tags. */
  open?: Record<string, readonly string[]>
  /** Repositories that only the account may read, each with its tags. */
  closed?: Record<string, readonly string[]>
  account?: { username: string; password: string }
  /**
   * `granted`: anonymous clients get a token, as on Docker Hub. `refused`: only the account gets one, as on
   * registry.redhat.io. Absent: no token is needed.
   */
  tokens?: 'granted' | 'refused'
  /** Blobs are missing, or have other bytes of the same length. */
  damage?: 'no-blobs' | 'other-bytes'
  /** Serves TLS with a self-signed certificate for this address or name. */
  tls?: string
}

export type ScriptedRegistry = {
  url: string
  /** `address:port` */
  host: string
  close(): Promise<void>
}

const platform = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch }

type ImageContent = { manifest: Buffer; config: Buffer; layer: Buffer }

/**
 * Registries with different damage need different digests: containerd keeps the bytes of a failed download, and uses them
 * again for the same digest of another registry.
 */
const contents = {
  none: createContent('none'),
  'no-blobs': createContent('no-blobs'),
  'other-bytes': createContent('other-bytes'),
}

function contentOf({ damage }: RegistryScript): ImageContent {
  return contents[damage ?? 'none']
}

function createContent(damage: string): ImageContent {
  const layer = Buffer.from(`not an archive, because no runtime unpacks it (damage: ${damage})`)
  const rootfs = { type: 'layers', diff_ids: [digestOf(layer)] }
  const config = Buffer.from(JSON.stringify({ ...platform, config: {}, rootfs }))
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptorOf('config', config),
    layers: [descriptorOf('layer', layer)],
  }
  return { manifest: Buffer.from(JSON.stringify(manifest)), config, layer }
}

/** Starts a scripted registry at the address. */
export async function startScriptedRegistry(
  address: string,
  script: RegistryScript,
): Promise<ScriptedRegistry> {
  let url = ''
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    respond(request, response, { script, url })
  }
  const server =
    script.tls === undefined
      ? createServer(handle)
      : createTlsServer(await certificateFor(script.tls), handle)
  const { port, close } = await listen(server, address)
  const host = `${address}:${port}`
  url = `${script.tls === undefined ? 'http' : 'https'}://${host}`
  return { url, host, close }
}

async function certificateFor(name: string): Promise<{ key: string; cert: string }> {
  const isAddress = /^[0-9.]+$/.test(name)
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'scripted' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true },
      {
        name: 'subjectAltName',
        altNames: [isAddress ? { type: 7, ip: name } : { type: 2, value: name }],
      },
    ],
  })
  return { key, cert }
}

type RegistryResponse = { status: number; body: Buffer; headers?: Record<string, string> }
type RegistryRequest = {
  script: RegistryScript
  url: string
  path: string
  authorization: string | undefined
}

function respond(
  { url: path = '', method = '', headers }: IncomingMessage,
  response: ServerResponse,
  { script, url }: { script: RegistryScript; url: string },
): void {
  const registryRequest = { script, url, path, authorization: headers.authorization }
  const isToken = path.startsWith('/token')
  // POST is the OAuth 2.0 form of a token request. Runtimes try it first and fall back to GET.
  const result =
    method === 'POST'
      ? failed(405, 'UNSUPPORTED')
      : isToken
        ? tokenFor(registryRequest)
        : contentFor(registryRequest)
  response.writeHead(result.status, {
    'content-length': String(result.body.length),
    ...result.headers,
  })
  response.end(method === 'HEAD' ? undefined : result.body)
}

function tokenFor({
  script: { account, tokens },
  authorization,
}: RegistryRequest): RegistryResponse {
  const basic = Buffer.from(`${account?.username}:${account?.password}`).toString('base64')
  const isKnown = account !== undefined && authorization === `Basic ${basic}`
  if (!isKnown && (authorization !== undefined || tokens === 'refused'))
    return failed(401, 'UNAUTHORIZED')
  return json(200, { token: isKnown ? 'known' : 'anonymous', expires_in: 300 })
}

function contentFor(request: RegistryRequest): RegistryResponse {
  const { script, url, path, authorization } = request
  const { tokens, open = {}, closed = {} } = script
  const [, repository = '', kind = '', reference = ''] =
    /^\/v2\/(.+)\/(manifests|blobs|tags)\/([^/?]+)/.exec(path) ?? []
  const challenge = `Bearer realm="${url}/token",service="scripted",scope="repository:${repository}:pull"`
  if (tokens !== undefined && authorization === undefined)
    return failed(401, 'UNAUTHORIZED', challenge)
  const mayReadAll = tokens === undefined || authorization === 'Bearer known'
  const tags = open[repository] ?? (mayReadAll ? closed[repository] : undefined)
  if (tags === undefined)
    return mayReadAll
      ? failed(404, 'NAME_UNKNOWN')
      : failed(401, 'UNAUTHORIZED', `${challenge},error="insufficient_scope"`)
  if (kind === 'tags') return json(200, { name: repository, tags })
  return kind === 'manifests' ? manifestFor(reference, tags, script) : blobFor(reference, script)
}

function manifestFor(
  reference: string,
  tags: readonly string[],
  script: RegistryScript,
): RegistryResponse {
  const { manifest } = contentOf(script)
  if (!tags.includes(reference) && reference !== digestOf(manifest))
    return failed(404, 'MANIFEST_UNKNOWN')
  const headers = {
    'content-type': 'application/vnd.oci.image.manifest.v1+json',
    'docker-content-digest': digestOf(manifest),
  }
  return { status: 200, body: manifest, headers }
}

function blobFor(reference: string, script: RegistryScript): RegistryResponse {
  const { damage } = script
  const { config, layer } = contentOf(script)
  const blob = [config, layer].find((each) => digestOf(each) === reference)
  if (blob === undefined || damage === 'no-blobs') return failed(404, 'BLOB_UNKNOWN')
  const isChanged = damage === 'other-bytes' && blob === layer
  const headers = { 'content-type': 'application/octet-stream' }
  return { status: 200, body: isChanged ? Buffer.alloc(layer.length, 'x') : blob, headers }
}

function failed(status: number, code: string, challenge?: string): RegistryResponse {
  const response = json(status, { errors: [{ code, message: code.toLowerCase() }] })
  const more = challenge === undefined ? {} : { 'www-authenticate': challenge }
  return { ...response, headers: { ...response.headers, ...more } }
}

function json(status: number, body: object): RegistryResponse {
  const headers = { 'content-type': 'application/json' }
  return { status, body: Buffer.from(JSON.stringify(body)), headers }
}

function descriptorOf(kind: 'config' | 'layer', content: Buffer) {
  const mediaType =
    kind === 'config'
      ? 'application/vnd.oci.image.config.v1+json'
      : 'application/vnd.oci.image.layer.v1.tar'
  return { mediaType, digest: digestOf(content), size: content.length }
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`
}
