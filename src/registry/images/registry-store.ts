/** The image store of the registries in the config. */
import { createBlobSource } from '../blobs/blob-source.ts'
import { hasBlob, mountBlob, uploadBlob } from '../blobs/blob-upload.ts'
import {
  getManifest,
  hasManifest,
  headManifest,
  lastModified,
  putManifest,
} from '../manifests/manifests.ts'
import { addToReferrersTag, listReferrers, subjectOf } from '../manifests/referrers.ts'
import { listTags } from '../manifests/tags.ts'
import type { RegistryClient, Repository } from '../registry-client.ts'
import type { ImageRepository, ImageStore } from './image-store.ts'

export function createRegistryStore(registries: RegistryClient): ImageStore {
  return {
    open: async (host, name, access) => registryImages(await registries.open(host, name, access)),
    close: () => registries.close(),
  }
}

function registryImages(repository: Repository): ImageRepository {
  const { host, name, state } = repository
  return {
    host,
    name,
    get canMount() {
      return state.canMount
    },
    get pullsRemaining() {
      return state.pullsRemaining
    },
    headManifest: (reference, signal) => headManifest(repository, reference, signal),
    getManifest: (manifest, signal) => getManifest(repository, manifest, signal),
    hasManifest: (digest, signal) => hasManifest(repository, digest, signal),
    lastModified: (digest, signal) => lastModified(repository, digest, signal),
    async putManifest(reference, manifest, options) {
      await putManifest(repository, reference ?? manifest.digest, manifest, options)
    },
    hasBlob: (blob, signal) => hasBlob(repository, blob, signal),
    blobSource: (blob, options) => createBlobSource(repository, blob, options),
    async putBlob(blob, { mountFrom, open, signal, onBytes }) {
      const canMount = mountFrom !== null && state.canMount
      const started = canMount
        ? await mountBlob(repository, blob, { from: mountFrom, signal })
        : null
      if (started === 'mounted') return 'mounted'
      await uploadBlob(repository, await open(), { signal, onBytes, started })
      return 'uploaded'
    },
    listTags: (signal) => listTags(repository, signal),
    listReferrers: (digest, signal) => listReferrers(repository, digest, signal),
    hasReferrer: async ({ digest }, signal) =>
      (await hasManifest(repository, digest, signal)) && state.hasReferrersApi === true,
    async putReferrer(manifest, referrer, signal) {
      const put = await putManifest(repository, manifest.digest, manifest, { signal })
      const subject = subjectOf(manifest.bytes)
      if (subject === null || put.keepsReferrers) return
      await addToReferrersTag(repository, subject, { entry: referrer, signal })
    },
  }
}
