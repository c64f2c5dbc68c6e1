/** Pushes an image to a registry that needs no login, such as a test or home registry (distribution-spec, "Push"). */
import type { Artifact, Blob } from './oci.ts'

export interface PushTarget {
  /** For example `http://10.0.0.1:32000`. */
  readonly registry: string
  readonly repository: string
  readonly tag: string
}

/** Parses `HOST/REPOSITORY:TAG`; throws if the name has another form. */
export function parsePushTarget(name: string, isPlainHttp: boolean): PushTarget {
  const [, host, repository, tag] =
    /^([^/]+)\/([a-z0-9._/-]+):([A-Za-z0-9_][A-Za-z0-9._-]{0,127})$/.exec(name) ?? []
  if (host === undefined || repository === undefined || tag === undefined)
    throw new Error(
      `cannot push to "${name}": use HOST/REPOSITORY:TAG, for example anubis:32000/berth:0.2.0`,
    )
  return { registry: `${isPlainHttp ? 'http' : 'https'}://${host}`, repository, tag }
}

/** Uploads the blobs that the registry lacks, then the manifests, and the root under the tag. */
export async function pushArtifact(
  target: PushTarget,
  { root, manifests, blobs }: Artifact,
): Promise<void> {
  for (const blob of blobs) await pushBlob(target, blob)
  const url = `${target.registry}/v2/${target.repository}/manifests`
  for (const manifest of manifests) await send(`${url}/${manifest.digest}`, 'PUT', manifest)
  await send(`${url}/${target.tag}`, 'PUT', root)
}

async function pushBlob({ registry, repository }: PushTarget, blob: Blob): Promise<void> {
  const blobs = `${registry}/v2/${repository}/blobs`
  const existing = await fetch(`${blobs}/${blob.digest}`, { method: 'HEAD' })
  if (existing.ok) return
  const upload = await send(`${blobs}/uploads/`, 'POST')
  const location = new URL(upload.headers.get('location') ?? '', registry)
  location.searchParams.set('digest', blob.digest)
  await send(location.href, 'PUT', { ...blob, mediaType: 'application/octet-stream' })
}

async function send(url: string, method: string, blob?: Blob): Promise<Response> {
  const body = blob === undefined ? {} : { body: new Uint8Array(blob.content) }
  const headers: Record<string, string> =
    blob === undefined ? {} : { 'content-type': blob.mediaType }
  const response = await fetch(url, { method, headers, ...body })
  if (response.ok) return response
  const hint =
    response.status === 401
      ? '; --push cannot log in, use `berth mirror berth:VERSION IMAGE --from oci:dist/image` instead'
      : ''
  throw new Error(`${method} ${url} returned ${response.status}${hint}`)
}
