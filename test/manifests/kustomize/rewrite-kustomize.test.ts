import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
  put({
    'config/berth.yaml': `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: 'anubis:32000', mirror: true }]
fallback:
  - { name: by-tag, images: ['ghcr.io/acme/tool'], tags: { '1': '9' }, try: ['anubis:32000/{host}/{path}'] }
  - { name: by-namespace, images: ['quay.io/**'], try: ['anubis:32000/{namespace}/{name}'] }
  - { name: all, images: ['**'], try: ['anubis:32000/{host}/{path}'] }
pullPolicy: [{ images: ['anubis:32000/**'], set: IfNotPresent }]
pullSecrets: [{ registries: ['anubis:32000'], secret: mirror }]
`,
  })
})

function put(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    const file = join(directory, name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
}

const textOf = (name: string) => readFileSync(join(directory, name), 'utf8')

const rewrite = (...args: readonly string[]) =>
  berth([
    'rewrite',
    '--no-probe',
    '--config',
    join(directory, 'config/berth.yaml'),
    '-R',
    '-f',
    join(directory, 'app'),
    ...args,
  ])

const inPlace = (...args: readonly string[]) => rewrite('--in-place', '--images-only', ...args)

const pod = (image: string, name = 'p') =>
  `apiVersion: v1\nkind: Pod\nmetadata: { name: ${name} }\nspec:\n  containers:\n  - name: c\n    image: ${image} # kept\n`

describe('berth rewrite on a directory with a kustomization', () => {
  it('leaves an image that an entry names, and moves the entry', async () => {
    put({
      'app/pod.yaml': pod('controller:latest'),
      'app/kustomization.yaml':
        'resources: [pod.yaml]\nimages:\n# the release\n- name: controller\n  newName: ghcr.io/acme/manager # here\n  newTag: "1.29"\n',
    })

    const result = await inPlace()

    expect(result.code).toBe(0)
    expect(textOf('app/pod.yaml')).toBe(pod('controller:latest'))
    expect(textOf('app/kustomization.yaml')).toBe(
      'resources: [pod.yaml]\nimages:\n# the release\n- name: controller\n  newName: anubis:32000/ghcr.io/acme/manager # here\n  newTag: "1.29"\n',
    )
    expect(result.stderr).toContain(
      'kustomization.yaml:4: kustomization: images/0: ghcr.io/acme/manager:1.29 → anubis:32000/ghcr.io/acme/manager:1.29',
    )
    expect(await inPlace()).toMatchObject({ code: 0, stderr: '' })
  })

  it.each(['kustomization.yaml', 'kustomization.yml', 'Kustomization'])(
    'adds newName to an entry of %s with only a newTag, also without kind',
    async (name) => {
      put({
        'app/pod.yaml': pod('nginx:1'),
        [`app/${name}`]: 'resources:\n- pod.yaml\nimages:\n  - name: nginx\n    newTag: "2"\n',
      })

      expect(await inPlace()).toMatchObject({ code: 0 })

      expect(textOf('app/pod.yaml')).toBe(pod('nginx:1'))
      expect(textOf(`app/${name}`)).toBe(
        'resources:\n- pod.yaml\nimages:\n  - name: nginx\n    newName: anubis:32000/docker.io/library/nginx\n    newTag: "2"\n',
      )
    },
  )

  it('rewrites images without an entry in their files', async () => {
    put({
      'app/pod.yaml': pod('nginx:1'),
      'app/kustomization.yaml': 'resources: [pod.yaml]\nimages: [{ name: redis, newTag: "8" }]\n',
    })

    expect(await inPlace()).toMatchObject({ code: 0 })

    expect(textOf('app/pod.yaml')).toBe(pod('anubis:32000/docker.io/library/nginx:1'))
    // It is moved, too: no image may match it now, but another overlay may bring one.
    expect(textOf('app/kustomization.yaml')).toBe(
      'resources: [pod.yaml]\nimages: [{ name: redis, newName: anubis:32000/docker.io/library/redis, newTag: "8" }]\n',
    )
  })

  it('renames an entry if its image is rewritten in the file for another overlay', async () => {
    put({
      'app/base/pod.yaml': pod('nginx:1'),
      'app/base/kustomization.yaml': 'resources: [pod.yaml]\n',
      'app/one/kustomization.yaml':
        'resources: [../base]\nimages: [{ name: nginx, newTag: "2" }]\n',
      'app/two/kustomization.yaml': 'resources: [../base]\n',
    })

    expect(await inPlace()).toMatchObject({ code: 0 })

    expect(textOf('app/base/pod.yaml')).toBe(pod('anubis:32000/docker.io/library/nginx:1'))
    expect(textOf('app/one/kustomization.yaml')).toBe(
      'resources: [../base]\nimages: [{ name: anubis:32000/docker.io/library/nginx, newTag: "2" }]\n',
    )
  })

  it('keeps the old name next to the new one if a base cannot be read', async () => {
    const remote = 'https://example.com/base.yaml'
    put({
      'app/base/pod.yaml': pod('nginx:1'),
      'app/base/kustomization.yaml': 'resources: [pod.yaml]\n',
      'app/one/kustomization.yaml': `resources: [../base, "${remote}"]\nimages:\n- name: nginx\n  newTag: "2"\n`,
      'app/two/kustomization.yaml': 'resources: [../base]\n',
    })

    const result = await inPlace()

    expect(textOf('app/one/kustomization.yaml')).toBe(
      `resources: [../base, "${remote}"]\nimages:\n- name: nginx\n  newName: anubis:32000/docker.io/library/nginx\n  newTag: "2"\n- name: anubis:32000/docker.io/library/nginx\n  newTag: "2"\n`,
    )
    expect(result.stderr).toContain(
      `one/kustomization.yaml: kustomization: cannot follow ${remote}`,
    )
    // A second run changes nothing.
    expect((await rewrite('--check', '--images-only')).stdout).toBe('')
  })

  it('moves the entries of layers, whose names are the results of the layers below', async () => {
    put({
      'app/base/pod.yaml': pod('controller'),
      'app/base/kustomization.yaml':
        'resources: [pod.yaml]\nimages: [{ name: controller, newName: ghcr.io/acme/manager, newTag: v1 }]\n',
      'app/prod/kustomization.yaml':
        'resources: [../base]\ncomponents: [../pinned]\nimages: [{ name: ghcr.io/acme/manager, newTag: v3 }]\n',
      'app/pinned/kustomization.yaml':
        'kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\nimages: [{ name: ghcr.io/acme/manager, newTag: v2 }]\n',
    })

    expect(await inPlace()).toMatchObject({ code: 0 })

    const moved = 'anubis:32000/ghcr.io/acme/manager'
    expect(textOf('app/base/pod.yaml')).toBe(pod('controller'))
    expect(textOf('app/base/kustomization.yaml')).toContain(`newName: ${moved}, newTag: v1`)
    expect(textOf('app/pinned/kustomization.yaml')).toContain(`{ name: ${moved}, newTag: v2 }`)
    expect(textOf('app/prod/kustomization.yaml')).toContain(`{ name: ${moved}, newTag: v3 }`)
  })

  it('does not change files that are not given', async () => {
    put({
      'base/pod.yaml': pod('nginx:1'),
      'base/kustomization.yaml': 'resources: [pod.yaml]\n',
      'app/kustomization.yaml': 'resources: [../base]\nimages: [{ name: redis, newTag: "8" }]\n',
    })

    const result = await inPlace()

    expect(textOf('base/pod.yaml')).toBe(pod('nginx:1'))
    expect(result.stderr).toContain('of files that are not given, stay as they are: nginx:1')
  })

  it('adds the pull policy and the pull secret of the image that is deployed', async () => {
    put({
      'app/pod.yaml': pod('controller'),
      'app/kustomization.yaml':
        'resources: [pod.yaml]\nimages: [{ name: controller, newName: redis, newTag: "8" }]\n',
    })

    expect(await rewrite('--in-place')).toMatchObject({ code: 0 })

    expect(textOf('app/pod.yaml')).toContain('image: controller # kept')
    expect(textOf('app/pod.yaml')).toContain('imagePullPolicy: IfNotPresent')
    expect(textOf('app/pod.yaml')).toContain('name: mirror')
  })

  it('decides with the namespace that the outermost kustomization sets', async () => {
    put({
      'app/base/pod.yaml': pod('quay.io/acme/app:1'),
      'app/base/kustomization.yaml': 'resources: [pod.yaml]\nnamespace: base\n',
      'app/prod/kustomization.yaml': 'resources: [../base]\nnamespace: prod\n',
    })

    expect(await inPlace()).toMatchObject({ code: 0 })

    expect(textOf('app/base/pod.yaml')).toBe(pod('anubis:32000/prod/app:1'))
  })

  it('lists entries with the image that they deploy in JSON', async () => {
    put({
      'app/pod.yaml': pod('controller'),
      'app/kustomization.yaml':
        'resources: [pod.yaml]\nimages:\n- { name: controller, newName: redis, newTag: "8" }\n',
    })

    const records: unknown = JSON.parse((await rewrite('-o', 'json')).stdout)

    expect(records).toMatchObject([
      {
        line: 3,
        site: 'images/0',
        from: 'redis:8',
        to: 'anubis:32000/docker.io/library/redis:8',
        row: 'all',
        changed: true,
      },
      { from: 'controller', to: 'controller', why: 'a kustomization replaces it', changed: false },
    ])
  })
})

describe('berth rewrite leaves a kustomization as it is, and exits with 1,', () => {
  it.each([
    {
      title: 'one entry would have to make different changes',
      text: 'images: [{ name: controller, newName: ghcr.io/acme/tool }]\n',
      why: 'one entry of images cannot make anubis:32000/ghcr.io/acme/tool:9 and',
    },
    {
      title: 'a new tag would also change the images of a base that cannot be read',
      text: 'bases: ["https://example.com/base"]\nimages: [{ name: controller, newName: ghcr.io/acme/tool }]\n',
      why: 'one entry of images cannot make anubis:32000/ghcr.io/acme/tool:9',
    },
    {
      title: 'the name of an entry is a regular expression',
      text: 'images: [{ name: "ngi.*", newTag: "2" }]\n',
      why: 'regular expression: "ngi.*"',
    },
    {
      title: 'replacements write a part of an image',
      text: `replacements:
- source: { kind: ConfigMap, name: c, fieldPath: data.version }
  targets:
  - select: { kind: Pod }
    fieldPaths: [spec.containers.0.image]
    options: { delimiter: ":", index: 1 }
`,
      why: 'replacements read or write a part of an image',
    },
    {
      title: 'replacements read a part of an image',
      text: `replacements:
- source: { kind: Pod, fieldPath: spec.containers.0.image, options: { delimiter: ":", index: 1 } }
  targets:
  - select: { kind: Pod }
    fieldPaths: [metadata.labels.version]
    options: { create: true }
`,
      why: 'replacements read or write a part of an image',
    },
    {
      title: 'kustomize appends a tagSuffix once or twice',
      text: 'images: [{ name: nginx, tagSuffix: -x }]\n',
      why: 'kustomize appends the tagSuffix of the entry nginx once or twice',
    },
    {
      title: 'transformers may change images',
      text: 'transformers: [images.yaml]\n',
      why: 'transformers can change images',
    },
    {
      title: 'a patch tests an image',
      text: `patches:
- target: { kind: Pod }
  patch: '[{ "op": "test", "path": "/spec/containers/0/image", "value": "nginx:1" }]'
`,
      why: 'a patch tests an image',
    },
    { title: 'it reads itself', text: 'bases: [../app]\n', why: 'which reads it again' },
  ])('if $title', async ({ text, why }) => {
    const files = {
      'app/pod.yaml': `${pod('controller:1')}---\n${pod('controller:2', 'q')}`,
      'app/kustomization.yaml': `resources: [pod.yaml]\n${text}`,
    }
    put({ ...files, 'app/other/other.yaml': pod('nginx:1') })

    const result = await inPlace()

    expect(result).toMatchObject({ code: 1 })
    expect(result.stderr).toContain('kustomization.yaml: kustomization: it and the files')
    expect(result.stderr).toContain(why)
    for (const [name, before] of Object.entries(files)) expect(textOf(name)).toBe(before)
    expect(textOf('app/other/other.yaml')).toContain('anubis:32000')
  })
})
