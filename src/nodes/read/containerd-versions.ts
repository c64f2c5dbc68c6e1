/** What differs between versions of containerd when they read their configuration. */
import { gte, type SemVer } from 'semver'

export interface ContainerdVersion {
  /** As people write it: `2.1`. */
  readonly name: string
  /** The newest version of the configuration that it reads. */
  readonly newestConfig: 2 | 3 | 4
  /** True: it migrates each file before it merges them. False: it migrates the merged files. Before 2.0 it does not migrate. */
  readonly migratesEachFile: boolean
  /** True: the kubelet's pulls go through the transfer service, which takes config_path for a single directory. */
  readonly pullsByTransfer: boolean
  /** The config_path of a configuration without one; null for none. */
  readonly defaultPath: string | null
}

/** The directories of containerd's default since 2.2 (plugins/cri/images/plugin.go). */
const defaultPath = '/etc/containerd/certs.d:/etc/docker/certs.d'

/** The newest first. */
const versions: readonly (readonly [string, ContainerdVersion])[] = [
  [
    '2.3.0',
    { name: '2.3', newestConfig: 4, migratesEachFile: true, pullsByTransfer: true, defaultPath },
  ],
  [
    '2.2.0',
    { name: '2.2', newestConfig: 3, migratesEachFile: false, pullsByTransfer: true, defaultPath },
  ],
  [
    '2.1.0',
    {
      name: '2.1',
      newestConfig: 3,
      migratesEachFile: false,
      pullsByTransfer: true,
      defaultPath: null,
    },
  ],
  [
    '2.0.0',
    {
      name: '2.0',
      newestConfig: 3,
      migratesEachFile: false,
      pullsByTransfer: false,
      defaultPath: null,
    },
  ],
  [
    '0.0.0',
    {
      name: '1.7',
      newestConfig: 2,
      migratesEachFile: false,
      pullsByTransfer: false,
      defaultPath: null,
    },
  ],
]

/** Returns how a version reads its configuration. Versions that are newer than the last of the list read it as that does. */
export function containerdVersion(version: SemVer): ContainerdVersion {
  const found = versions.find(([first]) => gte(version, first))
  const [, newest] = versions[0] ?? []
  if (newest === undefined) throw new Error('the list of versions is empty')
  return { ...(found?.[1] ?? newest), name: `${version.major}.${version.minor}` }
}

/** One of each kind, the oldest first. */
export const allContainerdVersions: readonly ContainerdVersion[] = versions
  .map(([, version]) => version)
  .toReversed()
