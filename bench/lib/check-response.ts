/** Checks responses. Without this check, a server that fails fast would win every benchmark. */
import { mirrorHost } from './reviews.ts'

interface Operation {
  readonly path: string
  readonly value: unknown
}

/** Returns what is wrong with a response, or null if it rewrites at least `images` images to the mirror. */
export function faultOf(
  text: string,
  uid: string,
  images: number,
  mirror: string = mirrorHost,
): string | null {
  const { response } = JSON.parse(text) as {
    response: { uid: string; allowed: boolean; patchType?: string; patch?: string }
  }
  if (response.uid !== uid) return `it is for uid ${response.uid}`
  if (images === 0) return response.allowed ? null : 'it denies the pod'
  if (!response.allowed || response.patchType !== 'JSONPatch' || response.patch === undefined)
    return 'it has no patch'
  const operations = JSON.parse(Buffer.from(response.patch, 'base64').toString()) as Operation[]
  const rewritten = operations.filter(
    ({ path, value }) =>
      /^\/spec\/containers\/\d+\/image$/.test(path) && String(value).startsWith(`${mirror}/`),
  )
  return rewritten.length >= images
    ? null
    : `it rewrites ${rewritten.length} images instead of ${images}`
}
