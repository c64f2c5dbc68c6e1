/** Writes the manifest with which krew, the plugin manager of kubectl, installs the executable as `kubectl berth`. */
import { stringify } from 'yaml'
import type { Architecture } from '../../deploy/image/architecture.ts'

export interface PluginArchive {
  readonly architecture: Architecture
  readonly url: string
  /** In hexadecimal. */
  readonly sha256: string
}

/** Returns the manifest (krew.sigs.k8s.io/docs/developer-guide/plugin-manifest). krew expects it in a file `berth.yaml`. */
export function pluginManifest(version: string, archives: readonly PluginArchive[]): string {
  return stringify({
    apiVersion: 'krew.googlecontainertools.github.com/v1alpha2',
    kind: 'Plugin',
    metadata: { name: 'berth' },
    spec: {
      version: `v${version}`,
      shortDescription: 'Run pods from your own registry',
      description:
        'Explains, checks and mirrors the images of a cluster, and installs the admission webhook\n' +
        'that rewrites them to your own registry. Start with: kubectl berth init\n',
      platforms: archives.map(({ architecture, url, sha256 }) => ({
        selector: { matchLabels: { os: 'linux', arch: architecture } },
        uri: url,
        sha256,
        bin: 'berth',
      })),
    },
  })
}
