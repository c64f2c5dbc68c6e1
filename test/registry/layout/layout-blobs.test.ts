import { describe, expect, it } from 'vitest'
import { createLayoutBlobs } from '../../../src/registry/layout/layout-blobs.ts'
import type { LayoutFiles } from '../../../src/registry/layout/layout-files.ts'

const blob = { digest: `sha256:${'a'.repeat(64)}`, size: 1 }

async function* content(): AsyncGenerator<Buffer, void> {
  yield await Promise.resolve(Buffer.from('x'))
}

/** Files whose writes end when the test says so. */
function startWrites(): { files: LayoutFiles; ends: ((error?: Error) => void)[] } {
  const ends: ((error?: Error) => void)[] = []
  const write = () =>
    new Promise<void>((resolve, reject) => {
      ends.push((error) => (error === undefined ? resolve() : reject(error)))
    })
  return { files: { name: 'oci:layout', write } as unknown as LayoutFiles, ends }
}

describe('two writes of one blob at the same time', () => {
  it('write it once', async () => {
    const { files, ends } = startWrites()
    const blobs = createLayoutBlobs(files, { verify: false, isWritable: true })
    const both = [blobs.write(blob, content()), blobs.write(blob, content())]
    ends[0]?.()
    await Promise.all(both)

    expect(ends).toHaveLength(1)
  })

  it('write it again if the first one fails', async () => {
    const { files, ends } = startWrites()
    const blobs = createLayoutBlobs(files, { verify: false, isWritable: true })
    const first = blobs.write(blob, content())
    const second = blobs.write(blob, content())
    ends[0]?.(new Error('no space left'))
    await expect(first).rejects.toThrow('no space left')
    await expect.poll(() => ends.length).toBe(2)
    ends[1]?.()

    await expect(second).resolves.toBeUndefined()
  })
})
