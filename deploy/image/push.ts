/** Pushes to a registry that asks for no password: one of a test or a home (distribution-spec, "Push"). */
import type { Blob, Image } from './oci.ts'

export interface Target {
  /** For example `http://10.0.0.1:32000`. */
  readonly registry: string
  readonly repository: string
  readonly tag: string
}

/** Reads `HOST/REPOSITORY:TAG`; throws when it is not that. */
export function readTarget(name: string, isPlain: boolean): Target {
  const [, host, repository, tag] =
    /^([^/]+)\/([a-z0-9._/-]+):([A-Za-z0-9_][A-Za-z0-9._-]{0,127})$/.exec(name) ?? []
  if (host === undefined || repository === undefined || tag === undefined)
    throw new Error(`${name} is not HOST/REPOSITORY:TAG, for example anubis:32000/berth:0.1.0`)
  return { registry: `${isPlain ? 'http' : 'https'}://${host}`, repository, tag }
}

/** Uploads what the registry has not got, the manifest last. */
export async function push(target: Target, { manifest, config, layers }: Image): Promise<void> {
  for (const each of [...layers, config]) await pushBlob(target, each)
  const url = `${target.registry}/v2/${target.repository}/manifests/${target.tag}`
  await send(url, 'PUT', manifest)
}

async function pushBlob({ registry, repository }: Target, blob: Blob): Promise<void> {
  const blobs = `${registry}/v2/${repository}/blobs`
  const known = await fetch(`${blobs}/${blob.digest}`, { method: 'HEAD' })
  if (known.ok) return
  const upload = await send(`${blobs}/uploads/`, 'POST')
  const location = new URL(upload.headers.get('location') ?? '', registry)
  location.searchParams.set('digest', blob.digest)
  await send(location.href, 'PUT', { ...blob, mediaType: 'application/octet-stream' })
}

async function send(url: string, method: string, blob?: Blob): Promise<Response> {
  const body = blob === undefined ? {} : { body: new Uint8Array(blob.content) }
  const headers: Record<string, string> =
    blob === undefined ? {} : { 'content-type': blob.mediaType }
  const answer = await fetch(url, { method, headers, ...body })
  if (answer.ok) return answer
  const hint =
    answer.status === 401 ? '; `skopeo copy oci:dist/image docker://…` logs in, this does not' : ''
  throw new Error(`${method} ${url} answered ${answer.status}${hint}`)
}
