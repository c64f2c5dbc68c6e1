import { describe, expect, it } from 'vitest'
import { findOtherImages } from '../../src/manifests/other-images.ts'

function find(object: unknown): string[] {
  return findOtherImages(object, { covered: [], isListed: () => true }).map(
    ({ place, path, image, hasVersion }) =>
      `${place} ${path.join('.')} ${image}${hasVersion ? '' : ' (no version)'}`,
  )
}

const site = (spec: unknown) => ({ apiVersion: 'example.com/v1', kind: 'Site', spec })

describe('findOtherImages', () => {
  it('finds images in fields of custom resources', () => {
    const spec = {
      image: 'nginx',
      proxyImage: 'envoy:1.30',
      helper: 'ghcr.io/acme/helper:1',
      disk: { url: 'docker://quay.io/acme/disk:2' },
      nested: [{ containers: [{ image: 'quay.io/a/b' }] }],
    }

    expect(find(site(spec))).toEqual([
      'custom-resource spec.image nginx',
      'custom-resource spec.proxyImage envoy:1.30',
      'custom-resource spec.helper ghcr.io/acme/helper:1',
      'custom-resource spec.disk.url quay.io/acme/disk:2',
      'custom-resource spec.nested.0.containers.0.image quay.io/a/b',
    ])
  })

  it('ignores text that is not an image', () => {
    const spec = {
      imagePullPolicy: 'Always',
      imageTag: '1.2',
      imageType: 'distroless',
      backingImage: 'ubuntu',
      url: 'https://ghcr.io/acme/helper:1',
      chart: 'oci://ghcr.io/acme/chart:1',
      host: 'example.com:8080',
      path: 'app.kubernetes.io/name',
      template: '{{ .Values.image }}:1',
      parameter: 'ghcr.io/acme/x:$(params.tag)',
      image: '',
    }

    expect(find({ ...site(spec), status: { image: 'nginx:1' } })).toEqual([])
  })

  it('finds images in environment variables and arguments', () => {
    const container = {
      env: [
        { name: 'RELATED_IMAGE_PROXY', value: 'envoyproxy/envoy:v1' },
        { name: 'MODE', value: 'fast:1' },
        { name: 'PULLS', value: 'quay.io/a/b:1,quay.io/a/c:2' },
      ],
      args: ['--prometheus-config-reloader=quay.io/p/r:v1', '--port=8080', 'docker.io/l/m:1'],
      command: ['sh', '-c', 'crane copy ghcr.io/a/b:1 localhost:5000/b:1'],
    }
    const spec = { template: { spec: { containers: [container] } } }
    const at = 'spec.template.spec.containers.0'

    expect(find({ apiVersion: 'apps/v1', kind: 'Deployment', spec })).toEqual([
      `environment-variable ${at}.env.0.value envoyproxy/envoy:v1`,
      `environment-variable ${at}.env.2.value quay.io/a/b:1`,
      `environment-variable ${at}.env.2.value quay.io/a/c:2`,
      `argument ${at}.args.0 quay.io/p/r:v1`,
      `argument ${at}.args.2 docker.io/l/m:1`,
      `argument ${at}.command.2 ghcr.io/a/b:1`,
      `argument ${at}.command.2 localhost:5000/b:1`,
    ])
  })

  it('ignores only those words of a text that are joined with a variable', () => {
    const text = [
      'docker pull ghcr.io/a/b:1 # for ${USER}',
      'x ghcr.io/a/c:v1-${ARCH} ghcr.io/a/c:$(tag) $(reg)ghcr.io/a/c:1 {{ .r }}ghcr.io/a/c:1 $TAG',
      'image: ghcr.io/a/d:v{{ .Values.tag }}',
      'run "${IMAGE:-ghcr.io/a/e:1}" {ghcr.io/a/f:1}',
      'image: ghcr.io/a/g:1 # {{ .x }}',
      'printf ghcr.io/a/h:v%s ghcr.io/a/h:v<version> ghcr.io/a/h:{tag}',
    ].join('\n')

    expect(find({ apiVersion: 'v1', kind: 'ConfigMap', data: { text } })).toEqual(
      ['b', 'e', 'f', 'g'].map((name) => `config-map data.text ghcr.io/a/${name}:1`),
    )
  })

  it('tells apart the images of a text', () => {
    const command = ['sh', '-c', 'crane copy ghcr.io/a/b:1 localhost:5000/b:1', '--x=ghcr.io/a/c:1']
    const found = findOtherImages(site({ command }), { covered: [], isListed: () => true })

    expect(found.map(({ image, isInText }) => [image, isInText])).toEqual([
      ['ghcr.io/a/b:1', true],
      ['localhost:5000/b:1', true],
      ['ghcr.io/a/c:1', false],
    ])
  })

  it('finds the lines of Helm values that are a text', () => {
    const valuesContent =
      'a: 1\nb:\n  image:\n    repository: ghcr.io/a/b\n    tag: v1\nimage: ghcr.io/a/c:1\n'
    const chart = { apiVersion: 'helm.cattle.io/v1', kind: 'HelmChart', spec: { valuesContent } }
    const found = findOtherImages(chart, { covered: [], isListed: () => true })

    expect(found.map(({ lineInText }) => lineInText)).toEqual([3, 5])
  })

  it('finds images in the text of ConfigMaps, with their lines, and none in Secrets', () => {
    const data = { 'config.yaml': 'a: 1\nsidecar:\n  image: "envoy:1"\n# ghcr.io/a/b:2.\n' }
    const found = findOtherImages(
      { apiVersion: 'v1', kind: 'ConfigMap', data },
      { covered: [], isListed: () => true },
    )

    expect(found.map(({ image, lineInText }) => [image, lineInText])).toEqual([
      ['envoy:1', 2],
      ['ghcr.io/a/b:2', 3],
    ])
    expect(find({ apiVersion: 'v1', kind: 'Secret', stringData: data })).toEqual([])
  })

  it('joins the parts of images in Helm values', () => {
    const values = {
      image: { registry: 'ghcr.io', repository: 'a/b', tag: 1.5, digest: '' },
      sidecar: { repository: 'quay.io/a/c', tag: '' },
      git: { repository: 'https://github.com/a/b', tag: 'v1' },
      plain: { image: 'redis', tag: '7' },
      whole: { image: { repository: 'quay.io/a/d:1' } },
    }
    const release = {
      apiVersion: 'helm.toolkit.fluxcd.io/v2',
      kind: 'HelmRelease',
      spec: { values },
    }
    const expected = (prefix: string) => [
      `helm-values ${prefix}image ghcr.io/a/b:1.5`,
      `helm-values ${prefix}sidecar quay.io/a/c (no version)`,
      `helm-values ${prefix}plain redis:7`,
      `helm-values ${prefix}whole.image quay.io/a/d:1`,
    ]

    expect(find(release)).toEqual(expected('spec.values.'))
    expect(find(values)).toEqual(expected(''))
  })

  it('reads Helm values that are a text', () => {
    const valuesContent = 'a: 1\nimage:\n  repository: ghcr.io/a/b\n  tag: v1\n'
    const chart = { apiVersion: 'helm.cattle.io/v1', kind: 'HelmChart', spec: { valuesContent } }

    expect(find(chart)).toEqual(['helm-values spec.valuesContent ghcr.io/a/b:v1'])
  })

  it('returns at most 1,000 images of an object', () => {
    const spec = { images: Array.from({ length: 2_000 }, (_, index) => `ghcr.io/a/b:${index}`) }

    expect(find(site(spec))).toHaveLength(1_000)
  })

  it('takes time linear in the length of a text', () => {
    const text = `${'a.'.repeat(250_000)} ${'image: '.repeat(70_000)}`

    expect(find({ apiVersion: 'v1', kind: 'ConfigMap', data: { text } })).toEqual([])
  })
})
