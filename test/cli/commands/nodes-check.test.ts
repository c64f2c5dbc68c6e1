import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'

const table = `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: 'anubis:32000', endpoint: 'http://anubis:32000', mirror: true }]
fallback:
  - { name: hub, images: ['docker.io/**'], try: ['anubis:32000/{host}/{path}', 'docker.io/{path}'] }
`

/** Runs `berth nodes check` for an image on a machine with these files. */
async function check(files: Readonly<Record<string, string>>, ...args: string[]) {
  const root = mkdtempSync(join(tmpdir(), 'berth-nodes-check-'))
  for (const [file, text] of Object.entries({ ...files, '/berth.yaml': table })) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), text)
  }
  const config = ['--root', root, '--config', join(root, 'berth.yaml')]
  const outcome = await berth(['nodes', 'check', ...config, ...args, '-o', 'json'])
  const { images } = JSON.parse(outcome.stdout) as {
    images: { image: string; node: string[]; same: boolean }[]
  }
  return { ...outcome, image: images[0] }
}

const k3s = (mirror: string) => ({
  '/etc/rancher/k3s/registries.yaml': `mirrors:\n  docker.io: ${mirror}\n`,
})

describe('berth nodes check of K3s', () => {
  it('follows a rewrite, which the table can also say with a path', async () => {
    const rewrite = '{ "(.*)": "docker.io/$1" }'
    const { code, image } = await check(
      k3s(`{ endpoint: ["http://anubis:32000"], rewrite: ${rewrite} }`),
      'docker.io/library/nginx:1',
    )

    expect(image).toMatchObject({
      same: true,
      node: [
        'http://anubis:32000/v2/docker.io/library/nginx:1',
        'https://registry-1.docker.io/v2/library/nginx:1',
      ],
    })
    expect(code).toBe(0)
  })

  it('shows what a rewrite changes', async () => {
    const { code, image } = await check(
      k3s('{ endpoint: ["http://anubis:32000"], rewrite: { "^library/": "other/" } }'),
      'docker.io/library/nginx:1',
    )

    expect(image?.node[0]).toBe('http://anubis:32000/v2/other/nginx:1')
    expect(code).toBe(1)
  })

  it('shows every result if several rewrites apply, because K3s takes any of them', async () => {
    const { image } = await check(
      k3s('{ endpoint: ["http://m:1"], rewrite: { "^library/": "a/", "nginx": "b" } }'),
      'docker.io/library/nginx:1',
    )

    expect(image?.node[0]).toBe('http://m:1/v2/a/nginx:1 or http://m:1/v2/library/b:1')
  })

  it('does not rewrite for the registry itself, also if it is the last endpoint', async () => {
    const { image } = await check(
      k3s('{ endpoint: ["http://m:1", "https://docker.io"], rewrite: { "^library/": "a/" } }'),
      'docker.io/library/nginx:1',
    )

    expect(image?.node).toEqual([
      'http://m:1/v2/a/nginx:1',
      'https://registry-1.docker.io/v2/library/nginx:1',
    ])
  })

  it('uses a key with the default port only for images that name the port', async () => {
    const { image } = await check(
      {
        '/etc/rancher/k3s/registries.yaml':
          'mirrors:\n  "ghcr.io:443": { endpoint: ["http://m:1"] }\n',
      },
      'ghcr.io/acme/app:1',
    )

    expect(image?.node).toEqual(['https://ghcr.io/v2/acme/app:1'])
  })

  it.each([
    ['', ['http://m:1/v2/library/nginx:1']],
    [
      'configs: { docker.io: { auth: { username: a, password: b } } }\n',
      ['http://m:1/v2/library/nginx:1', 'https://registry-1.docker.io/v2/library/nginx:1'],
    ],
  ])(
    'knows that disable-default-registry-endpoint does not apply to a host under configs: %j',
    async (configs, node) => {
      const { image } = await check(
        {
          '/etc/rancher/k3s/registries.yaml': `mirrors:\n  docker.io: { endpoint: ["http://m:1"] }\n${configs}`,
          '/etc/rancher/k3s/config.yaml': 'disable-default-registry-endpoint: true\n',
        },
        'docker.io/library/nginx:1',
      )

      expect(image?.node).toEqual(node)
    },
  )
})

describe('berth nodes check of a short name on CRI-O', () => {
  const mirror =
    '[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "anubis:32000/docker.io"\ninsecure = true\n'
  const crio = (text: string, more: Readonly<Record<string, string>> = {}) => ({
    '/etc/crio/crio.conf': '',
    '/etc/containers/registries.conf': `${text}${mirror}`,
    ...more,
  })
  const two = 'unqualified-search-registries = ["quay.io", "docker.io"]\n'
  const route = [
    'https://quay.io/v2/nginx:1',
    'http://anubis:32000/v2/docker.io/library/nginx:1',
    'https://registry-1.docker.io/v2/library/nginx:1',
  ]

  it('is the image of Docker Hub if that is the only search registry', async () => {
    const only = crio('unqualified-search-registries = ["docker.io"]\n')

    expect(await check(only, 'nginx:1')).toMatchObject({
      code: 0,
      image: { image: 'nginx:1', same: true },
    })
    expect(await check(only, 'docker.io/library/nginx:1')).toMatchObject({
      code: 0,
      image: { image: 'docker.io/library/nginx:1', same: true },
    })
  })

  it('cannot be pulled without a search registry, and the full name can', async () => {
    expect(await check(crio(''), 'nginx:1')).toMatchObject({
      code: 1,
      image: {
        node: ['cannot pull: nginx has no registry, and unqualified-search-registries is empty'],
      },
    })
    expect((await check(crio(''), 'docker.io/library/nginx:1')).code).toBe(0)
  })

  it('is refused by CRI-O 1.34 if there are several search registries', async () => {
    const refused = [
      'cannot pull: nginx has no registry, and unqualified-search-registries has 2, which CRI-O 1.34 and later refuse',
    ]

    expect((await check(crio(two), 'nginx:1')).image?.node).toEqual(refused)
    expect((await check(crio(two), 'nginx:1', '--target-version', '1.34.1')).image?.node).toEqual(
      refused,
    )
  })

  it.each([
    ['CRI-O 1.33', {}, ['--target-version', '1.33.5']],
    [
      'short_name_mode disabled',
      { '/etc/crio/crio.conf.d/10-a.conf': '[crio.image]\nshort_name_mode = "disabled"\n' },
      [],
    ],
  ])('is searched in order by %s', async (_, files, args) => {
    const { image } = await check(crio(two, files), 'nginx:1', ...args)

    expect(image?.node).toEqual(route)
  })

  it('follows an alias', async () => {
    const { image } = await check(
      crio(
        'unqualified-search-registries = ["docker.io"]\n[aliases]\nnginx = "quay.io/nginx/nginx"\n',
      ),
      'nginx:1',
    )

    expect(image?.node).toEqual(['https://quay.io/v2/nginx/nginx:1'])
  })
})
