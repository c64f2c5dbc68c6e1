/** Pushes a layer that is too large to hold in memory. */
import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { request } from 'undici'

const blockBytes = 1024 * 1024

/** Pushes a layer of this many bytes. Each block is different. */
export async function pushLargeBlob(
  to: { readonly registry: string; readonly repository: string },
  size: number,
): Promise<{ readonly digest: string; readonly size: number }> {
  const block = randomBytes(blockBytes)
  const hash = createHash('sha256')
  async function* content(): AsyncGenerator<Buffer> {
    for (let index = 0; index < size / blockBytes; index++) {
      const next = Buffer.from(block)
      next.writeUInt32BE(index)
      hash.update(next)
      yield next
      await Promise.resolve()
    }
  }
  const begun = await fetch(`${to.registry}/v2/${to.repository}/blobs/uploads/`, { method: 'POST' })
  const location = begun.headers.get('location') ?? ''
  const patched = await request(location, {
    method: 'PATCH',
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
    body: Readable.from(content()),
    headersTimeout: 0,
  })
  await patched.body.dump()
  const digest = `sha256:${hash.digest('hex')}`
  const end = new URL(String(patched.headers['location']))
  end.searchParams.set('digest', digest)
  const put = await fetch(end, { method: 'PUT' })
  if (put.status !== 201) throw new Error(`the registry rejected the layer: ${put.status}`)
  return { digest, size }
}
