/** Packages the chart as `helm package` and `helm push` do, with the same bytes each time, which Helm 3 cannot. */
import { join } from 'node:path'
import { parse } from 'yaml'
import {
  type Artifact,
  createBlob,
  createJsonBlob,
  createManifest,
} from '../../deploy/image/oci.ts'
import type { TarEntry } from '../../deploy/image/tar.ts'
import { createArchive, entriesOf, replaceText } from './archive.ts'
import type { Source } from './source.ts'

export interface Chart {
  /** For `helm install FILE`. */
  readonly archive: Buffer
  /** For `helm install oci://…`. Media types: helm.sh/docs/topics/registries. */
  readonly artifact: Artifact
}

/** Returns the chart, with `image` as the default of `image.repository`. */
export async function packageChart(
  root: string,
  image: string,
  { version, date }: Pick<Source, 'version' | 'date'>,
): Promise<Chart> {
  const entries: readonly TarEntry[] = entriesOf(join(root, 'deploy/chart'), 'berth')
  // In values.yaml, and in the list of images for Artifact Hub.
  const named = ['repository: ', 'image: '].reduce(
    (all, key) => replaceText(all, `${key}berth.invalid/berth`, `${key}${image}`),
    entries,
  )
  const archive = await createArchive(named)
  const file = named.find(({ path }) => path === 'berth/Chart.yaml')
  const metadata = parse(file?.content?.toString('utf8') ?? '') as Record<string, unknown>
  const config = createJsonBlob('application/vnd.cncf.helm.config.v1+json', metadata)
  const layer = createBlob('application/vnd.cncf.helm.chart.content.v1.tar+gzip', archive)
  const manifest = createManifest(config, [layer], {
    'org.opencontainers.image.title': 'berth',
    'org.opencontainers.image.description': String(metadata['description']),
    'org.opencontainers.image.version': version,
    'org.opencontainers.image.created': date.toISOString(),
  })
  return { archive, artifact: { root: manifest, manifests: [], blobs: [config, layer] } }
}
