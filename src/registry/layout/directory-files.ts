/** Reads and writes the files of an image layout in a directory. */
import { constants } from 'node:fs'
import { lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { BerthError } from '../../errors.ts'
import { writeAndRename } from '../../files/replace-file.ts'
import { type LayoutFiles, readRange, writeAt } from './layout-files.ts'
import { describeFileError } from '../../files/describe-file-error.ts'

/** Opens a directory, which need not exist yet. Throws `layout-invalid` if it is not a directory, or has files but no layout. */
export async function openDirectoryFiles(directory: string): Promise<LayoutFiles> {
  const names = await listDirectory(directory)
  const isEmpty = names.length === 0
  await rejectLinks(directory)
  if (!isEmpty && !names.includes('oci-layout')) {
    const reason = 'the directory has other files, and no file oci-layout'
    throw new BerthError('layout-invalid', `no image layout at ${directory}: ${reason}`)
  }
  return {
    name: `oci:${directory}`,
    isEmpty,
    async size(path) {
      const stats = await lstat(join(directory, path)).catch(() => null)
      return stats?.isFile() === true ? stats.size : null
    },
    async *read(path, offset) {
      // A layout may come from elsewhere: a link could lead out of it, and a pipe would block.
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
      const file = await open(join(directory, path), flags)
      try {
        const stats = await file.stat()
        if (stats.isFile()) yield* readRange(file, offset, stats.size)
      } finally {
        await file.close()
      }
    },
    write: (path, _, content) => writeFile(join(directory, path), content),
    async replace(path, bytes) {
      await mkdir(directory, { recursive: true })
      writeAndRename(join(directory, path), bytes.toString('utf8'), { mode: null })
    },
    close: () => Promise.resolve(),
  }
}

/** Throws `layout-invalid` for a link to a directory of blobs: a layout may come from elsewhere, and a link could lead out of it. */
async function rejectLinks(directory: string): Promise<void> {
  for (const path of ['blobs', 'blobs/sha256', 'blobs/sha384', 'blobs/sha512']) {
    const stats = await lstat(join(directory, path)).catch(() => null)
    if (stats?.isSymbolicLink() !== true) continue
    const reason = `${path} is a symbolic link; copy the directory that it leads to into its place`
    throw new BerthError('layout-invalid', `no image layout at ${directory}: ${reason}`)
  }
}

async function listDirectory(directory: string): Promise<readonly string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return []
    const reason =
      code === 'ENOTDIR'
        ? 'it is not a directory'
        : `it cannot be read: ${describeFileError(error)}`
    throw new BerthError('layout-invalid', `no image layout at ${directory}: ${reason}`)
  }
}

/** Writes a temporary file, and renames it. The next run replaces the temporary file that a killed run left. */
async function writeFile(path: string, content: AsyncIterable<Buffer>): Promise<void> {
  const partial = join(dirname(path), `.${basename(path)}.partial`)
  await mkdir(dirname(path), { recursive: true })
  await rm(partial, { force: true })
  const file = await open(partial, 'wx')
  try {
    try {
      let offset = 0
      for await (const chunk of content) {
        await writeAt(file, chunk, offset)
        offset += chunk.length
      }
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(partial, path)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}
