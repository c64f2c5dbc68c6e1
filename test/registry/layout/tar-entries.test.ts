import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pack } from 'tar-stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listTar, paddedSize, tarHeader } from '../../../src/registry/layout/tar-entries.ts'
import { fc, runs } from '../../support/fast-check.ts'

let directory: string
let opened: FileHandle[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-tar-'))
  opened = []
})

afterEach(async () => {
  for (const file of opened) await file.close()
  rmSync(directory, { recursive: true, force: true })
})

async function list(archive: Buffer) {
  const path = join(directory, `${opened.length}.tar`)
  writeFileSync(path, archive)
  const file = await open(path, 'r')
  opened.push(file)
  return listTar(file)
}

function entry(path: string, content: string): Buffer {
  const bytes = Buffer.from(content)
  return Buffer.concat([
    tarHeader(path, bytes.length),
    bytes,
    Buffer.alloc(paddedSize(bytes.length) - bytes.length),
  ])
}

const blob = `blobs/sha256/${'a'.repeat(64)}`

describe('listTar', () => {
  it('lists the files, where they are, and where the archive ends', async () => {
    const archive = Buffer.concat([entry('oci-layout', '{}'), entry(blob, 'x'.repeat(600))])
    const listed = await list(Buffer.concat([archive, Buffer.alloc(1024)]))

    expect(listed).toEqual({
      entries: [
        { path: 'oci-layout', headerAt: 0, contentAt: 512, size: 2 },
        { path: blob, headerAt: 1024, contentAt: 1536, size: 600 },
      ],
      end: archive.length,
      problem: null,
      isTruncated: false,
    })
    expect(await list(archive)).toMatchObject({ end: archive.length, problem: null })
  })

  it('reads long names and other types of entries of another program', async () => {
    const tar = pack()
    const long = `${'directory/'.repeat(30)}file`
    tar.entry({ name: 'blobs/', type: 'directory' })
    tar.entry({ name: 'link', type: 'symlink', linkname: '/etc/passwd' })
    tar.entry({ name: long, pax: { comment: 'x' } }, 'long')
    tar.entry({ name: `./${blob}` }, 'blob')
    tar.finalize()
    const chunks: Buffer[] = []
    for await (const chunk of tar) chunks.push(chunk as Buffer)
    const { entries, problem } = await list(Buffer.concat(chunks))

    expect(problem).toBeNull()
    expect(entries.map(({ path, size }) => [path, size])).toEqual([
      [long, 4],
      [blob, 4],
    ])
  })

  it('keeps sizes over 8 GiB', async () => {
    const size = 20 * 1024 ** 3
    const { problem } = await list(tarHeader(blob, size))

    expect(problem).toBe(`it ends at byte 512, within ${blob} of ${size} bytes`)
  })

  it.each(['1.5', '9007199254740993', '1e400'])('rejects a size of %s', async (size) => {
    const tar = pack()
    tar.entry({ name: blob, pax: { size } }, 'blob')
    tar.finalize()
    const chunks: Buffer[] = []
    for await (const chunk of tar) chunks.push(chunk as Buffer)

    expect(await list(Buffer.concat(chunks))).toMatchObject({
      entries: [],
      problem: expect.stringContaining('there is no tar header') as string,
      isTruncated: false,
    })
  })

  it.each([
    ['another file', Buffer.from('x'.repeat(2_000)), 'there is no tar header at byte 0'],
    ['a part of a header', tarHeader(blob, 0).subarray(0, 100), 'within the header at byte 0'],
    ['a part of a file', entry(blob, 'x'.repeat(600)).subarray(0, 900), 'it ends at byte 900'],
  ])('describes %s', async (_, archive, message) => {
    expect((await list(archive)).problem).toContain(message)
  })

  it('ends for every content, with entries that are within the archive', async () => {
    const archive = Buffer.concat([entry('oci-layout', '{}'), entry(blob, 'x'.repeat(600))])
    const change = fc.tuple(
      fc.nat(archive.length - 1),
      fc.uint8Array({ minLength: 1, maxLength: 16 }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const damaged = Buffer.from(archive)
        for (const [at, bytes] of changes) damaged.set(bytes.slice(0, damaged.length - at), at)
        const { entries } = await list(damaged)

        for (const { contentAt, size } of entries) {
          expect(size).toBeGreaterThanOrEqual(0)
          expect(contentAt + size).toBeLessThanOrEqual(damaged.length)
        }
      }),
      runs(100),
    )
  })
})
