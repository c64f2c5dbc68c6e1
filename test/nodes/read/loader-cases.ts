/** Valid and invalid node files. The answers of the runtimes' own loaders are in test/fixtures/nodes/loaders.json. */
export type Loader = 'containerd1' | 'containerd2' | 'crio' | 'crioShort' | 'k3s' | 'talos'

export interface LoaderCase {
  readonly name: string
  readonly loader: Loader
  /** By path in the target's directory; null for a directory without a file. */
  readonly files: Readonly<Record<string, string | null>>
  /** A registry for containerd and Talos, an image for the other loaders. */
  readonly ask: string
}

/** The key of a case's answer. */
export function keyOf({ loader, name }: LoaderCase): string {
  return `${loader}: ${name}`
}

export interface LoaderAnswer {
  readonly places?: readonly string[]
  /** The images that K3s asks http endpoints for. */
  readonly images?: readonly string[]
  readonly error?: string
}

const upstream = 'server = "https://registry-1.docker.io"\n'
const mirror = '[host."http://anubis:32000"]\n'

const hostsTomls: Readonly<Record<string, string>> = {
  'one mirror': `${upstream}${mirror}capabilities = ["pull", "resolve"]\n`,
  'two mirrors': `${upstream}[host."http://b:1"]\n[host."http://a:1"]\n`,
  'no server': mirror,
  'server without host table': upstream,
  'an empty file': '',
  'a comment only': '# nothing\n',
  'an inline host': `${upstream}host = { "http://anubis:32000" = { capabilities = ["pull"] } }\n`,
  'a url inside [host]': `${upstream}[host]\n"http://anubis:32000" = { capabilities = ["pull"] }\n`,
  'dotted keys under [host]': `${upstream}[host]\n"http://anubis:32000".capabilities = ["pull"]\n`,
  'a [host] line before the headers': `${upstream}[host]\n[host.'http://anubis:32000']\ncapabilities = ['pull']\n`,
  'a host with a header': `${upstream}${mirror}[host."http://anubis:32000".header]\nX-A = "b"\n`,
  'a header apart from its host': `${upstream}${mirror}[host."http://b:1"]\n[host."http://anubis:32000".header]\nX-A = ["b"]\n`,
  'only a header': `${upstream}[host."http://anubis:32000".header]\nX-A = "b"\n`,
  'the server among the hosts': `server = "http://anubis:32000"\n${mirror}`,
  'broken TOML': `${upstream}[host."http://anubis:32000"\n`,
  'a key after the tables': `${mirror}${upstream}`,
  'an unknown capability': `${upstream}${mirror}capabilities = ["pul"]\n`,
  'capabilities in upper case': `${upstream}${mirror}capabilities = ["PULL"]\n`,
  'capabilities as text': `${upstream}${mirror}capabilities = "pull"\n`,
  'numbers as capabilities': `${upstream}${mirror}capabilities = [1]\n`,
  'a slip in capabilities': `${upstream}${mirror}capabilites = ["pull"]\n`,
  'no capabilities': `${upstream}${mirror}capabilities = []\n`,
  'pull alone': `${upstream}${mirror}capabilities = ["pull"]\n`,
  'a bad timeout': `${upstream}${mirror}dial_timeout = "2"\n`,
  'a good timeout': `${upstream}${mirror}dial_timeout = "1m2.5s"\n`,
  'a number for a timeout': `${upstream}${mirror}dial_timeout = 2\n`,
  'a path': `${upstream}[host."http://anubis:32000/docker.io"]\n`,
  'a path behind v2': `${upstream}[host."http://anubis:32000/v2/docker.io"]\n`,
  'a path behind v2 that is whole': `${upstream}[host."http://anubis:32000/v2/docker.io"]\noverride_path = true\n`,
  'a path that ends in v2': `${upstream}[host."http://anubis:32000/x/v2"]\n`,
  'a slash at the end': `${upstream}[host."http://anubis:32000/"]\n`,
  'two slashes': `${upstream}[host."http://anubis:32000//a/../b/"]\n`,
  'override without a path': `${upstream}[host."http://anubis:32000"]\noverride_path = true\n`,
  'override that is text': `${upstream}${mirror}override_path = "true"\n`,
  'no scheme': `${upstream}[host."anubis:32000"]\n`,
  'a server without scheme': `server = "mirror.lan/v2/docker.io"\n[host."http://a:1"]\n`,
  'http with skip_verify': `${upstream}${mirror}skip_verify = true\n`,
  'http on port 80 with skip_verify': `${upstream}[host."http://anubis:80"]\nskip_verify = true\n`,
  'skip_verify that is text': `${upstream}${mirror}skip_verify = "yes"\n`,
  'a ca that is a number': `${upstream}${mirror}ca = 1\n`,
  'a client that is a number': `${upstream}${mirror}client = 1\n`,
  'a triple as client': `${upstream}[host."https://m"]\nclient = [["a", "b", "c"]]\n`,
  'a header that is a number': `${upstream}[host."http://m:1".header]\nX = 1\n`,
  'a server that is a number': `server = 1\n${mirror}`,
  'root keys for the server': `server = "http://m:1/v2/p"\noverride_path = true\ncapabilities = ["pull", "resolve"]\n[host."http://a:1"]\n`,
  'root keys without a server': `capabilities = ["pull"]\n${mirror}`,
  'hosts in a list': `${upstream}[[host]]\nurl = "http://a:1"\n`,
  'host URLs in a list': `${upstream}[[host."http://a:1"]]\n`,
  'a header in a long text': `${upstream}${mirror}[host."http://b:1".header]\nX = """\n[host."http://c:1"]\n"""\n`,
  'a comment after the header': `${upstream}[host."http://a:1"] # first\n[ host . "http://b:1" ]\n`,
  'windows line ends': `${upstream}[host."http://a:1"]\r\ncapabilities = ["pull"]\r\n`,
  'a bare key': `${upstream}[host.mirror]\n`,
  'an unknown root key': `mirrors = ["http://a:1"]\n${upstream}${mirror}`,
  'an unknown scheme': `${upstream}[host."ftp://a:1"]\n`,
}

const trees: Readonly<Record<string, [Record<string, string | null>, string]>> = {
  'nothing for Docker Hub': [{}, 'docker.io'],
  'nothing for another': [{}, 'ghcr.io'],
  'nothing for loopback': [{}, 'localhost:5000'],
  'nothing for loopback on 80': [{}, '127.0.0.1:80'],
  'nothing for loopback on 443': [{}, 'localhost:443'],
  'nothing for loopback without a port': [{}, 'localhost'],
  _default: [{ 'certs.d/_default/hosts.toml': mirror }, 'ghcr.io'],
  '_default hidden by an empty directory': [
    { 'certs.d/_default/hosts.toml': mirror, 'certs.d/ghcr.io': null },
    'ghcr.io',
  ],
  'underscores before a colon': [
    {
      'certs.d/anubis_32000_/hosts.toml': '[host."http://a:1"]\n',
      'certs.d/anubis:32000/hosts.toml': '[host."http://b:1"]\n',
    },
    'anubis:32000',
  ],
  'a colon': [{ 'certs.d/anubis:32000/hosts.toml': '[host."http://b:1"]\n' }, 'anubis:32000'],
  'another name of Docker Hub': [
    { 'certs.d/registry-1.docker.io/hosts.toml': '[host."http://b:1"]\n' },
    'docker.io',
  ],
  'a wildcard': [{ 'certs.d/*.io/hosts.toml': '[host."http://b:1"]\n' }, 'ghcr.io'],
}

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`
const confFile = 'registries.conf.d/50-berth.conf'
const registry = (text: string) => `[[registry]]\n${text}\n`

const confs: Readonly<Record<string, [Record<string, string>, string]>> = {
  'no files': [{}, 'docker.io/library/a:1'],
  'one mirror': [
    {
      [confFile]: `${registry('prefix = "docker.io"\nlocation = "docker.io"')}[[registry.mirror]]\nlocation = "anubis:32000/docker.io"\ninsecure = true\n`,
    },
    'nginx:1',
  ],
  'a mirror for digests, and a tag': [
    {
      [confFile]: `${registry('location = "docker.io"')}[[registry.mirror]]\nlocation = "m.lan"\npull-from-mirror = "digest-only"\n`,
    },
    'docker.io/library/a:1',
  ],
  'a mirror for digests, and a digest': [
    {
      [confFile]: `${registry('location = "docker.io"')}[[registry.mirror]]\nlocation = "m.lan"\npull-from-mirror = "digest-only"\n`,
    },
    `docker.io/library/a@${digest}`,
  ],
  'a mirror for tags, and a digest': [
    {
      [confFile]: `${registry('location = "docker.io"')}[[registry.mirror]]\nlocation = "m.lan"\npull-from-mirror = "tag-only"\n`,
    },
    `docker.io/library/a@${digest}`,
  ],
  'mirror-by-digest-only': [
    {
      [confFile]: `${registry('location = "docker.io"\nmirror-by-digest-only = true')}[[registry.mirror]]\nlocation = "m.lan"\n`,
    },
    'docker.io/library/a:1',
  ],
  'both ways to say digests': [
    {
      [confFile]: `${registry('location = "docker.io"\nmirror-by-digest-only = true')}[[registry.mirror]]\nlocation = "m.lan"\npull-from-mirror = "all"\n`,
    },
    'docker.io/library/a:1',
  ],
  'an unknown pull-from-mirror': [
    {
      [confFile]: `${registry('location = "docker.io"')}[[registry.mirror]]\nlocation = "m.lan"\npull-from-mirror = "never"\n`,
    },
    'docker.io/library/a:1',
  ],
  'the longest prefix': [
    {
      [confFile]:
        registry('prefix = "ghcr.io"\nlocation = "a.lan"') +
        registry('prefix = "ghcr.io/acme"\nlocation = "b.lan/x"'),
    },
    'ghcr.io/acme/app:1',
  ],
  'a prefix that ends within a segment': [
    { [confFile]: registry('prefix = "ghcr.io/ac"\nlocation = "b.lan/x"') },
    'ghcr.io/acme/app:1',
  ],
  'a host without its port': [
    { [confFile]: registry('prefix = "example.com"\nlocation = "b.lan"') },
    'example.com:5000/a/b:1',
  ],
  'a wildcard': [{ [confFile]: registry('prefix = "*.example.com"') }, 'a.b.example.com/x/y:1'],
  'a wildcard and its own domain': [
    { [confFile]: registry('prefix = "*.example.com"\nblocked = true') },
    'example.com/x/y:1',
  ],
  'a wildcard with a mirror': [
    {
      [confFile]: `${registry('prefix = "*.example.com"')}[[registry.mirror]]\nlocation = "m.lan/all"\n`,
    },
    'a.example.com/x/y:1',
  ],
  'a wildcard with a path': [
    { [confFile]: registry('prefix = "*.example.com/x"\nlocation = "b.lan"') },
    'a.example.com/x/y:1',
  ],
  'a scheme': [{ [confFile]: registry('location = "https://docker.io"') }, 'docker.io/library/a:1'],
  'a scheme in a mirror': [
    {
      [confFile]: `${registry('location = "docker.io"')}[[registry.mirror]]\nlocation = "http://m:1"\n`,
    },
    'docker.io/library/a:1',
  ],
  'a mirror without dot and port': [
    {
      [confFile]: `${registry('location = "docker.io"')}[[registry.mirror]]\nlocation = "mirror/docker.io"\n`,
    },
    'docker.io/library/a:1',
  ],
  'a slip in mirror': [
    { [confFile]: registry('location = "docker.io"\nmirrors = ["m.lan"]') },
    'docker.io/library/a:1',
  ],
  'no prefix and no location': [
    { [confFile]: registry('insecure = true') },
    'docker.io/library/a:1',
  ],
  'a prefix without location': [
    { [confFile]: registry('prefix = "docker.io"') },
    'docker.io/library/a:1',
  ],
  'one prefix twice in a file': [
    {
      [confFile]:
        registry('prefix = "quay.io"\nlocation = "a.lan"') +
        registry('prefix = "quay.io"\nlocation = "b.lan"'),
    },
    'quay.io/x/y:1',
  ],
  'one location twice, insecure once': [
    {
      [confFile]:
        registry('prefix = "quay.io/a"\nlocation = "m.lan"\ninsecure = true') +
        registry('prefix = "quay.io/b"\nlocation = "m.lan"'),
    },
    'quay.io/a/y:1',
  ],
  'one prefix in two files': [
    {
      'registries.conf.d/10-a.conf': `${registry('location = "quay.io"')}[[registry.mirror]]\nlocation = "a.lan"\n`,
      'registries.conf.d/20-b.conf': `${registry('location = "quay.io"')}[[registry.mirror]]\nlocation = "b.lan"\n`,
    },
    'quay.io/x/y:1',
  ],
  'a drop-in over registries.conf': [
    {
      'registries.conf': `${registry('location = "quay.io"')}[[registry.mirror]]\nlocation = "a.lan"\n`,
      'registries.conf.d/20-b.conf': registry('location = "quay.io"\ninsecure = true'),
    },
    'quay.io/x/y:1',
  ],
  'a blocked source with a mirror': [
    {
      [confFile]: `${registry('location = "quay.io"\nblocked = true')}[[registry.mirror]]\nlocation = "a.lan"\n`,
    },
    'quay.io/x/y:1',
  ],
  'a mirror within a blocked source': [
    {
      [confFile]: `${registry('location = "quay.io"\nblocked = true')}[[registry.mirror]]\nlocation = "quay.io/mirror"\n`,
    },
    'quay.io/x/y:1',
  ],
  'one table instead of a list': [
    { [confFile]: '[registry]\nlocation = "quay.io"\n' },
    'quay.io/x/y:1',
  ],
  'insecure as text': [
    { [confFile]: registry('location = "quay.io"\ninsecure = "yes"') },
    'quay.io/x/y:1',
  ],
  'broken TOML': [{ [confFile]: '[[registry]\n' }, 'quay.io/x/y:1'],
  'version 1': [
    { [confFile]: '[registries.search]\nregistries = ["docker.io"]\n' },
    'quay.io/x/y:1',
  ],
  'a slash at the end': [
    { [confFile]: registry('prefix = "quay.io/"\nlocation = "a.lan/"') },
    'quay.io/x/y:1',
  ],
}

const search = (...registries: string[]) =>
  `unqualified-search-registries = ${JSON.stringify(registries)}\n`

/** Images without a registry, as CRI-O gets them from the kubelet. */
const shortNames: Readonly<Record<string, [Record<string, string>, string]>> = {
  'no search registry': [{ [confFile]: '' }, 'nginx:1'],
  'no file': [{}, 'nginx:1'],
  'Docker Hub': [{ [confFile]: search('docker.io') }, 'nginx:1'],
  'Docker Hub and a path': [{ [confFile]: search('docker.io') }, 'acme/app:1'],
  'another registry': [{ [confFile]: search('quay.io') }, 'nginx:1'],
  'two registries': [{ [confFile]: search('quay.io', 'docker.io') }, 'nginx:1'],
  'a registry with a mirror': [
    {
      [confFile]: `${search('docker.io')}${registry('location = "docker.io"')}[[registry.mirror]]\nlocation = "m.lan/docker.io"\n`,
    },
    'nginx:1',
  ],
  'a digest': [{ [confFile]: search('docker.io') }, `nginx@${digest}`],
  'a full name': [{ [confFile]: search('quay.io') }, 'docker.io/nginx:1'],
  'a port': [{ [confFile]: search('quay.io') }, 'anubis:32000/nginx:1'],
  localhost: [{ [confFile]: search('quay.io') }, 'localhost/nginx:1'],
  'a list in two files': [
    {
      'registries.conf': search('quay.io'),
      'registries.conf.d/20-b.conf': search('docker.io'),
    },
    'nginx:1',
  ],
  'a list that a drop-in empties': [
    { 'registries.conf': search('quay.io'), 'registries.conf.d/20-b.conf': search() },
    'nginx:1',
  ],
  'a list that a drop-in does not have': [
    { 'registries.conf': search('quay.io'), 'registries.conf.d/20-b.conf': '' },
    'nginx:1',
  ],
  'an alias': [
    {
      [confFile]: `${search('docker.io')}[aliases]\nfedora = "registry.fedoraproject.org/fedora"\n`,
    },
    'fedora:42',
  ],
  'an alias for a name with a path': [
    { [confFile]: '[aliases]\n"acme/app" = "quay.io/acme/app"\n' },
    'acme/app:1',
  ],
  'an alias that a drop-in resets': [
    {
      'registries.conf': `${search('docker.io')}[aliases]\nfedora = "quay.io/fedora/fedora"\n`,
      'registries.conf.d/20-b.conf': '[aliases]\nfedora = ""\n',
    },
    'fedora:42',
  ],
  'an alias with a tag': [{ [confFile]: '[aliases]\na = "quay.io/a/a:1"\n' }, 'a:1'],
  'an alias without a registry': [{ [confFile]: '[aliases]\na = "b"\n' }, 'a:1'],
  'an alias for a full name': [{ [confFile]: '[aliases]\n"quay.io/a" = "quay.io/b"\n' }, 'a:1'],
  'a search registry with a slash': [{ [confFile]: search('quay.io/') }, 'nginx:1'],
  'a search registry with a path': [{ [confFile]: search('quay.io/acme') }, 'nginx:1'],
  'a search registry with a scheme': [{ [confFile]: search('https://quay.io') }, 'nginx:1'],
  'a search registry with a port': [{ [confFile]: search('anubis:32000') }, 'nginx:1'],
  'a list that is text': [{ [confFile]: 'unqualified-search-registries = "quay.io"\n' }, 'nginx:1'],
}

const yamls: Readonly<Record<string, [string, string]>> = {
  'one mirror': [
    'mirrors:\n  docker.io:\n    endpoint: ["http://anubis:32000/v2/docker.io"]\n',
    'docker.io/library/a:1',
  ],
  'a mirror without a path': [
    'mirrors:\n  ghcr.io:\n    endpoint: ["http://anubis:32000"]\n',
    'ghcr.io/acme/a:1',
  ],
  'a mirror with a slash': [
    'mirrors:\n  ghcr.io:\n    endpoint: ["http://anubis:32000/"]\n',
    'ghcr.io/acme/a:1',
  ],
  'two mirrors': [
    'mirrors:\n  ghcr.io:\n    endpoint: ["http://b:1", "http://a:1/v2"]\n',
    'ghcr.io/acme/a:1',
  ],
  'the wildcard': ['mirrors:\n  "*":\n    endpoint: ["http://m:1"]\n', 'ghcr.io/acme/a:1'],
  'a host before the wildcard': [
    'mirrors:\n  "*":\n    endpoint: ["http://m:1"]\n  ghcr.io:\n    endpoint: ["http://n:1"]\n',
    'ghcr.io/acme/a:1',
  ],
  'a listed host without endpoints': [
    'mirrors:\n  "*":\n    endpoint: ["http://m:1"]\n  ghcr.io:\n',
    'ghcr.io/acme/a:1',
  ],
  'the port of https': [
    'mirrors:\n  "ghcr.io:443":\n    endpoint: ["http://m:1"]\n',
    'ghcr.io/acme/a:1',
  ],
  'no scheme': ['mirrors:\n  ghcr.io:\n    endpoint: ["anubis.lan:5000"]\n', 'ghcr.io/acme/a:1'],
  'the registry itself': [
    'mirrors:\n  "anubis:32000":\n    endpoint: ["http://anubis:32000"]\n',
    'anubis:32000/a/b:1',
  ],
  nothing: ['', 'quay.io/a/b:1'],
  'an empty key': ['mirrors:\n  "":\n    endpoint: ["http://m:1"]\n', 'ghcr.io/acme/a:1'],
  'the key registry-1.docker.io': [
    'mirrors:\n  registry-1.docker.io:\n    endpoint: ["http://m:1"]\n',
    'docker.io/library/a:1',
  ],
  'a rewrite': [
    'mirrors:\n  docker.io:\n    endpoint: ["http://m:1"]\n    rewrite:\n      "^rancher/(.*)": "proxy/rancher/$1"\n',
    'docker.io/rancher/pause:3.6',
  ],
  'a rewrite of everything': [
    'mirrors:\n  docker.io:\n    endpoint: ["http://m:1"]\n    rewrite:\n      "(.*)": "hub/$1"\n',
    'docker.io/library/nginx:1',
  ],
  'a rewrite that does not match': [
    'mirrors:\n  docker.io:\n    endpoint: ["http://m:1"]\n    rewrite:\n      "^rancher/(.*)": "proxy/$1"\n',
    'docker.io/library/nginx:1',
  ],
  'a rewrite of the middle': [
    'mirrors:\n  ghcr.io:\n    endpoint: ["http://m:1"]\n    rewrite:\n      "acme": "other"\n',
    'ghcr.io/acme/acme-app:1',
  ],
  'a rewrite with braces': [
    'mirrors:\n  ghcr.io:\n    endpoint: ["http://m:1"]\n    rewrite:\n      "^(acme)/(.*)$": "x/${1}y/${2}"\n',
    'ghcr.io/acme/app:1',
  ],
  'a rewrite with a name that takes a letter too much': [
    'mirrors:\n  ghcr.io:\n    endpoint: ["http://m:1"]\n    rewrite:\n      "^(acme)/(.*)$": "x/$1y/$2"\n',
    'ghcr.io/acme/app:1',
  ],
  'a rewrite with a named group': [
    'mirrors:\n  ghcr.io:\n    endpoint: ["http://m:1"]\n    rewrite:\n      "^(?P<org>[a-z]+)/": "$org-mirror/"\n',
    'ghcr.io/acme/app:1',
  ],
  'a rewrite with flags': [
    'mirrors:\n  ghcr.io:\n    endpoint: ["http://m:1"]\n    rewrite:\n      "(?i)ACME": "other"\n',
    'ghcr.io/acme/app:1',
  ],
  'a rewrite with empty matches': [
    'mirrors:\n  ghcr.io:\n    endpoint: ["http://m:1"]\n    rewrite:\n      "c*": "x"\n',
    'ghcr.io/acme/app:1',
  ],
  'a rewrite that Go does not compile': [
    'mirrors:\n  ghcr.io:\n    endpoint: ["http://m:1"]\n    rewrite:\n      "(?=acme)": "other"\n',
    'ghcr.io/acme/app:1',
  ],
  'a rewrite for every host': [
    'mirrors:\n  "*":\n    endpoint: ["http://m:1"]\n    rewrite:\n      "^(.*)": "all/$1"\n',
    'ghcr.io/acme/app:1',
  ],
  'a rewrite and a path': [
    'mirrors:\n  ghcr.io:\n    endpoint: ["http://m:1/v2/ghcr"]\n    rewrite:\n      "^acme/(.*)": "x/$1"\n',
    'ghcr.io/acme/app:1',
  ],
  'a rewrite to two endpoints': [
    'mirrors:\n  ghcr.io:\n    endpoint: ["http://m:1", "http://n:1"]\n    rewrite:\n      "^acme/(.*)": "x/$1"\n',
    'ghcr.io/acme/app:1',
  ],
  'broken YAML': ['mirrors: [\n', 'quay.io/a/b:1'],
}

/** The cases that are not rendered from a table. containerd's run with both versions, because rendered files must mean the same to both. */
export const handMade: readonly LoaderCase[] = [
  ...(['containerd1', 'containerd2'] as const).flatMap((loader) => [
    ...Object.entries(hostsTomls).map(([name, text]) => ({
      name,
      loader,
      files: { 'certs.d/docker.io/hosts.toml': text },
      ask: 'docker.io',
    })),
    ...Object.entries(trees).map(([name, [files, ask]]) => ({
      name: `tree: ${name}`,
      loader,
      files,
      ask,
    })),
  ]),
  ...Object.entries(confs).map(([name, [files, ask]]) => ({
    name,
    loader: 'crio' as const,
    files,
    ask,
  })),
  ...Object.entries(shortNames).map(([name, [files, ask]]) => ({
    name,
    loader: 'crioShort' as const,
    files,
    ask,
  })),
  ...Object.entries(yamls).map(([name, [text, ask]]) => ({
    name,
    loader: 'k3s' as const,
    files: { 'registries.yaml': text },
    ask,
  })),
]
