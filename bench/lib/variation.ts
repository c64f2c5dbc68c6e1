/** Changes a review as an API server does between two pods, so that no two reviews of a run are the same. */
import { randomFillSync } from 'node:crypto'
import { benchUid, templateHash, tokenSuffix } from './reviews.ts'

const hexadecimal = '0123456789abcdef'

/**
 * Rewrites, in place, the uid and the random end of the token volume's name. With `hasOneController` false, also rewrites the hash
 * in the names of the pod and its owner, as if each pod had another controller. Returns the uid.
 */
export function createVariation(request: Buffer, hasOneController: boolean): () => string {
  const uids = placesOf(request, benchUid)
  const others = [tokenSuffix, ...(hasOneController ? [] : [templateHash])].map((text) => ({
    length: text.length,
    places: placesOf(request, text),
  }))
  const random = Buffer.alloc(64)
  const digits = (length: number) => {
    let text = ''
    for (let index = 0; index < length; index++) text += hexadecimal[(random[index] ?? 0) & 15]
    return text
  }
  return () => {
    randomFillSync(random)
    const hex = digits(32)
    const uid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
    for (const at of uids) request.write(uid, at, 'latin1')
    for (const { length, places } of others) {
      const text = hex.slice(0, length)
      for (const at of places) request.write(text, at, 'latin1')
    }
    return uid
  }
}

function placesOf(bytes: Buffer, text: string): number[] {
  const places: number[] = []
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) places.push(at)
  return places
}
