/** A registry in this process that is wrong in one way: tokens as Docker Hub gives them, content that is not what it says, TLS of its own. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { generate } from 'selfsigned'

export type Script = {
  /** What anybody may read: tags by repository. */
  open?: Record<string, readonly string[]>
  /** What only the account may read. */
  closed?: Record<string, readonly string[]>
  account?: { username: string; password: string }
  /** `granted`: a token for anybody, as Docker Hub's; `refused`: for nobody but the account, as registry.redhat.io's. Absent: none is asked for. */
  tokens?: 'granted' | 'refused'
  /** Blobs are not there, or are other bytes of the same length. */
  damage?: 'no-blobs' | 'other-bytes'
  /** TLS, by a certificate that nobody has signed, for this address or name. */
  tls?: string
}

export type ScriptedRegistry = {
  url: string
  /** `address:port` */
  host: string
  close(): Promise<void>
}

const layer = Buffer.from('not an archive, and nobody ever gets as far as unpacking it')
const platform = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch }
const config = Buffer.from(
  JSON.stringify({
    ...platform,
    config: {},
    rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
  }),
)
const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: described('config', config),
    layers: [described('layer', layer)],
  }),
)

/** Starts one at the address. */
export async function startScriptedRegistry(
  address: string,
  script: Script,
): Promise<ScriptedRegistry> {
  let url = ''
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    answer(request, response, { script, url })
  }
  const server =
    script.tls === undefined
      ? createServer(handle)
      : createTlsServer(await certificateFor(script.tls), handle)
  server.listen(0, address)
  await once(server, 'listening')
  const host = `${address}:${(server.address() as AddressInfo).port}`
  url = `${script.tls === undefined ? 'http' : 'https'}://${host}`
  return {
    url,
    host,
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

async function certificateFor(name: string): Promise<{ key: string; cert: string }> {
  const isAddress = /^[0-9.]+$/.test(name)
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'nobody' }], {
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

type Answer = { status: number; body: Buffer; headers?: Record<string, string> }
type Asked = { script: Script; url: string; path: string; authorization: string | undefined }

function answer(
  { url: path = '', method = '', headers }: IncomingMessage,
  response: ServerResponse,
  { script, url }: { script: Script; url: string },
): void {
  const asked = { script, url, path, authorization: headers.authorization }
  const isToken = path.startsWith('/token')
  // The form of OAuth 2.0, which runtimes try first and do without.
  const found =
    method === 'POST' ? failed(405, 'UNSUPPORTED') : isToken ? tokenFor(asked) : contentFor(asked)
  response.writeHead(found.status, {
    'content-length': String(found.body.length),
    ...found.headers,
  })
  response.end(method === 'HEAD' ? undefined : found.body)
}

function tokenFor({ script: { account, tokens }, authorization }: Asked): Answer {
  const basic = Buffer.from(`${account?.username}:${account?.password}`).toString('base64')
  const isKnown = account !== undefined && authorization === `Basic ${basic}`
  if (!isKnown && (authorization !== undefined || tokens === 'refused'))
    return failed(401, 'UNAUTHORIZED')
  return json(200, { token: isKnown ? 'known' : 'anybody', expires_in: 300 })
}

function contentFor(asked: Asked): Answer {
  const { script, url, path, authorization } = asked
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
  return kind === 'manifests' ? manifestFor(reference, tags) : blobFor(reference, script)
}

function manifestFor(reference: string, tags: readonly string[]): Answer {
  if (!tags.includes(reference) && reference !== digestOf(manifest))
    return failed(404, 'MANIFEST_UNKNOWN')
  const headers = {
    'content-type': 'application/vnd.oci.image.manifest.v1+json',
    'docker-content-digest': digestOf(manifest),
  }
  return { status: 200, body: manifest, headers }
}

function blobFor(reference: string, { damage }: Script): Answer {
  const blob = [config, layer].find((each) => digestOf(each) === reference)
  if (blob === undefined || damage === 'no-blobs') return failed(404, 'BLOB_UNKNOWN')
  const isChanged = damage === 'other-bytes' && blob === layer
  const headers = { 'content-type': 'application/octet-stream' }
  return { status: 200, body: isChanged ? Buffer.alloc(layer.length, 'x') : blob, headers }
}

function failed(status: number, code: string, challenge?: string): Answer {
  const answered = json(status, { errors: [{ code, message: code.toLowerCase() }] })
  const more = challenge === undefined ? {} : { 'www-authenticate': challenge }
  return { ...answered, headers: { ...answered.headers, ...more } }
}

function json(status: number, body: object): Answer {
  const headers = { 'content-type': 'application/json' }
  return { status, body: Buffer.from(JSON.stringify(body)), headers }
}

function described(kind: 'config' | 'layer', content: Buffer) {
  const mediaType =
    kind === 'config'
      ? 'application/vnd.oci.image.config.v1+json'
      : 'application/vnd.oci.image.layer.v1.tar'
  return { mediaType, digest: digestOf(content), size: content.length }
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`
}
