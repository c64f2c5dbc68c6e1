import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'
import { type FakeRegistry, startFakeRegistry } from '../../support/registry.ts'

let registry: FakeRegistry
let config: string

beforeAll(async () => {
  registry = await startFakeRegistry()
  const gone = await startFakeRegistry()
  await gone.close()
  registry.behave(({ path }) => {
    if (path.includes('/busy/')) return { status: 429 }
    if (path.includes('/login/'))
      return { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }
    return path.includes('/closed/') ? { status: 403 } : null
  })
  registry.addManifest({ repository: 'copies/app', tag: '1' })
  const many = Array.from({ length: 12 }, (_, index) => `m${index + 10}.corp`)
  config = join(mkdtempSync(join(tmpdir(), 'berth-test-')), 'berth.yaml')
  writeFileSync(
    config,
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: mirror.corp, endpoint: '${registry.url}', mirror: true }
  - { host: gone.corp, endpoint: '${gone.url}', mirror: true }
  - { host: copies.example, endpoint: '${registry.url}' }
  - { host: original.example, endpoint: '${gone.url}' }
${many.map((host) => `  - { host: ${host}, endpoint: '${gone.url}', mirror: true }`).join('\n')}
fallback:
  - { name: hub, images: ['docker.io/**'], try: ['mirror.corp/{path}', 'docker.io/{path}'] }
  - { name: ghcr, images: ['ghcr.io/**'], try: ['gone.corp/{path}', 'mirror.corp/{path}', 'ghcr.io/{path}'] }
  - { name: quay, images: ['quay.io/**'], try: ['gone.corp/{path}', 'quay.io/{path}'] }
  - { name: copies, images: ['original.example/copied/**'], try: ['copies.example/copies/{name}', 'original.example/{path}'], alternates: digest }
  - { name: original-first, images: ['original.example/first/**'], try: ['original.example/{path}', 'mirror.corp/{path}'] }
  - { name: unlisted, images: ['elsewhere.example/**'], try: ['{host}/other/{path}', 'mirror.corp/{path}'] }
  - { name: many, images: ['many.example/**'], try: [${many.map((host) => `'${host}/{path}'`).join(', ')}] }
`,
  )
})

afterAll(() => registry.close())

const check = (...images: string[]) => {
  const containers = images.map((image) => `{ image: ${image} }`).join(', ')
  const pod = `apiVersion: v1\nkind: Pod\nmetadata: { name: p }\nspec: { containers: [${containers}] }\n`
  return berth(['rewrite', '--check', '--config', config, '-f', '-'], pod)
}

describe('berth rewrite --check', () => {
  it('exits with 0 if the mirror answers that it has none of the images', async () => {
    const { code, stderr } = await check('absent:1')

    expect(code).toBe(0)
    expect(stderr).not.toContain('not known')
  })

  it.each([
    [
      'the registry of the original does not answer, and a mirror lacks it',
      'original.example/first/a:1',
    ],
    ['a candidate is on a registry that is not listed', 'elsewhere.example/a:1'],
  ])('exits with 0 if %s', async (_, image) => {
    expect((await check(image)).code).toBe(0)
  })

  it.each([
    ['does not answer', 'quay.io/a/b:1', 'gone.corp (unreachable)'],
    ['limits the requests', 'busy/app:1', 'mirror.corp (limited)'],
    ['refuses the credentials', 'closed/app:1', 'mirror.corp (denied)'],
    ['sends a web page', 'login/app:1', 'mirror.corp (invalid)'],
    ['does not answer, and another does', 'ghcr.io/a/b:1', 'gone.corp (unreachable)'],
  ])('exits with 3 if a mirror %s, and names it', async (_, image, named) => {
    const { code, stderr } = await check('absent:1', image)

    expect(code).toBe(3)
    expect(stderr).toContain(`it is not known whether something would change, because of ${named};`)
  })
  it('exits with 3 if the digest of the original is not known that a copy must have', async () => {
    const { code, stderr } = await check('original.example/copied/app:1')

    expect(code).toBe(3)
    expect(stderr).toContain('because of original.example (unreachable);')
  })

  it('names the failure of a registry that is not asked again', async () => {
    const images = Array.from({ length: 40 }, (_, index) => `quay.io/a/b${index}:1`)
    const { stderr } = await check(...images)

    expect(stderr).toContain('gone.corp skipped')
    expect(stderr).toContain('because of gone.corp (unreachable);')
  })

  it('names ten registries', async () => {
    const { stderr } = await check('many.example/a:1')

    expect(stderr).toContain(', m19.corp (unreachable) and 2 more;')
    expect(stderr).not.toContain('m20.corp (')
  })
})
