/** Opens an OCI image layout (image-spec 1.1, image-layout.md) as a store of images that copies read and write. */
import { BerthError } from '../../errors.ts'
import { RegistryError } from '../http/registry-error.ts'
import type { ImageStore } from '../images/image-store.ts'
import { parseManifestOrEmpty } from '../manifests/manifest-json.ts'
import { openArchiveFiles } from './archive-files.ts'
import { openDirectoryFiles } from './directory-files.ts'
import { explainFileError } from './file-errors.ts'
import { createLayoutBlobs, readSmallFile } from './layout-blobs.ts'
import type { LayoutFiles } from './layout-files.ts'
import { type LayoutEntry, parseLayoutIndex } from './layout-index.ts'
import { createLayoutIndexFile, type StoredIndex } from './layout-index-file.ts'
import type { LayoutLocation } from './layout-location.ts'
import { createLayoutReferrers } from './layout-referrers.ts'
import { createLayoutRepository } from './layout-repository.ts'

export interface LayoutOptions {
  /** `write` may create the layout; `plan` reads it if it exists. */
  readonly access: 'read' | 'plan' | 'write'
  /** True: verifies the digests of existing blobs before they count as present. */
  readonly verify: boolean
}

export interface ImageLayout extends ImageStore {
  /** `oci:DIR` or `oci-archive:FILE`. */
  readonly name: string
  /** The names of all images, in the order of index.json. */
  readonly images: readonly string[]
}

/** Throws `layout-invalid` if there is no layout, or if it is damaged. */
export async function openLayout(
  { kind, path }: LayoutLocation,
  { access, verify }: LayoutOptions,
): Promise<ImageLayout> {
  const isWritable = access === 'write'
  const files =
    kind === 'oci' ? await openDirectoryFiles(path) : await openArchiveFiles(path, { isWritable })
  try {
    const stored = await readIndex(files, { path, access })
    const blobs = createLayoutBlobs(files, { verify, isWritable: access !== 'read' })
    const index = createLayoutIndexFile(files, stored)
    const listReferrers = createLayoutReferrers(blobs, index)
    const content = { name: files.name, blobs, index, listReferrers }
    return {
      name: files.name,
      images: stored.entries.flatMap(imageName),
      open: (host, name) => Promise.resolve(createLayoutRepository(content, `${host}/${name}`)),
      close: () => closeFiles(files),
    }
  } catch (error) {
    await files.close()
    throw error
  }
}

async function readIndex(
  files: LayoutFiles,
  { path, access }: { readonly path: string } & Pick<LayoutOptions, 'access'>,
): Promise<StoredIndex> {
  const broken = (reason: string) =>
    new BerthError('layout-invalid', `no image layout at ${path}: ${reason}`)
  if (files.isEmpty) {
    if (access !== 'read') return { entries: [], hasMarker: false }
    throw broken('it does not exist, or is empty; `berth mirror --to` writes one')
  }
  try {
    const marker = await readSmallFile(files, 'oci-layout')
    const index = await readSmallFile(files, 'index.json')
    // A killed run leaves an archive without both files.
    if (index === null && access !== 'read') return { entries: [], hasMarker: marker !== null }
    if (index === null || marker === null) {
      const missing = marker === null ? 'oci-layout' : 'index.json'
      throw broken(`it has no file ${missing}; if \`berth mirror --to\` was stopped, run it again`)
    }
    const { imageLayoutVersion: version } = parseManifestOrEmpty(marker)
    if (typeof version !== 'string' || !version.startsWith('1.')) {
      throw broken('Berth reads version 1 of image layouts, and its oci-layout has another one')
    }
    const entries = parseLayoutIndex(index, `index.json of ${files.name}`)
    return { entries, hasMarker: true }
  } catch (error) {
    const explained = explainFileError(error, files.name, 'index.json')
    throw explained instanceof RegistryError ? broken(explained.message) : explained
  }
}

async function closeFiles(files: LayoutFiles): Promise<void> {
  try {
    await files.close()
  } catch (error) {
    const explained = explainFileError(error, files.name, 'index.json')
    if (!(explained instanceof RegistryError)) throw explained
    throw new BerthError('file-unwritable', explained.message, { cause: error })
  }
}

function imageName({ repository, tag, digest }: LayoutEntry): string[] {
  if (repository === null) return []
  return [tag === null ? `${repository}@${digest}` : `${repository}:${tag}`]
}
