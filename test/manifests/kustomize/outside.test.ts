import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'

let directory: string

const pod = (image: string) =>
  `apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec: { containers: [{ name: c, image: '${image}' }] }\n`

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
  put({
    'berth.yaml': `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: 'anubis:32000', mirror: true }]
fallback: [{ name: all, images: ['**'], try: ['anubis:32000/{host}/{path}'] }]
`,
    'base/pod.yaml': pod('ghcr.io/acme/web:dummy'),
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

const rewrite = (given: readonly string[], ...args: readonly string[]) =>
  berth([
    'rewrite',
    '--no-probe',
    '--config',
    join(directory, 'berth.yaml'),
    ...given.flatMap((name) => ['-f', join(directory, name)]),
    ...args,
  ])

const retag = (resource: string) =>
  `resources: [${resource}]\nimages: [{ name: ghcr.io/acme/web, newTag: "5" }]\n`

describe('berth rewrite with a kustomization that is not given', () => {
  it('leaves a file whose kustomization has an entry for its image', async () => {
    put({ 'base/kustomization.yaml': retag('pod.yaml') })

    const result = await rewrite(['base/pod.yaml'], '--in-place')

    expect(result.code).toBe(1)
    expect(result.stderr).toContain('base/kustomization.yaml is not given, and its entry')
    expect(textOf('base/pod.yaml')).toBe(pod('ghcr.io/acme/web:dummy'))
  })

  it('leaves a base whose overlay in the same repository has an entry for its image', async () => {
    put({
      '.git/HEAD': '',
      'base/kustomization.yaml': 'resources: [pod.yaml]\n',
      'overlays/prod/kustomization.yaml': retag('../../base'),
    })

    for (const how of ['--in-place', '--check', '--diff']) {
      const result = await rewrite(['base'], how)

      expect(result.code).toBe(1)
      expect(result.stderr).toContain('overlays/prod/kustomization.yaml is not given')
    }
    expect(textOf('base/pod.yaml')).toBe(pod('ghcr.io/acme/web:dummy'))
    expect(await rewrite(['base', 'overlays/prod'], '--in-place')).toMatchObject({ code: 0 })
    expect(textOf('overlays/prod/kustomization.yaml')).toContain('anubis:32000/ghcr.io/acme/web')
  })

  it('rewrites a file whose kustomization has no entry for its image, and any file to standard output', async () => {
    put({ 'base/kustomization.yaml': retag('pod.yaml') })

    expect(await rewrite(['base/pod.yaml'])).toMatchObject({ code: 0 })
    put({ 'base/kustomization.yaml': 'resources: [pod.yaml]\n' })
    expect(await rewrite(['base/pod.yaml'], '--in-place')).toMatchObject({ code: 0 })
    expect(textOf('base/pod.yaml')).toContain('anubis:32000/ghcr.io/acme/web:dummy')
  })
})
