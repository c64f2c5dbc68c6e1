/** Reads the headers of responses that contain a manifest. */
import type { ManifestAnswer } from '../../decision/resolve/manifest-source.ts'
import { isDigest } from '../../decision/reference/parse.ts'
import { failed } from '../http/network-error.ts'
import type { HttpResponse } from '../http/messages.ts'

type HeaderSource = Pick<HttpResponse, 'header'>

/** Without the two index types, a registry may send the image of one platform instead of the index. */
export const mediaTypes: readonly string[] = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]

/** One header with all types, because some registries read only the first Accept header. */
export const acceptHeader: string = mediaTypes.join(', ')

export const tooLarge = 'manifest exceeds 4 MiB'

/** Schema 1 manifests, and the types that containerd takes for them. No current runtime can run such an image. */
const schema1Types: ReadonlySet<string> = new Set([
  'application/vnd.docker.distribution.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
  'text/plain',
])

/** With these types, only the body tells what it is. */
export const genericTypes: ReadonlySet<string> = new Set([
  '',
  'application/json',
  'application/octet-stream',
])

/** Returns the answer for a Content-Type that no manifest has; null for any other. */
export function checkType(type: string): ManifestAnswer | null {
  if (mediaTypes.includes(type) || genericTypes.has(type)) return null
  if (schema1Types.has(type)) return schema1()
  return type === 'text/html'
    ? failed('invalid', 'a web page instead of a manifest; check the endpoint')
    : failed('invalid', 'not an image manifest')
}

/** Returns the type without parameters such as `; charset=utf-8`. */
export function mediaTypeOf({ header }: HeaderSource): string {
  const [value = ''] = header('content-type')
  const [type = ''] = value.split(';', 1)
  return type.trim().toLowerCase()
}

/** Null unless the header occurs once and is a valid digest: the digest becomes part of a pod's image name. */
export function digestHeaderOf({ header }: HeaderSource): string | null {
  const [value, ...more] = header('docker-content-digest')
  return value !== undefined && more.length === 0 && isDigest(value) ? value : null
}

/** 0 without the header: no manifest is empty. */
export function contentLengthOf({ header }: HeaderSource): number {
  const [value = ''] = header('content-length')
  return /^[0-9]{1,15}$/.test(value) ? Number(value) : 0
}

export function compressed(): ManifestAnswer {
  return failed('invalid', 'the response is compressed, although Berth accepts no compression')
}

export function otherDigest(): ManifestAnswer {
  return failed('invalid', 'the registry sent a manifest with another digest than requested')
}

export function schema1(): ManifestAnswer {
  return failed('invalid', 'schema 1 image, which current runtimes cannot run; push it again')
}
