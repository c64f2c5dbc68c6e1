import { fc, runs } from '../support/fast-check.ts'
import { parse as parseToml } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { parse as parseYaml } from 'yaml'
import type { Config } from '../../src/config/config.ts'
import { directoryFor, hostsAskedFor } from '../../src/nodes/read/certs-d.ts'
import { readRegistriesConf } from '../../src/nodes/read/registries-conf.ts'
import { renderNodes } from '../../src/nodes/render/render.ts'
import { readVersion } from '../../src/nodes/render/target-version.ts'
import { type TargetName, targets } from '../../src/nodes/render/targets.ts'
import { namedImage, nodeRoute, type NodeState } from '../../src/nodes/read/node-route.ts'
import { tableRoute } from '../../src/nodes/check/table-route.ts'
import { parseReference } from '../../src/decision/reference/parse.ts'
import golden from '../fixtures/nodes/files.json' with { type: 'json' }
import { configOf, filesFor, renderedFiles, tables } from './rendered-tables.ts'

const plain = { airGap: false, digestOnly: false, version: null }
const names = Object.keys(targets) as TargetName[]

describe('rendered files', () => {
  it('are byte for byte the files that the loaders were asked about', () => {
    expect(renderedFiles()).toEqual(golden)
  })

  it('do not depend on the order of keys, registries, or rows that do not overlap', () => {
    const one = configOf(tables['layout'] ?? '')
    const other = configOf(`kind: BerthConfig
fallback:
  - { otherwise: deny, try: ['anubis:32000/{host}/{path}'], images: ['quay.io/**'], name: closed }
  - { images: ['ghcr.io/**'], name: ghcr, try: ['anubis:32000/{host}/{path}', 'ghcr.io/{path}'] }
  - { name: docker-hub, images: ['docker.io/**'], try: ['anubis:32000/{host}/{path}', 'harbor.lan/proxy/{path}', 'docker.io/{path}'] }
registries: # in another order
  - { host: docker.io }
  - { host: ghcr.io }
  - { mirror: true, host: harbor.lan }
  - { mirror: true, endpoint: http://anubis:32000, host: 'anubis:32000' }
apiVersion: berth.dev/v1alpha1
`)

    for (const target of names) expect(filesFor(other, target)).toEqual(filesFor(one, target))
  })

  it('end with a newline, have a header and can be parsed', () => {
    for (const [, files] of Object.entries(golden)) {
      for (const [path, content] of Object.entries<string>(files)) {
        expect(content).toMatch(
          /^# Written by berth nodes from table sha256:[0-9a-f]{16}\. .*\n[^]*\n$/,
        )
        const read = /\.(?:toml|conf)$/.test(path)
          ? parseToml(content)
          : content.split('\n---\n').map((each) => parseYaml(each) as object)
        expect(read).toBeTruthy()
      }
    }
  })
})

describe('omissions', () => {
  const omissionsOf = (target: TargetName, text: string) =>
    renderNodes(configOf(text), target, plain).omissions.map(({ path, message }) => [
      path.join('.'),
      message,
    ])
  const withRow = (row: string) => `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: 'm:1', endpoint: 'http://m:1', mirror: true }, { host: deep.lan, endpoint: 'https://deep.lan/base', mirror: true }]
fallback: [{ name: r, ${row} }]
`

  it.each<[TargetName, string, string, string]>([
    [
      'containerd',
      `images: [docker.io/a/b], tags: { latest: x }, try: ['m:1/{path}']`,
      'fallback.0.tags',
      'maps tags',
    ],
    [
      'crio',
      `images: ['docker.io/**'], try: ['m:1/{namespace}/{path}']`,
      'fallback.0.try.0',
      'does not know the pod',
    ],
    [
      'crio',
      `images: ['docker.io/**'], try: ['m:1/{name}']`,
      'fallback.0.try.0',
      'changes the names',
    ],
    [
      'k3s',
      `images: ['docker.io/**'], try: ['m:1/{rest}']`,
      'fallback.0.try.0',
      'changes the names',
    ],
    [
      'crio',
      `images: ['docker.io/acme/**'], try: ['m:1/{flat}']`,
      'fallback.0.try.0',
      'changes the names',
    ],
    [
      'k3s',
      `images: ['docker.io/**'], try: ['m:1/x-{path}']`,
      'fallback.0.try.0',
      'changes the names',
    ],
    [
      'crio',
      `images: ['ghcr.io/*-dev/**'], try: ['m:1/{path}']`,
      'fallback.0.images.0',
      'is not a host, a path prefix or a repository',
    ],
    [
      'containerd',
      `images: ['ghcr.io/acme/**'], try: ['m:1/{path}']`,
      'fallback.0.images.0',
      'containerd configures ghcr.io only as a whole',
    ],
    [
      'k3s',
      `images: [ghcr.io/acme/app], try: ['m:1/{path}']`,
      'fallback.0.images.0',
      'registries.yaml configures ghcr.io only as a whole',
    ],
    [
      'containerd',
      `images: ['*.example.com/**'], try: ['m:1/{path}']`,
      'fallback.0.images.0',
      'name each host',
    ],
    [
      'crio',
      `images: ['**'], try: ['m:1/{path}']`,
      'fallback.0.images.0',
      'has no prefix for that',
    ],
    [
      'openshift',
      `images: ['**'], try: ['m:1/{path}']`,
      'fallback.0.images.0',
      'needs named sources',
    ],
    [
      'registry-proxy',
      `images: ['**'], try: ['m:1/{path}']`,
      'fallback.0.images.0',
      'has one upstream',
    ],
    [
      'containerd',
      `images: ['**'], try: ['m:1/{host}/{path}']`,
      'fallback.0.images.0',
      'any number of hosts',
    ],
    [
      'containerd',
      `images: ['docker.io/**'], try: ['docker.io/{path}', 'm:1/{path}']`,
      'fallback.0.try.1',
      'comes after the original',
    ],
    [
      'crio',
      `images: ['docker.io/**'], try: ['deep.lan/{path}']`,
      'fallback.0.images.0',
      'cannot have a base path',
    ],
  ])('are reported by %s for: %s', (target, row, place, message) => {
    expect(omissionsOf(target, withRow(row))).toEqual([[place, expect.stringContaining(message)]])
  })

  it('do not include {host} of a registry with a port, and {rest} of a path prefix', () => {
    const text = withRow(
      `images: ['registry.corp:5000/acme/**'], try: ['m:1/{host}/{rest}', '{host}/{path}']`,
    )

    expect(omissionsOf('crio', text)).toEqual([])
    expect(filesFor(configOf(text), 'crio')['registries.conf.d/50-berth.conf']).toContain(
      'location = "m:1/registry.corp-5000"',
    )
  })

  it.each<TargetName>(['crio', 'openshift'])(
    'do not include {host} at the beginning of a template: %s keeps its port',
    (target) => {
      const text = `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: 'anubis:32000', endpoint: 'http://anubis:32000', mirror: true }]
fallback: [{ name: r, images: ['anubis:32000/docker/**'], try: ['{host}/hub/{host}/{path}', '{host}/{path}'] }]
`

      expect(omissionsOf(target, text)).toEqual([])
      expect(Object.values(filesFor(configOf(text), target)).join('\n')).toContain(
        'anubis:32000/hub/anubis-32000/docker',
      )
    },
  )

  it('do not include a part of a host that its whole host implies', () => {
    const text = withRow(
      `images: ['ghcr.io/acme/**', 'ghcr.io/**'], try: ['m:1/{host}/{path}', 'ghcr.io/{path}']`,
    )

    expect(omissionsOf('containerd', text)).toEqual([])
  })

  it('include --digest-only for K3s, and an upstream that an old K3s cannot be kept from', () => {
    const config = configOf(tables['layout'] ?? '')
    const messages = (options: Partial<typeof plain>) =>
      renderNodes(config, 'k3s', { ...plain, ...options }).omissions.map(({ message }) => message)

    expect(messages({ digestOnly: true })).toEqual([
      expect.stringContaining('cannot limit a mirror to digests'),
      expect.stringContaining('row closed has no upstream to resolve tags'),
    ])
    expect(
      renderNodes(config, 'k3s', { ...plain, version: readVersion('v1.28.5+k3s1') }).omissions,
    ).toEqual([
      expect.objectContaining({
        message: expect.stringContaining('always asks the upstream last') as string,
      }),
    ])
    expect(
      renderNodes(config, 'k3s', { ...plain, version: readVersion('v1.31.0+k3s1') }).omissions,
    ).toEqual([])
  })
})

describe('--target-version', () => {
  const config = configOf(tables['layout'] ?? '')
  const at = (target: TargetName, version: string, digestOnly = false) =>
    Object.values(
      Object.fromEntries(
        renderNodes(config, target, {
          ...plain,
          digestOnly,
          version: readVersion(version),
        }).files.map(({ path, content }) => [path, content]),
      ),
    ).join('\n')

  it('leaves dial_timeout out for containerd before 2.1', () => {
    expect(at('containerd', '1.7.20')).not.toContain('dial_timeout')
    expect(at('containerd', '2.0')).not.toContain('dial_timeout')
    expect(at('containerd', '2.1')).toContain('dial_timeout = "2s"')
  })

  it('writes a host table into every file for containerd before 2', () => {
    const one = renderNodes(config, 'containerd', { ...plain, version: readVersion('1.7') }).files
    const two = renderNodes(config, 'containerd', { ...plain, version: readVersion('2.1') }).files

    expect(one.filter(({ content }) => !content.includes('[host."'))).toEqual([])
    expect(
      two.filter(({ content }) => !content.includes('[host."')).map(({ path }) => path),
    ).toEqual(['certs.d/anubis:32000/hosts.toml', 'certs.d/quay.io/hosts.toml'])
  })

  it('uses mirror-by-digest-only for CRI-O before 1.25', () => {
    expect(at('crio', '1.24', true)).toContain('mirror-by-digest-only = true')
    expect(at('crio', '1.30', true)).toContain('pull-from-mirror = "digest-only"')
  })

  it('accepts the usual spellings of a version', () => {
    expect(
      ['2', '1.7', 'v1.30.4+k3s1', '2.1.0-rc.1', '1.6.20~ds1', 'x', '1.x'].map(
        (each) => readVersion(each)?.version ?? null,
      ),
    ).toEqual(['2.0.0', '1.7.0', '1.30.4', '2.1.0', '1.6.20', null, null])
  })
})

const hosts = ['docker.io', 'ghcr.io', 'quay.io', 'a.example.com', 'registry.corp:5000'] as const
const mirrorHosts = ['m:1', 'n.lan'] as const
const pattern = fc.constantFrom(
  ...hosts.map((host) => `${host}/**`),
  'ghcr.io/acme/**',
  'docker.io/library/*',
  'docker.io/library/nginx',
  'quay.io/x/*',
  '*.example.com/**',
  '**',
  'm:1/**',
)
const template = fc.constantFrom(
  ...mirrorHosts.flatMap((host) => [
    `${host}/{host}/{path}`,
    `${host}/{path}`,
    `${host}/p/q/{path}`,
    `${host}/{name}`,
  ]),
  '{host}/{path}',
  '{host}/hub/{path}',
  'docker.io/{path}',
  'alternate.example.org/{path}',
  'ghcr.io/other/{path}',
)
const row = fc.record({
  images: fc.uniqueArray(pattern, { minLength: 1, maxLength: 2 }),
  try: fc.uniqueArray(template, { minLength: 1, maxLength: 4 }),
  otherwise: fc.constantFrom('keep', 'first', 'deny'),
})
const tableText = fc.uniqueArray(row, { minLength: 1, maxLength: 4 }).map((rows) =>
  JSON.stringify({
    apiVersion: 'berth.dev/v1alpha1',
    kind: 'BerthConfig',
    registries: [
      { host: 'm:1', endpoint: 'http://m:1', mirror: true },
      { host: 'n.lan', mirror: true },
      { host: 'r.example.com', mirror: true },
      ...hosts.map((host) => ({ host })),
    ],
    fallback: rows.map((each, index) => ({ name: `row-${index}`, ...each })),
  }),
)
/** Tables with loops are rejected, so they are filtered out. */
const table = tableText
  .map((text): Config | null => {
    try {
      return configOf(text)
    } catch {
      return null
    }
  })
  .filter((config) => config !== null)

const images = [
  'docker.io/library/nginx:1',
  'docker.io/acme/app:1',
  'ghcr.io/acme/app:1',
  'ghcr.io/other/x/y:1',
  'quay.io/x/y:1',
  'a.example.com/p/q:1',
  'registry.corp:5000/acme/app:1',
  'registry.corp:5000/acme/x/y:1',
  'registry.corp:5000/more/app:1',
  'm:1/app:1',
  'n.lan/app:1',
  'r.example.com/app:1',
].map((text) => {
  const parsed = parseReference(text)
  if (!parsed.ok) throw new Error(parsed.message)
  return parsed.reference
})

function stateOf(
  config: Config,
  target: 'containerd' | 'crio' | 'k3s',
  airGap: boolean,
): NodeState {
  const files = Object.entries(filesFor(config, target, airGap))
  if (target === 'containerd') {
    const tree = new Map(files.map(([path, content]) => [path.split('/')[1] ?? '', content]))
    return { kind: 'containerd', trees: [tree], fault: null }
  }
  if (target === 'crio')
    return {
      kind: 'crio',
      conf: readRegistriesConf(files.map(([name, text]) => ({ name, text }))),
      refusesAmbiguous: true,
    }
  const text = files.find(([name]) => name === 'registries.yaml')?.[1] ?? ''
  return { kind: 'k3s', text, closed: files.some(([name]) => name.startsWith('config.yaml.d')) }
}

describe('files of any table', () => {
  it.each(['containerd', 'crio', 'k3s'] as const)(
    'send each image where the table does for %s, unless there are omissions',
    (target) => {
      fc.assert(
        fc.property(table, fc.boolean(), (config, airGap) => {
          const { omissions } = renderNodes(config, target, { ...plain, airGap })
          fc.pre(omissions.length === 0)
          const state = stateOf(config, target, airGap)
          for (const image of images) {
            expect(nodeRoute(state, namedImage(image))).toEqual(
              tableRoute(config, image, { airGap }),
            )
          }
        }),
        runs(100),
      )
    },
    120_000,
  )

  it('send no image to an alternate', () => {
    fc.assert(
      fc.property(
        table,
        fc.constantFrom('containerd', 'crio', 'k3s'),
        fc.boolean(),
        (config, target, airGap) => {
          const state = stateOf(config, target, airGap)
          const places = images.flatMap((image) => nodeRoute(state, namedImage(image)))
          expect(
            places.filter((place) => /alternate\.example|\/other\/(?!x\/y)/.test(place)),
          ).toEqual([])
        },
      ),
    )
    fc.assert(
      fc.property(table, fc.boolean(), (config, airGap) => {
        const text = filesFor(config, 'openshift', airGap)['image-mirrors.yaml'] ?? ''
        const mirrors = text.split('\n').filter((line) => line.startsWith('        - '))
        expect(mirrors.filter((line) => !/^ +- (?:m:1|n\.lan)(?:\/|$)/.test(line))).toEqual([])
      }),
    )
  })

  it('pull only from mirrors in an air gap', () => {
    fc.assert(
      fc.property(table, (config) => {
        const tree = new Map(
          Object.entries(filesFor(config, 'containerd', true)).map(([path, content]) => [
            path.split('/')[1] ?? '',
            content,
          ]),
        )
        const asked = [...tree.keys()].flatMap((host) =>
          hostsAskedFor(tree, host).map((each) => each.host),
        )
        expect(asked.filter((host) => !['m:1', 'n.lan', 'r.example.com'].includes(host))).toEqual(
          [],
        )
      }),
    )
  })
})

describe('a private CA', () => {
  const pem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'
  const plainTable = configOf(`apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: 'harbor.lan:8443', mirror: true }, { host: 'plain:5000', endpoint: 'http://plain:5000', mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['harbor.lan:8443/{host}/{path}', 'plain:5000/{path}', 'docker.io/{path}'] }]
`)
  const config: Config = {
    ...plainTable,
    registries: new Map(
      [...plainTable.registries].map(([host, settings]) => [
        host,
        settings.mirror ? { ...settings, ca: pem } : settings,
      ]),
    ),
  }

  it('is next to hosts.toml, and an http mirror has none', () => {
    const files = filesFor(config, 'containerd')
    const { host } = parseToml(files['certs.d/docker.io/hosts.toml'] ?? '') as {
      host: Record<string, object>
    }

    expect(files['certs.d/docker.io/harbor.lan_8443.crt']).toBe(pem)
    expect(files['certs.d/harbor.lan:8443/harbor.lan_8443.crt']).toBe(pem)
    expect(host['https://harbor.lan:8443/v2/docker.io']).toMatchObject({
      ca: 'harbor.lan_8443.crt',
    })
    expect(host['http://plain:5000']).not.toHaveProperty('ca')
  })

  it('is where K3s, CRI-O and OpenShift look for it', () => {
    const k3s = filesFor(config, 'k3s')
    expect(k3s['certs/harbor.lan_8443.crt']).toBe(pem)
    expect(parseYaml(k3s['registries.yaml'] ?? '')).toMatchObject({
      configs: {
        'harbor.lan:8443': { tls: { ca_file: '/etc/rancher/k3s/certs/harbor.lan_8443.crt' } },
      },
    })
    expect(filesFor(config, 'crio')['certs.d/harbor.lan:8443/berth.crt']).toBe(pem)
    const objects = (filesFor(config, 'openshift')['image-mirrors.yaml'] ?? '')
      .split('\n---\n')
      .map((each) => parseYaml(each) as object)
    expect(objects).toContainEqual(
      expect.objectContaining({ kind: 'ConfigMap', data: { 'harbor.lan..8443': pem } }),
    )
    expect(objects).toContainEqual(
      expect.objectContaining({
        kind: 'Image',
        spec: {
          additionalTrustedCA: { name: 'berth-registry-cas' },
          registrySources: { insecureRegistries: ['plain:5000'] },
        },
      }),
    )
  })
})

describe('OpenShift mirror sets', () => {
  interface MirrorSet {
    readonly kind: string
    readonly spec: Readonly<
      Record<string, readonly { source: string; mirrors: string[]; mirrorSourcePolicy: string }[]>
    >
  }
  /** The schema of config.openshift.io/v1, segment by segment: no scheme, tag or digest, and a wildcard only in a source. */
  const isName = (text: string, wildcard: boolean): boolean => {
    const [host = '', ...path] = (wildcard && text.startsWith('*.') ? text.slice(2) : text).split(
      '/',
    )
    return (
      /^[a-z0-9.-]+(?::[0-9]+)?$/.test(host) &&
      path.every((segment) => /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*$/.test(segment))
    )
  }

  it('have one object of each kind, valid names, and no source among its own mirrors', () => {
    fc.assert(
      fc.property(table, fc.boolean(), (config, airGap) => {
        const text = filesFor(config, 'openshift', airGap)['image-mirrors.yaml'] ?? ''
        const objects = text.split('\n---\n').map((each) => parseYaml(each) as MirrorSet)
        expect(new Set(objects.map(({ kind }) => kind)).size).toBe(objects.length)
        const entries = objects
          .filter(({ kind }) => kind.endsWith('MirrorSet'))
          .flatMap(({ spec }) => Object.values(spec).flat())
        for (const { source, mirrors, mirrorSourcePolicy } of entries) {
          expect(isName(source, true)).toBe(true)
          expect(mirrors.filter((each) => !isName(each, false) || each === source)).toEqual([])
          expect(mirrors.length).toBeGreaterThan(0)
          const isOut = airGap && !source.startsWith('m:1')
          expect(isOut && mirrorSourcePolicy === 'AllowContactingSource').toBe(false)
        }
      }),
    )
  })
})

describe('credentials of the config', () => {
  it('are in no file', () => {
    const config = configOf(`apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: harbor.lan, mirror: true, credentials: { secret: harbor-creds } }
  - { host: docker.io, credentials: { secret: hub-creds } }
fallback: [{ name: hub, images: ['docker.io/**'], try: ['harbor.lan/{host}/{path}', 'docker.io/{path}'] }]
pullSecrets: [{ registries: [docker.io], secret: dockerhub-creds }]
`)
    for (const target of names)
      for (const content of Object.values(filesFor(config, target)))
        expect(content).not.toMatch(/creds|auth|password|username/i)
  })
})

describe('directoryFor', () => {
  it('returns the first directory that containerd looks for', () => {
    const tree = new Map([
      ['_default', ''],
      ['a_1_', ''],
      ['a:1', ''],
    ])

    expect(['a:1', 'a:2', 'b'].map((host) => directoryFor(tree, host))).toEqual([
      'a_1_',
      '_default',
      '_default',
    ])
  })
})
