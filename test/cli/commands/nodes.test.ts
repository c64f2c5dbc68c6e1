import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { berth } from '../../support/io.ts'
import { tables } from '../../nodes/rendered-tables.ts'

function machine(files: Readonly<Record<string, string>> = {}) {
  const root = mkdtempSync(join(tmpdir(), 'berth-nodes-'))
  const path = (file: string) => join(root, file)
  const put = (file: string, text: string) => {
    mkdirSync(dirname(path(file)), { recursive: true })
    writeFileSync(path(file), text)
  }
  for (const [file, text] of Object.entries(files)) put(file, text)
  const config = join(mkdtempSync(join(tmpdir(), 'berth-nodes-')), 'berth.yaml')
  const table = (name: string) => writeFileSync(config, tables[name] ?? '')
  table('anubis')
  const nodes = (verb: string, ...args: string[]) =>
    berth([
      'nodes',
      verb,
      '--root',
      root,
      ...(args.includes('--rollback') ? [] : ['--config', config]),
      ...args,
    ])
  const read = (file: string) => (existsSync(path(file)) ? readFileSync(path(file), 'utf8') : null)
  return { root, put, read, table, nodes, config }
}

const hub = '/etc/containerd/certs.d/docker.io/hosts.toml'
const own = '/etc/containerd/certs.d/anubis:32000/hosts.toml'
const quay = '/etc/containerd/certs.d/quay.io/hosts.toml'
const state = '/var/lib/berth/nodes/containerd.json'
const configured = {
  '/etc/containerd/config.toml':
    'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"\n',
}

describe('berth nodes apply', () => {
  it('restores the mode of a file that was removed in the meantime', async () => {
    const { nodes, read, root } = machine({ ...configured, [hub]: 'server = "https://theirs"\n' })
    chmodSync(join(root, hub), 0o600)
    await nodes('apply')
    rmSync(join(root, hub))
    await nodes('apply', '--rollback')

    expect(read(hub)).toBe('server = "https://theirs"\n')
    expect(statSync(join(root, hub)).mode & 0o777).toBe(0o600)
  })

  it('writes the files, and restores the originals on rollback', async () => {
    const { nodes, read, root } = machine({ ...configured, [hub]: 'server = "https://theirs"\n' })
    const applied = await nodes('apply')

    expect(applied).toMatchObject({ code: 0 })
    expect(applied.stdout).toBe(
      `created  ${own}\nreplaced  ${hub}\ncreated  /etc/containerd/certs.d/ghcr.io/hosts.toml\n`,
    )
    expect(applied.stderr).toContain('no restart')
    expect(await nodes('check')).toMatchObject({ code: 0, stderr: '' })
    expect(statSync(join(root, state)).mode & 0o777).toBe(0o600)

    const undone = await nodes('apply', '--rollback')

    expect(undone).toMatchObject({ code: 0 })
    expect(read(hub)).toBe('server = "https://theirs"\n')
    expect(existsSync(join(root, dirname(own)))).toBe(false)
    expect(read(state)).toBe(null)
  })

  it('writes nothing the second time and in a dry run', async () => {
    const { nodes, read } = machine(configured)
    const dry = await nodes('apply', '--dry-run')

    expect(dry.stdout).toContain(`would create  ${hub}`)
    expect(read(hub)).toBe(null)
    await nodes('apply')
    const { stdout, stderr } = await nodes('apply')
    expect(stdout.match(/unchanged/g)).toHaveLength(3)
    expect(stderr).not.toContain('restart')
  })

  it('restores files that another table no longer renders, and keeps their first original', async () => {
    const { nodes, read, table } = machine({ ...configured, [quay]: 'server = "https://theirs"\n' })
    table('layout')
    await nodes('apply')
    expect(read(quay)).toContain('Written by berth')
    table('anubis')
    const { stdout } = await nodes('apply')

    expect(stdout).toContain(`restored  ${quay}`)
    expect(read(quay)).toBe('server = "https://theirs"\n')
    await nodes('apply', '--rollback')
    expect(read(hub)).toBe(null)
    expect(read(quay)).toBe('server = "https://theirs"\n')
  })

  it('leaves a file that someone else modified, unless --force is set', async () => {
    const { nodes, read, put } = machine(configured)
    await nodes('apply')
    put(hub, '# mine\n')

    expect(await nodes('apply')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`nodes-changed: ${hub}`) as string,
    })
    const undone = await nodes('apply', '--rollback')
    expect(undone).toMatchObject({
      code: 1,
      stdout: expect.stringContaining(`modified by someone else, left as it is  ${hub}`) as string,
    })
    expect([read(hub), read(own)]).toEqual(['# mine\n', null])
    expect(await nodes('apply', '--rollback', '--force')).toMatchObject({ code: 0 })
    expect(read(hub)).toBe(null)
  })

  it('writes nothing if one of the files cannot be written', async () => {
    const { nodes, read, put, root } = machine({
      ...configured,
      [hub]: 'server = "https://theirs"\n',
    })
    put('/etc/containerd/certs.d/ghcr.io', 'a file where a directory should be\n')
    chmodSync(join(root, '/etc/containerd/certs.d'), 0o755)
    const { code, stderr } = await nodes('apply')

    expect(code).toBe(2)
    expect(stderr).toContain('nodes-unwritable')
    expect(read(hub)).toBe('server = "https://theirs"\n')
    expect(existsSync(join(root, dirname(own)))).toBe(false)
  })

  it("merges into K3s' registries.yaml and keeps its passwords", async () => {
    const file = '/etc/rancher/k3s/registries.yaml'
    const theirs = `# ours since 2024\nmirrors:\n  docker.io:\n    endpoint: [https://old.lan]\n  quay.io: { endpoint: [https://q.lan] }\nconfigs:\n  old.lan: { auth: { username: me, password: hush-hush } }\n`
    const { nodes, read } = machine({ [file]: theirs })
    const applied = await nodes('apply')

    expect(applied.code).toBe(0)
    expect(applied.stderr).toContain('restart k3s on every node')
    expect(applied.stdout + applied.stderr).not.toContain('hush')
    expect(read(file)).toContain('# ours since 2024')
    expect(parse(read(file) ?? '')).toEqual({
      mirrors: {
        'docker.io': { endpoint: ['http://anubis:32000'] },
        'quay.io': { endpoint: ['https://q.lan'] },
        'anubis:32000': { endpoint: ['http://anubis:32000'] },
        'ghcr.io': { endpoint: ['http://anubis:32000'] },
      },
      configs: { 'old.lan': { auth: { username: 'me', password: 'hush-hush' } } },
    })
    expect((await nodes('apply')).stdout).toBe(`unchanged  ${file}\n`)
    await nodes('apply', '--rollback')
    expect(read(file)).toBe(theirs)
  })

  it('applies what render printed, and refuses a path outside its directory', async () => {
    const { nodes, read, root, put } = machine(configured)
    const { stdout } = await berth([
      'nodes',
      'render',
      '--target',
      'containerd',
      '--config',
      machine().config,
      '-o',
      'json',
    ])
    put('/rendered.json', stdout)

    expect(await nodes('apply', '--rendered', join(root, 'rendered.json'))).toMatchObject({
      code: 0,
    })
    expect(read(hub)).toContain('anubis:32000')
    for (const path of ['../x', '/etc/passwd', 'a/../../x']) {
      put(
        '/rendered.json',
        JSON.stringify({ target: 'containerd', files: [{ path, content: '' }] }),
      )
      expect(await nodes('apply', '--rendered', join(root, 'rendered.json'))).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('has a file outside its directory') as string,
      })
    }
  })

  it('prints a DaemonSet that can write only its files', async () => {
    const { config } = machine()
    const { stdout, code } = await berth([
      'nodes',
      'apply',
      '--manifest',
      '--target',
      'microk8s',
      '--image',
      'berth:1',
      '--config',
      config,
    ])
    const [map, set] = parseAllDocuments(stdout).map((each) => each.toJS() as Record<string, never>)
    const again = await berth([
      'nodes',
      'apply',
      '--manifest',
      '--target',
      'microk8s',
      '--image',
      'berth:1',
      '--config',
      config,
    ])

    expect(code).toBe(0)
    expect(again.stdout).toBe(stdout)
    expect(map).toMatchObject({ kind: 'ConfigMap', metadata: { namespace: 'berth-system' } })
    expect(set).toMatchObject({
      kind: 'DaemonSet',
      spec: {
        template: {
          spec: {
            automountServiceAccountToken: false,
            containers: [
              {
                image: 'berth:1',
                securityContext: { readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
              },
            ],
            volumes: [
              { name: 'rendered' },
              { hostPath: { path: '/var/snap/microk8s/current/args/certs.d' } },
              { hostPath: { path: '/var/lib/berth' } },
            ],
          },
        },
      },
    })
  })
})

describe('berth nodes detect', () => {
  it.each([
    [
      'microk8s',
      { '/var/snap/microk8s/current/args/certs.d/docker.io/hosts.toml': '[host."http://a:1"]\n' },
    ],
    ['k3s', { '/etc/rancher/k3s/config.yaml': '' }],
    ['rke2', { '/etc/rancher/rke2/config.yaml': '' }],
    ['crio', { '/etc/crio/crio.conf': '' }],
    ['containerd', configured],
  ])('detects %s', async (target, files) => {
    const { root } = machine(files)
    const outcome = await berth(['nodes', 'detect', '--root', root, '-o', 'json'])
    expect(JSON.parse(outcome.stdout)).toMatchObject({ target })
    expect(outcome.code).toBe(0)
  })

  it('fails with nodes-undetected if there is no runtime', async () => {
    const outcome = await berth([
      'nodes',
      'detect',
      '--root',
      mkdtempSync(join(tmpdir(), 'berth-nodes-')),
    ])

    expect(outcome).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('nodes-undetected') as string,
    })
  })

  it.each<[string, Record<string, string>, string]>([
    [
      'config_path is not set',
      { '/etc/containerd/config.toml': 'version = 2\n' },
      'config_path is not set, and containerd takes its default',
    ],
    [
      'mirrors next to config_path',
      {
        '/etc/containerd/config.toml': `${configured['/etc/containerd/config.toml']}[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]\nendpoint = []\n`,
      },
      'containerd does not serve the kubelet with both',
    ],
    [
      'mirrors without config_path',
      {
        '/etc/containerd/config.toml':
          'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry.mirrors."docker.io"]\nendpoint = []\n',
      },
      'certs.d is not read',
    ],
    [
      'a broken config.toml',
      { '/etc/containerd/config.toml': '[\n' },
      'containerd does not start with it',
    ],
    [
      'two directories in config_path',
      {
        '/etc/containerd/config.toml':
          'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d:/etc/docker/certs.d"\n',
      },
      '2.0: /etc/containerd/certs.d, /etc/docker/certs.d; 2.1: no directory',
    ],
    [
      'a drop-in without imports',
      { ...configured, '/etc/containerd/conf.d/10-mirrors.toml': 'version = 2\n' },
      '/etc/containerd/conf.d/10-mirrors.toml: not read, because /etc/containerd/config.toml does not import it',
    ],
    [
      'an empty directory',
      { ...configured, '/etc/containerd/certs.d/ghcr.io/ca.crt': '' },
      'hides _default',
    ],
    [
      'an inline host',
      { ...configured, [hub]: 'host = { "http://a:1" = {} }\n' },
      'ignores http://a:1: it is not written as a [host."URL"] header',
    ],
    [
      'a misspelt key',
      { ...configured, [hub]: '[host."http://a:1"]\ncapabilites = ["pull"]\n' },
      'capabilites, an unknown key',
    ],
    ['a broken hosts.toml', { ...configured, [hub]: '[host\n' }, 'ignores the whole file'],
    [
      "another of Docker Hub's names",
      {
        ...configured,
        '/etc/containerd/certs.d/registry-1.docker.io/hosts.toml': '[host."http://a:1"]\n',
      },
      'never reads this directory',
    ],
    [
      'two spellings of a port',
      {
        ...configured,
        [own]: '[host."http://a:1"]\n',
        '/etc/containerd/certs.d/anubis_32000_/hosts.toml': '[host."http://a:1"]\n',
      },
      'uses anubis_32000_ instead',
    ],
    [
      'a scheme in registries.conf',
      {
        '/etc/crio/crio.conf': '',
        '/etc/containers/registries.conf.d/a.conf': '[[registry]]\nlocation = "https://a"\n',
      },
      'every pull fails',
    ],
    [
      'a rewrite of K3s that is not a regular expression',
      {
        '/etc/rancher/k3s/registries.yaml':
          'mirrors: { docker.io: { endpoint: ["http://a:1"], rewrite: { "(": b } } }\n',
      },
      'docker.io: rewrite ( is not a regular expression, and is ignored',
    ],
    [
      'a rewrite of K3s without an endpoint',
      { '/etc/rancher/k3s/registries.yaml': 'mirrors: { docker.io: { rewrite: { a: b } } }\n' },
      'docker.io: rewrite is ignored, because it applies only to endpoints',
    ],
    ...['index.docker.io', 'registry-1.docker.io'].map(
      (key): [string, Record<string, string>, string] => [
        `the key ${key} of K3s`,
        {
          '/etc/rancher/k3s/registries.yaml': `mirrors: { ${key}: { endpoint: ["http://a:1"] } }\n`,
        },
        `${key}: no image uses this key; images of Docker Hub use docker.io`,
      ],
    ),
    [
      'an empty key of K3s',
      { '/etc/rancher/k3s/registries.yaml': 'mirrors: { "": { endpoint: ["http://a:1"] } }\n' },
      '"": the key is empty, so no image uses it; use "*" for every registry',
    ],
    [
      'a URL as a key of RKE2',
      {
        '/etc/rancher/rke2/registries.yaml':
          'mirrors: { "https://ghcr.io": { endpoint: ["http://a:1"] } }\n',
      },
      'https://ghcr.io: the key is not a host',
    ],
    [
      'several search registries of CRI-O',
      {
        '/etc/crio/crio.conf': '',
        '/etc/containers/registries.conf':
          'unqualified-search-registries = ["quay.io", "docker.io"]\n',
      },
      'CRI-O 1.34 and later refuse images without a registry, such as nginx',
    ],
    [
      'another search registry than Docker Hub',
      {
        '/etc/crio/crio.conf': '',
        '/etc/containers/registries.conf': 'unqualified-search-registries = ["quay.io"]\n',
      },
      'images without a registry, such as nginx, are pulled from there, and the table means docker.io',
    ],
  ])('reports %s', async (_, files, message) => {
    const { root } = machine(files)
    const outcome = await berth(['nodes', 'detect', '--root', root])

    expect(outcome.stdout).toContain(message)
    expect(outcome.code).toBe(1)
  })
})

describe('berth nodes check', () => {
  it('shows both routes if they differ', async () => {
    const { nodes } = machine({
      ...configured,
      [hub]: 'server = "https://registry-1.docker.io"\n[host."http://other:1"]\n',
    })
    const { code, stdout } = await nodes('check', 'nginx:1')

    expect(code).toBe(1)
    expect(stdout).toBe(`DIFF  docker.io/library/nginx:1
      table 1  http://anubis:32000/v2/library/nginx:1
      table 2  https://registry-1.docker.io/v2/library/nginx:1
      node  1  http://other:1/v2/library/nginx:1
      node  2  https://registry-1.docker.io/v2/library/nginx:1
`)
  })

  it.each([
    ['containerd', 'anubis'],
    ['k3s', 'anubis'],
    ['crio', 'anubis'],
    ['containerd', 'elsewhere'],
    ['k3s', 'elsewhere'],
    ['crio', 'elsewhere'],
    ['crio', 'finer'],
    ['k3s', 'layout'],
  ])(
    'finds no difference in the files that render wrote for %s and the table %s',
    async (target, name) => {
      const { nodes, root, config, table } = machine()
      table(name)
      const out = join(root, 'out')
      await berth(['nodes', 'render', '--target', target, '--config', config, '--out', out])
      const { code, stdout } = await nodes('check', '--target', target, '--dir', out, '-o', 'json')

      expect(code).toBe(0)
      expect(JSON.parse(stdout)).toMatchObject({ target, findings: [] })
      expect(readdirSync(out).length).toBeGreaterThan(0)
    },
  )

  it('reports files that do not implement an air gap', async () => {
    const { nodes, root, config } = machine()
    const out = join(root, 'out')
    await berth(['nodes', 'render', '--target', 'containerd', '--config', config, '--out', out])

    expect((await nodes('check', '--target', 'containerd', '--dir', out, '--air-gap')).code).toBe(1)
    await berth([
      'nodes',
      'render',
      '--target',
      'containerd',
      '--config',
      config,
      '--out',
      out,
      '--air-gap',
    ])
    expect((await nodes('check', '--target', 'containerd', '--dir', out, '--air-gap')).code).toBe(0)
  })
})

describe('berth nodes', () => {
  it.each([
    [[], 'Usage: berth nodes'],
    [['render'], "required option '--target <name>' not specified"],
    [['render', '--target', 'docker'], 'Allowed choices are containerd,'],
    [
      ['render', '--target', 'k3s', '--air-gap', '--digest-only'],
      "'--air-gap' cannot be used with option '--digest-only'",
    ],
    [['render', '--target', 'k3s', '--target-version', 'new'], 'new is not a version'],
    [['apply', '--manifest', '--target', 'k3s'], '--manifest needs --image'],
    [
      ['apply', '--manifest', '--target', 'crio', '--image', 'a'],
      '--manifest needs --target, one of containerd, microk8s, k3s, rke2',
    ],
    [['check', 'A', '--target', 'k3s'], 'A: name-uppercase'],
  ])('rejects %j', async (args, message) => {
    const { config } = machine()
    const given = args.length === 0 ? [] : ['--config', config]
    const outcome = await berth(['nodes', ...args, ...given])

    expect(outcome.code).toBeGreaterThan(0)
    expect(outcome.stdout).toBe('')
    expect(outcome.stderr).toContain(message)
  })

  it('leaves out rows for some pods only, and writes no mirror for images that a row leaves unchanged', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'berth-nodes-')), 'berth.yaml')
    writeFileSync(
      file,
      `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: anubis:32000, endpoint: 'http://anubis:32000', mirror: true }]
fallback:
  - { name: databases, when: { namespaces: [db] }, images: ['docker.io/**'], leave: true }
  - { name: out, images: ['quay.io/**'], leave: true }
  - { name: rest, images: ['docker.io/**', 'quay.io/**'], try: ['anubis:32000/{host}/{path}'] }
`,
    )
    const args = ['nodes', 'render', '--target', 'k3s', '--config', file]
    const refused = await berth(args)
    const partial = await berth([...args, '--allow-partial'])

    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain(
      `${file}:5:24: error: fallback[0].when: row databases is for some pods only (namespaces db)`,
    )
    expect(partial.stdout).toContain('http://anubis:32000/v2/docker.io')
    expect(partial.stdout).not.toContain('anubis:32000/v2/quay.io')
  })

  it('reports the line of each omission, and leaves it out with --allow-partial', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'berth-nodes-')), 'berth.yaml')
    writeFileSync(file, tables['finer'] ?? '')
    const args = ['nodes', 'render', '--target', 'containerd', '--config', file]
    const refused = await berth(args)
    const partial = await berth([...args, '--allow-partial'])

    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toContain(
      `${file}:9:27: error: fallback[0].images[0]: row app is for ghcr.io/acme/app`,
    )
    expect(partial.code).toBe(0)
    expect(partial.stderr).toContain(`${file}:9:27: warning: `)
    expect(partial.stdout).toContain('# Left out: row app is for ghcr.io/acme/app')
  })
})
