/** Configurations of containerd. What each version asks with them is in test/fixtures/nodes/containerd-config.json. */

export interface ConfigCase {
  readonly name: string
  /** By path. `SERVER` is the URL of a server that records which of its paths containerd asks. */
  readonly files: Readonly<Record<string, string>>
}

export interface ConfigAnswer {
  /** The directories, mirrors or `upstream` that containerd asks, in order. */
  readonly asked?: readonly string[]
  readonly error?: string
}

/** The releases that were asked. containerd 2.3 loads its configuration as 2.4 does. */
export const containerdVersions = [
  'v1.6.36',
  'v1.7.35',
  'v2.0.14',
  'v2.1.9',
  'v2.2.9',
  'v2.4.2',
] as const

/** The registry has no address, so containerd reaches only the servers in the files, and a proxy. */
export const image = 'registry.test/a/b:1'
export const registry = 'registry.test'

const hosts = (name: string) => `server = "SERVER/${name}"\n[host."SERVER/${name}"]\n`

/** Three directories with a server each. */
const directories = {
  '/etc/containerd/certs.d/registry.test/hosts.toml': hosts('certs.d'),
  '/etc/containerd/other/registry.test/hosts.toml': hosts('other'),
  '/etc/docker/certs.d/registry.test/hosts.toml': hosts('docker'),
}

const old = 'plugins."io.containerd.grpc.v1.cri"'
const current = 'plugins."io.containerd.cri.v1.images"'
const certs = '/etc/containerd/certs.d'
const other = '/etc/containerd/other'
const set = (section: string, path: string = certs) =>
  `[${section}.registry]\nconfig_path = ${JSON.stringify(path)}\n`
const mirrors = (section: string) =>
  `[${section}.registry.mirrors."registry.test"]\nendpoint = ["SERVER/mirror"]\n`
const imports = (...paths: string[]) => `imports = ${JSON.stringify(paths)}\n`
const dropIns = imports('/etc/containerd/conf.d/*.toml')

/** The main file alone. */
const mainFiles: Readonly<Record<string, string>> = {
  'an empty file': '',
  'version 2 alone': 'version = 2\n',
  'version 3 alone': 'version = 3\n',
  'version 4 alone': 'version = 4\n',
  'version 5': 'version = 5\n',
  'version 2 with the old section': `version = 2\n${set(old)}`,
  'version 2 with the new section': `version = 2\n${set(current)}`,
  'version 2 with both sections': `version = 2\n${set(old)}${set(current, other)}`,
  'version 3 with the new section': `version = 3\n${set(current)}`,
  'version 3 with the old section': `version = 3\n${set(old)}`,
  'version 3 with both sections': `version = 3\n${set(old)}${set(current, other)}`,
  'version 4 with the new section': `version = 4\n${set(current)}`,
  'version 4 with the old section': `version = 4\n${set(old)}`,
  'no version with the old section': set(old),
  'no version with the new section': set(current),
  'no version with plugins.cri': set('plugins.cri'),
  'version 1 with plugins.cri': `version = 1\n${set('plugins.cri')}`,
  'version 1 with the old section': `version = 1\n${set(old)}`,
  'version 2 with plugins.cri': `version = 2\n${set('plugins.cri')}`,
  'version 3 with plugins.cri': `version = 3\n${set('plugins.cri')}`,
  'two directories in version 2': `version = 2\n${set(old, `${certs}:${other}`)}`,
  'two directories in version 3': `version = 3\n${set(current, `${certs}:${other}`)}`,
  'the second of two directories': `version = 2\n${set(old, `/etc/none:${other}`)}`,
  'two directories and pulls by the CRI service': `version = 3\n[${current}]\nuse_local_image_pull = true\n${set(current, `${certs}:${other}`)}`,
  'two directories and another number of downloads': `version = 2\n[${old}]\nmax_concurrent_downloads = 5\n${set(old, `${certs}:${other}`)}`,
  'two directories and the same number of downloads': `version = 2\n[${old}]\nmax_concurrent_downloads = 3\n${set(old, `${certs}:${other}`)}`,
  'two directories and credentials': `version = 2\n${set(old, `${certs}:${other}`)}[${old}.registry.configs."registry.test".auth]\nusername = "a"\npassword = "b"\n`,
  'two directories and unpacked layers': `version = 2\n[${old}.containerd]\ndiscard_unpacked_layers = true\n${set(old, `${certs}:${other}`)}`,
  'two directories and snapshot annotations': `version = 2\n[${old}.containerd]\ndisable_snapshot_annotations = false\n${set(old, `${certs}:${other}`)}`,
  'no directory and pulls by the CRI service': `version = 3\n[${current}]\nuse_local_image_pull = true\n`,
  'no directory and credentials': `version = 2\n[${old}.registry.configs."registry.test".auth]\nusername = "a"\npassword = "b"\n`,
  'an empty path': `version = 3\n${set(current, '')}`,
  'an empty path and a directory': `version = 2\n${set(old, `:${certs}`)}`,
  'a directory that does not exist': `version = 3\n${set(current, '/etc/none')}`,
  'mirrors in version 2': `version = 2\n${mirrors(old)}`,
  'mirrors in version 3': `version = 3\n${mirrors(current)}`,
  'mirrors in version 3 with the old section': `version = 3\n${mirrors(old)}`,
  'mirrors and a directory': `version = 2\n${set(old)}${mirrors(old)}`,
  'a misspelt key': `version = 2\n[${old}.registry]\nconfigpath = "${certs}"\n`,
  'a path that is a number': `version = 2\n[${old}.registry]\nconfig_path = 1\n`,
  'broken TOML': `version = 2\n[${old}\n`,
  'the CRI service disabled without a version': 'disabled_plugins = ["cri"]\n',
  'the CRI service disabled by its old name': 'version = 2\ndisabled_plugins = ["cri"]\n',
  'the CRI service disabled': 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n',
  'an import that does not exist': `version = 2\n${imports('/etc/containerd/none.toml')}${set(old)}`,
}

/** The main file and its drop-ins. */
const withDropIns: Readonly<Record<string, readonly [string, ...string[]]>> = {
  'a drop-in without imports': ['version = 2\n', `version = 2\n${set(old)}`],
  'a drop-in without imports in version 3': ['version = 3\n', `version = 3\n${set(current)}`],
  'a drop-in': [`version = 2\n${dropIns}`, `version = 2\n${set(old)}`],
  'a drop-in of version 3': [`version = 3\n${dropIns}`, `version = 3\n${set(current)}`],
  'a drop-in with a relative import': [
    `version = 2\n${imports('conf.d/*.toml')}`,
    `version = 2\n${set(old)}`,
  ],
  'a drop-in of version 3 with a directory, for a file of version 2': [
    `version = 2\n${dropIns}${set(old)}`,
    `version = 3\n${set(current, other)}`,
  ],
  'a drop-in of version 3 without a directory, for a file of version 2': [
    `version = 2\n${dropIns}${set(old)}`,
    'version = 3\n',
  ],
  'a drop-in of version 2 with a directory, for a file of version 3': [
    `version = 3\n${dropIns}${set(current)}`,
    `version = 2\n${set(old, other)}`,
  ],
  'a drop-in of version 2 without a directory, for a file of version 3': [
    `version = 3\n${dropIns}${set(current)}`,
    'version = 2\n',
  ],
  'a drop-in of version 2 with the new section, for a file of version 3': [
    `version = 3\n${dropIns}${set(current)}`,
    `version = 2\n${set(current, other)}`,
  ],
  'a drop-in without a version and a directory': [
    `version = 2\n${dropIns}${set(old)}`,
    'oom_score = 0\n',
  ],
  'a drop-in without a version, for a file of version 3': [`version = 3\n${dropIns}`, set(current)],
  'a drop-in without a version, for a file of version 2': [`version = 2\n${dropIns}`, set(old)],
  'a drop-in for a file without a version': [dropIns, `version = 2\n${set(old)}`],
  'a drop-in of version 3 for a file without a version': [dropIns, `version = 3\n${set(current)}`],
  'a drop-in with another key of the section': [
    `version = 2\n${dropIns}${set(old)}`,
    `version = 2\n[${old}]\nsandbox_image = "registry.test/pause:1"\n`,
  ],
  'a drop-in with another key of the new section': [
    `version = 3\n${dropIns}${set(current)}`,
    `version = 3\n[${current}]\nmax_concurrent_downloads = 3\n`,
  ],
  'a drop-in with another directory': [
    `version = 2\n${dropIns}${set(old)}`,
    `version = 2\n${set(old, other)}`,
  ],
  'two drop-ins': [
    `version = 2\n${dropIns}`,
    `version = 2\n${set(old, other)}`,
    `version = 2\n${set(old)}`,
  ],
  'a drop-in with mirrors': [`version = 2\n${dropIns}${set(old)}`, `version = 2\n${mirrors(old)}`],
  'a broken drop-in': [`version = 2\n${dropIns}${set(old)}`, '[\n'],
}

const main = '/etc/containerd/config.toml'

export const configCases: readonly ConfigCase[] = [
  { name: 'no file', files: directories },
  {
    name: 'a drop-in without a main file',
    files: { ...directories, '/etc/containerd/conf.d/1.toml': `version = 2\n${set(old)}` },
  },
  {
    name: 'an import of an import',
    files: {
      ...directories,
      [main]: `version = 2\n${imports('/etc/containerd/a.toml')}`,
      '/etc/containerd/a.toml': `version = 2\n${imports('b.toml', '/etc/containerd/config.toml')}`,
      '/etc/containerd/b.toml': `version = 2\n${set(old)}`,
    },
  },
  ...Object.entries(mainFiles).map(([name, text]) => ({
    name,
    files: { ...directories, [main]: text },
  })),
  ...Object.entries(withDropIns).map(([name, [text, ...more]]) => ({
    name,
    files: {
      ...directories,
      [main]: text,
      ...Object.fromEntries(
        more.map((each, index) => [`/etc/containerd/conf.d/${index + 1}.toml`, each]),
      ),
    },
  })),
]
