import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
  put({
    'berth.yaml': `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: 'anubis:32000', mirror: true }]
fallback:
  - { name: by-tag, images: ['ghcr.io/acme/tool'], tags: { '1': '9' }, try: ['anubis:32000/{host}/{path}'] }
  - { name: all, images: ['**'], try: ['anubis:32000/{host}/{path}'] }
`,
  })
})

function put(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), text)
  }
}

const textOf = (name: string) => readFileSync(join(directory, name), 'utf8')

const pod = (...images: readonly string[]) =>
  images
    .map(
      (image, index) =>
        `apiVersion: v1\nkind: Pod\nmetadata: { name: p${index} }\nspec: { containers: [{ name: c, image: "${image}" }] }\n`,
    )
    .join('---\n')

const writeOverlays = () =>
  berth([
    'rewrite',
    '--no-probe',
    '--config',
    join(directory, 'berth.yaml'),
    '-R',
    '-f',
    join(directory, 'app'),
    '--kustomize-out',
    join(directory, 'out'),
  ])

describe('berth rewrite --kustomize-out', () => {
  it('writes an overlay for each kustomization that no other one reads, and leaves the files', async () => {
    const files = {
      'app/base/pod.yaml': pod('nginx:1', 'nginx:2', 'ghcr.io/acme/tool:1'),
      'app/base/kustomization.yaml': 'resources: [pod.yaml]\n',
      'app/one/kustomization.yaml': 'resources: [../base]\n',
      'app/two/kustomization.yaml':
        'resources: [../base]\nimages: [{ name: nginx, newName: redis, newTag: "8" }]\n',
    }
    put(files)

    const result = await writeOverlays()

    expect(result).toMatchObject({ code: 0, stderr: '' })
    expect(textOf('out/one/kustomization.yaml'))
      .toBe(`# Written by berth rewrite --kustomize-out. Do not edit.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - ../../app/one
images:
  - name: nginx
    newName: anubis:32000/docker.io/library/nginx
  - name: ghcr.io/acme/tool
    newName: anubis:32000/ghcr.io/acme/tool
    newTag: "9"
`)
    expect(textOf('out/two/kustomization.yaml')).toContain('name: redis\n')
    expect(existsSync(join(directory, 'out/base'))).toBe(false)
    for (const [name, text] of Object.entries(files)) expect(textOf(name)).toBe(text)
    // It replaces its own files.
    expect(await writeOverlays()).toMatchObject({ code: 0 })
  })

  it('writes no overlay if an entry cannot express the table, or for a regular expression', async () => {
    put({
      'app/one/pod.yaml': pod('ghcr.io/acme/tool:1', 'ghcr.io/acme/tool:2'),
      'app/one/kustomization.yaml': 'resources: [pod.yaml]\n',
      'app/two/kustomization.yaml': 'images: [{ name: ".*", newTag: "1" }]\n',
      'app/three/kustomization.yaml': 'resources: []\n',
    })

    const { code, stderr } = await writeOverlays()

    expect(code).toBe(1)
    expect(stderr).toContain('one/kustomization.yaml: no overlay is written: one entry of images')
    expect(stderr).toContain('two/kustomization.yaml: no overlay is written: the name of an entry')
    expect(existsSync(join(directory, 'out/one'))).toBe(false)
    expect(existsSync(join(directory, 'out/three/kustomization.yaml'))).toBe(true)
  })

  it('does not replace a file that Berth did not write', async () => {
    put({ 'app/kustomization.yaml': 'resources: []\n', 'out/kustomization.yaml': 'mine\n' })

    const { code, stderr } = await writeOverlays()

    expect(code).toBe(2)
    expect(stderr).toContain('Berth did not write it')
    expect(textOf('out/kustomization.yaml')).toBe('mine\n')
  })

  it('needs a kustomization', async () => {
    put({ 'app/pod.yaml': pod('nginx:1') })

    expect(await writeOverlays()).toMatchObject({ code: 2 })
  })
})
