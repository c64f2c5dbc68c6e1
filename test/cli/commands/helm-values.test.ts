import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
  put(
    'berth.yaml',
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: anubis:32000, mirror: true }]
fallback:
- { name: hub, images: ['docker.io/**', 'ghcr.io/**'], try: ['anubis:32000/{host}/{path}'] }
`,
  )
})

function put(name: string, text: string): string {
  const file = join(directory, name)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
  return file
}

const rewrite = (...args: string[]) =>
  berth(['rewrite', '--no-probe', '--config', join(directory, 'berth.yaml'), ...args])

const release = (values: string, rest = '') =>
  `apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: { name: web, namespace: team }
spec:
  chart: { spec: { chart: web } }
${rest}  values:
${values.replaceAll(/^(?=.)/gm, '    ')}`

const web = 'image:\n  repository: ghcr.io/acme/web # here\n  tag: "2"\n'

describe('berth rewrite --helm-values', () => {
  it('changes the values of a HelmRelease once', async () => {
    const file = put('release.yaml', release(web))
    const { code, stdout } = await rewrite('-f', file, '--helm-values')

    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: release(web.replace('ghcr.io', 'anubis:32000/ghcr.io')),
    })
    expect((await rewrite('-f', file, '--helm-values', '--check')).code).toBe(1)
    expect((await rewrite('-f', file, '--helm-values', '--in-place')).code).toBe(0)
    expect(readFileSync(file, 'utf8')).toBe(stdout)
    const check = ['--helm-values', '--check', '--strict']
    expect(await rewrite('-f', file, ...check)).toEqual({ code: 0, stdout: '', stderr: '' })
  })

  it('changes nothing without the option, and names the option', async () => {
    const file = put('release.yaml', release(web))
    const { stdout, stderr } = await rewrite('-f', file)

    expect(stdout).toBe(release(web))
    expect(stderr).toContain('changed only by berth rewrite --helm-values')
  })

  it('lists the images with -o json', async () => {
    const values = `${web}plain: { image: { repository: nginx, tag: "1" } }\n`
    const file = put('release.yaml', release(values))
    const { stdout } = await rewrite('-f', file, '--helm-values', '-o', 'json')

    expect(JSON.parse(stdout)).toMatchObject([
      {
        line: 8,
        namespace: 'team',
        site: 'spec.values.image',
        from: 'ghcr.io/acme/web:2',
        to: 'anubis:32000/ghcr.io/acme/web:2',
        changed: true,
      },
      { line: 10, from: 'nginx:1', to: 'nginx:1', changed: false, place: 'helm-values' },
    ])
  })

  it('changes a text of values inside of a HelmChart and an Application, line by line', async () => {
    const chart = `apiVersion: helm.cattle.io/v1
kind: HelmChart
metadata: { name: web }
spec:
  chart: web
  valuesContent: |-
    # Values of the chart
    image: {repository: "ghcr.io/acme/web", tag: v1}

    list:
    - image: 'ghcr.io/acme/side:1'   # aside
`
    const application = chart
      .replace(/^apiVersion: .*\nkind: .*/, 'apiVersion: argoproj.io/v1alpha1\nkind: Application')
      .replace('  chart: web\n  valuesContent', '  sources: [ ]\n  source:\n   helm:\n    values')
      .replaceAll(/^ {4}(?!values)/gm, '      ')
    for (const text of [chart, application, chart.replaceAll('\n', '\r\n')]) {
      const { stdout } = await rewrite('-f', put('chart.yaml', text), '--helm-values')

      expect(stdout).toBe(text.replaceAll('ghcr.io/', 'anubis:32000/ghcr.io/'))
    }
  })

  it('tells apart the sources of an Application, but not the values of one', async () => {
    const text = `apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: { name: web }
spec:
  sources:
  - helm:
      valuesObject: { image: { repository: ghcr.io/acme/first, tag: v1 } }
  - helm:
      valuesObject: { image: { repository: ghcr.io/acme/second, tag: v1 } }
      parameters: [{ name: image.tag, value: v2 }]
`
    const { stdout, stderr } = await rewrite('-f', put('application.yaml', text), '--helm-values')

    expect(stdout).toBe(text.replace('ghcr.io/acme/first', 'anubis:32000/ghcr.io/acme/first'))
    expect(stderr).toContain('another source of values of this object sets a part of it')
  })

  it('decides with the namespace of the release', async () => {
    put(
      'berth.yaml',
      `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: web, images: ['ghcr.io/**'], when: { namespaces: [web] }, try: ['anubis:32000/{path}'] }]
`,
    )
    const releases = ['targetNamespace: web', 'targetNamespace: other'].map((line) =>
      release('image: ghcr.io/acme/web:1\n', `  ${line}\n`),
    )
    const application = (destination: string) => `apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: { name: web, namespace: web }
spec:
  destination: ${destination}
  source: { helm: { valuesObject: { image: ghcr.io/acme/web:1 } } }
`
    const texts = [...releases, ...['{ namespace: web }', '{ name: other }'].map(application)]
    const outputs = await Promise.all(
      texts.map((text, index) =>
        rewrite('-f', put(`${index}.yaml`, text), '-n', 'web', '--helm-values'),
      ),
    )

    expect(outputs.map(({ stdout }) => stdout.includes('anubis:32000'))).toEqual([
      true,
      false,
      true,
      false,
    ])
  })

  it('changes parameters of an Application and names of a HelmChart', async () => {
    const text = `apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: { name: web }
spec:
  project: default
  destination: { namespace: web }
  source:
    helm:
      parameters:
      - { name: web.image.repository, value: ghcr.io/acme/web }
      - { name: web.image.tag, value: "2" }
      - { name: replicas, value: "2" }
---
apiVersion: helm.cattle.io/v1
kind: HelmChart
metadata: { name: web }
spec: { chart: web, set: { image.registry: ghcr.io, image.repository: acme/web, image.tag: v1 } }
`
    const { stdout } = await rewrite('-f', put('all.yaml', text), '--helm-values')

    expect(stdout).toBe(
      text
        .replace('value: ghcr.io', 'value: anubis:32000/ghcr.io')
        .replace('ghcr.io, image.repository: acme', 'anubis:32000, image.repository: ghcr.io/acme'),
    )
  })

  it('changes a values file only if -f names the file', async () => {
    const file = put('chart/values.yaml', web)
    const other = put('chart/pod.yaml', 'apiVersion: v1\nkind: Pod\nspec: {}\n')

    const named = await rewrite('-f', file, '--helm-values')
    expect(named.stdout).toBe(web.replace('ghcr.io', 'anubis:32000/ghcr.io'))
    expect(named.stderr).toContain(`${file}:2: image: ghcr.io/acme/web:2 → anubis:32000/ghcr.io`)
    const found = await rewrite('-f', dirname(other), '--helm-values')
    expect(found.stdout).not.toContain('anubis:32000')
    expect(found.stderr).toContain('1 image is not rewritten: 1 in Helm values')
  })

  it('says once why it leaves the images in a values file unchanged', async () => {
    const image = '{ image: { repository: nginx, tag: "1" } }'
    const { stderr } = await rewrite(
      '-f',
      put('values.yaml', `a: ${image}\nb: ${image}\n`),
      '--helm-values',
    )

    expect(stderr).toMatch(/^2 times: an image in the values is not rewritten: it does not name/m)
  })

  it.each([
    [
      'a name without registry',
      'image: { repository: nginx, tag: "1" }',
      'does not name its registry',
    ],
    ['no tag', 'image: { repository: ghcr.io/a/b }', 'the chart adds the tag'],
    ['a large number as tag', 'image: { repository: ghcr.io/a/b, tag: 20261129 }', 'in quotes'],
    [
      'repository and image',
      'x: { repository: ghcr.io/a, image: b, tag: v1 }',
      'both repository and image',
    ],
    [
      'repository and name',
      'image: { repository: ghcr.io/a, name: b, tag: v1 }',
      'both repository and name',
    ],
    ['two versions', 'image: { repository: "ghcr.io/a/b:1", tag: v1 }', 'both repository and tag'],
    [
      'another registry',
      'x: { imageRegistry: r.io, image: ghcr.io/a/b, tag: v1 }',
      'imageRegistry',
    ],
    [
      'a registry for all images',
      'global: { imageRegistry: r.io }\nimage: { repository: ghcr.io/a/b, tag: v1 }',
      'global.imageRegistry sets the registry',
    ],
    [
      'the image next to a registry',
      'x: { registry: r.io, image: "ghcr.io/a/b:1" }',
      'charts join it with the registry',
    ],
  ])('leaves the values with %s unchanged, and says why', async (_, values, why) => {
    const text = release(`${values}\n`)
    const { stdout, stderr } = await rewrite('-f', put('release.yaml', text), '--helm-values')

    expect(stdout).toBe(text)
    expect(stderr).toContain(`an image in the values is not rewritten: `)
    expect(stderr).toContain(why)
  })

  it('adds no digest where the values have no member for one', async () => {
    const digest = `sha256:${'a'.repeat(64)}`
    put(
      'berth.lock',
      `apiVersion: berth.dev/v1alpha1
kind: BerthLock
images:
- { image: 'ghcr.io/acme/web:2', digest: '${digest}', from: 'anubis:32000', date: '2026-11-21' }
`,
    )
    const config = readFileSync(join(directory, 'berth.yaml'), 'utf8')
    put('berth.yaml', `${config}pin: { tags: ['*'], lock: berth.lock }\n`)
    const plain = await rewrite('-f', put('release.yaml', release(web)), '--helm-values')
    const both = `${web}  digest: ""\n`
    const pinned = await rewrite('-f', put('release.yaml', release(both)), '--helm-values')

    expect(plain.stdout).toBe(release(web.replace('ghcr.io', 'anubis:32000/ghcr.io')))
    expect(plain.stderr).toContain('an image in the values gets no digest')
    expect(pinned.stdout).toContain(`digest: "${digest}"`)
  })

  it('leaves an image unchanged that an overlay, a patch or a post-renderer changes', async () => {
    const file = put('base/release.yaml', release(web))
    const partial = release('image: { tag: "3" }\n').replace(/ {2}chart: .*\n/, '')
    const patch = put('overlay/patch.yaml', partial)
    const byOverlay = await rewrite('-f', file, '-f', patch, '--helm-values')
    const inline = `patches:\n- target: { kind: HelmRelease, name: web }\n  patch: |\n    - op: replace\n      path: /spec/values/image/tag\n      value: "3"\n`
    const kustomization = put('other/kustomization.yaml', inline)
    const byPatch = await rewrite('-f', file, '-f', kustomization, '--helm-values')
    const rest =
      '  postRenderers: [{ kustomize: { images: [{ name: ghcr.io/acme/web, newTag: "3" }] } }]\n'
    const rendered = put('rendered.yaml', release(web, rest))
    const byRenderer = await rewrite('-f', rendered, '--helm-values')

    for (const { stdout } of [byOverlay, byPatch, byRenderer])
      expect(stdout).not.toContain('anubis')
    expect(byOverlay.stderr).toContain('another document or a patch sets a part of it')
    expect(byPatch.stderr).toContain('another document or a patch sets a part of it')
    expect(byRenderer.stderr).toContain('an entry of postRenderers replaces the image')
  })

  it('leaves text unchanged that it cannot edit in lines', async () => {
    const text = `apiVersion: helm.cattle.io/v1
kind: HelmChart
metadata: { name: web }
spec:
  chart: web
  valuesContent: >
    image: { repository: ghcr.io/acme/web, tag: v1 }
`
    const { stdout, stderr } = await rewrite('-f', put('chart.yaml', text), '--helm-values')

    expect(stdout).toBe(text)
    expect(stderr).toContain('write it as a block (|)')
  })
})
