import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseAllDocuments } from 'yaml'
import { describe, expect, it } from 'vitest'
import type { WorkloadKind } from '../../src/manifests/pod-locations.ts'
import {
  rewriteManifests,
  type RewriteDependencies,
  type Rewritten,
} from '../../src/manifests/rewrite.ts'
import { createDecide } from '../../src/decision/resolve/decision-cache.ts'
import type { ResolvePolicy } from '../../src/decision/resolve/resolve-policy.ts'
import { digestA, digestB, failed, found, registriesOf } from '../support/manifest-answers.ts'
import { tableOf } from '../support/tables.ts'

const fixtures = fileURLToPath(new URL('../fixtures/manifests/', import.meta.url))

/** Every image comes from one mirror, under the host of its upstream. */
const mirrored = tableOf(
  ['anubis:32000'],
  [{ name: 'all', images: ['**'], try: ['anubis:32000/{host}/{path}', '{host}/{path}'] }],
)

const kinds: readonly WorkloadKind[] = [
  {
    kind: 'monitoring.coreos.com/Prometheus',
    pods: [],
    images: [
      ['spec', 'image'],
      ['spec', 'containers', '[]', 'image'],
    ],
  },
  { kind: 'argoproj.io/Rollout', pods: [['spec', 'template']], images: [] },
]

const keep: ResolvePolicy['pin'] = { matches: () => false, unresolved: 'keep' }

function dependencies(
  options: Partial<RewriteDependencies['policy']> & {
    readonly table?: ResolvePolicy['table']
    readonly pin?: ResolvePolicy['pin']
    readonly answers?: Parameters<typeof registriesOf>[0]
  } = {},
): RewriteDependencies {
  const { table = mirrored, pin = keep, answers = { 'anubis:32000': found() }, ...policy } = options
  return {
    decide: createDecide(registriesOf(answers).dependencies, { table, pin }),
    policy: { pullPolicy: [], pullSecrets: [], mode: 'enforce', ...policy },
    workloads: kinds,
  }
}

async function rewrite(
  text: string,
  using: RewriteDependencies = dependencies(),
  imagesOnly = false,
): Promise<Rewritten> {
  const { signal } = new AbortController()
  const result = await rewriteManifests(using, text, {
    namespace: 'default',
    owners: null,
    imagesOnly,
    signal,
  })
  if (!result.ok) throw new Error(result.message)
  return result
}

const changesOf = ({ images }: Rewritten) =>
  images.filter(({ from, to }) => from !== to).map(({ object, site, from }) => [object, site, from])

describe('manifests in the style of well-known projects', () => {
  it('are not parsed where they have no images, and keep these bytes and the lines of the others', async () => {
    const definition =
      'apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: { image: [ }\n'
    const service = 'apiVersion: v1\nkind: Service\nmetadata: {  name: a }\n'
    const pod =
      'apiVersion: v1\nkind: Pod\nspec: { containers: [{ image: quay.io/a/b:1, name: c }] }\n'
    const text = [definition, pod, service].join('---\n')
    const result = await rewrite(text)

    expect(result.images).toMatchObject([{ line: 7, from: 'quay.io/a/b:1' }])
    expect(result.text).toBe(text.replace('quay.io/a/b:1', result.images[0]?.to ?? ''))
    expect(result.text).not.toBe(text)
  })

  it.each([
    [
      'certificate-controller.yaml',
      [
        [
          'apps/Deployment certificates',
          'containers/certificates-controller',
          'quay.io/jetstack/cert-manager-controller:v1.20.1',
        ],
        [
          'batch/Job certificates-startupapicheck',
          'containers/startupapicheck',
          'quay.io/jetstack/cert-manager-startupapicheck:v1.20.1',
        ],
      ],
    ],
    [
      'delivery.yaml',
      [
        [
          'apps/StatefulSet delivery-application-controller',
          'containers/application-controller',
          'quay.io/argoproj/argocd:v3.2.1',
        ],
        [
          'apps/Deployment delivery-repo-server',
          'initContainers/copyutil',
          'quay.io/argoproj/argocd:v3.2.1',
        ],
        [
          'apps/Deployment delivery-repo-server',
          'containers/repo-server',
          'quay.io/argoproj/argocd:v3.2.1',
        ],
        [
          'apps/Deployment delivery-repo-server',
          'containers/redis',
          'public.ecr.aws/docker/library/redis:8.2.2-alpine',
        ],
      ],
    ],
    [
      'ingress.yaml',
      [
        [
          'apps/DaemonSet ingress-controller',
          'containers/controller',
          `registry.k8s.io/ingress-nginx/controller:v1.14.1@sha256:${'1'.repeat(64)}`,
        ],
        [
          'batch/Job ingress-admission-create',
          'containers/create',
          `registry.k8s.io/ingress-nginx/kube-webhook-certgen:v1.6.5@sha256:${'2'.repeat(64)}`,
        ],
      ],
    ],
    [
      'monitoring.yaml',
      [
        [
          'apps/Deployment prometheus-operator',
          'containers/prometheus-operator',
          'quay.io/prometheus-operator/prometheus-operator:v0.87.0',
        ],
        [
          'apps/Deployment prometheus-operator',
          'containers/proxy',
          'quay.io/brancz/kube-rbac-proxy:v0.20.1',
        ],
        [
          'monitoring.coreos.com/Prometheus k8s',
          'spec.image',
          'quay.io/prometheus/prometheus:v3.8.0',
        ],
        [
          'monitoring.coreos.com/Prometheus k8s',
          'spec.containers.0.image',
          'docker.io/library/busybox:1.37',
        ],
        [
          'apps/DaemonSet node-exporter',
          'containers/node-exporter',
          'quay.io/prometheus/node-exporter:v1.10.2',
        ],
      ],
    ],
    [
      'network.yaml',
      [
        [
          'apps/DaemonSet network-ds',
          'initContainers/install-cni-plugin',
          'ghcr.io/flannel-io/flannel-cni-plugin:v1.8.0-flannel1',
        ],
        ['apps/DaemonSet network-ds', 'containers/network', 'ghcr.io/flannel-io/flannel:v0.27.4'],
      ],
    ],
    [
      'legacy.json',
      [['ReplicationController frontend', 'containers/php', 'docker.io/library/php:8.4']],
    ],
  ])('%s: rewrites the images and no other byte', async (name, changes) => {
    const text = readFileSync(fixtures + name, 'utf8')

    const result = await rewrite(text)

    expect(changesOf(result)).toEqual(changes)
    expect(result.notes).toEqual([])
    // Each image gets the mirror's host as a prefix. Without the prefixes, the text is the original one.
    expect(result.text.split('anubis:32000/')).toHaveLength(changes.length + 1)
    expect(result.text.replaceAll('anubis:32000/', '')).toBe(text)
  })

  it('covers every fixture', () => {
    expect(readdirSync(fixtures).sort()).toEqual([
      'anchors.yaml',
      'certificate-controller.yaml',
      'delivery.yaml',
      'ingress.yaml',
      'legacy.json',
      'monitoring.yaml',
      'network.yaml',
    ])
  })

  it('anchors.yaml: rewrites the anchor, and keeps its aliases', async () => {
    const text = readFileSync(`${fixtures}anchors.yaml`, 'utf8')

    const result = await rewrite(text)

    expect(changesOf(result)).toHaveLength(6)
    expect(result.notes).toEqual([])
    expect(diffOf(text, result.text)).toEqual([
      [
        '              image: &image ghcr.io/acme/tool:2',
        '              image: &image anubis:32000/ghcr.io/acme/tool:2',
      ],
      [
        '              image: >-',
        '              image: anubis:32000/docker.io/library/alpine:3.22',
      ],
      ['                docker.io/library/alpine:3.22', undefined],
      [
        '              image: !!str quay.io/acme/app:1',
        '              image: !!str anubis:32000/quay.io/acme/app:1',
      ],
      [
        '            - {name: flow, image: docker.io/library/busybox}',
        '            - {name: flow, image: anubis:32000/docker.io/library/busybox:latest}',
      ],
    ])
  })
})

/** Returns the lines that differ, in pairs; a removed line is without a pair. */
function diffOf(before: string, after: string): [string, string | undefined][] {
  const [old, now] = [before.split('\n'), after.split('\n')]
  const pairs: [string, string | undefined][] = []
  for (let one = 0, other = 0; one < old.length; one++) {
    if (old[one] === now[other]) other++
    else if (old[one + 1] === now[other]) pairs.push([old[one] ?? '', undefined])
    else pairs.push([old[one] ?? '', now[other++]])
  }
  return pairs
}

describe('pull policies and pull secrets', () => {
  const policy = {
    pullPolicy: [{ images: [{ matches: () => true }], set: 'IfNotPresent' }],
    pullSecrets: [
      { secret: 'mirror', matches: () => true },
      { secret: 'other', matches: () => true },
    ],
  }

  const pod = (spec: string) => `kind: Pod\napiVersion: v1\nmetadata: { name: p }\n${spec}`

  it.each([
    {
      name: 'uses block style, with the indentation of the other lists',
      spec: 'spec: # pods\n    # the one\n    containers:\n    - image: a # why\n      name: c\n',
      want: 'spec: # pods\n    imagePullSecrets:\n    - name: mirror\n    - name: other\n    # the one\n    containers:\n    - image: anubis:32000/docker.io/library/a:latest # why\n      imagePullPolicy: IfNotPresent\n      name: c\n',
    },
    {
      name: 'follows lists with a larger indentation',
      spec: 'spec:\n  containers:\n    - name: c\n      image: a',
      want: 'spec:\n  imagePullSecrets:\n    - name: mirror\n    - name: other\n  containers:\n    - name: c\n      image: anubis:32000/docker.io/library/a:latest\n      imagePullPolicy: IfNotPresent',
    },
    {
      name: 'keeps an existing secret, and replaces an existing policy',
      spec: "spec:\n  imagePullSecrets:\n  - name: own # mine\n  # what runs\n  containers:\n  - image: 'a'\n    imagePullPolicy: 'Always'\n",
      want: "spec:\n  imagePullSecrets:\n  - name: own # mine\n  - name: mirror\n  - name: other\n  # what runs\n  containers:\n  - image: 'anubis:32000/docker.io/library/a:latest'\n    imagePullPolicy: 'IfNotPresent'\n",
    },
    {
      name: 'uses flow style',
      spec: 'spec: { imagePullSecrets: [{ name: own }], containers: [{ image: "a", name: c }] }\n',
      want: 'spec: { imagePullSecrets: [{ name: own }, { name: mirror }, { name: other }], containers: [{ image: "anubis:32000/docker.io/library/a:latest", imagePullPolicy: IfNotPresent, name: c }] }\n',
    },
    {
      name: 'fills an empty list and a null',
      spec: 'spec:\n  imagePullSecrets: []\n  containers: [{ image: a }]\n---\nkind: Pod\napiVersion: v1\nspec:\n  imagePullSecrets:\n  containers: [{ image: a }]\n',
      want: 'spec:\n  imagePullSecrets: [{ name: mirror }, { name: other }]\n  containers: [{ image: anubis:32000/docker.io/library/a:latest, imagePullPolicy: IfNotPresent }]\n---\nkind: Pod\napiVersion: v1\nspec:\n  imagePullSecrets: [{ name: mirror }, { name: other }]\n  containers: [{ image: anubis:32000/docker.io/library/a:latest, imagePullPolicy: IfNotPresent }]\n',
    },
    {
      name: 'sets pullPolicy on an image volume',
      spec: 'spec:\n  imagePullSecrets: [{ name: mirror }, { name: other }]\n  volumes:\n  - name: v\n    image:\n      reference: a\n',
      want: 'spec:\n  imagePullSecrets: [{ name: mirror }, { name: other }]\n  volumes:\n  - name: v\n    image:\n      reference: anubis:32000/docker.io/library/a:latest\n      pullPolicy: IfNotPresent\n',
    },
    {
      name: 'keeps Windows line endings',
      spec: 'spec:\r\n  containers:\r\n  - name: c\r\n    image: a\r\n',
      want: 'spec:\r\n  imagePullSecrets:\r\n  - name: mirror\r\n  - name: other\r\n  containers:\r\n  - name: c\r\n    image: anubis:32000/docker.io/library/a:latest\r\n    imagePullPolicy: IfNotPresent\r\n',
    },
  ])('$name', async ({ spec, want }) => {
    const result = await rewrite(pod(spec), dependencies(policy))

    expect(result.text).toBe(pod(want))
    expect(result.notes).toEqual([])
    expect((await rewrite(result.text, dependencies(policy))).text).toBe(result.text)
  })

  it.each([
    [
      'with the pull policy Never',
      'spec: { containers: [{ image: a, imagePullPolicy: Never }] }\n',
    ],
    [
      'of an image volume with the pull policy Never',
      'spec: { volumes: [{ name: v, image: { reference: a, pullPolicy: Never } }] }\n',
    ],
  ])('are left alone, and so is the image, for an image %s', async (_, spec) => {
    const result = await rewrite(pod(spec), dependencies(policy))

    expect(result.text).toBe(pod(spec))
    expect(result.images.map(({ why }) => why)).toEqual([
      'left unchanged: imagePullPolicy is Never',
    ])
  })

  it('have a note for a pod with the label of a namespace that opts out', async () => {
    const text =
      'kind: Pod\napiVersion: v1\nmetadata: { name: p, labels: { berth.dev/rewrite: disabled } }\nspec: { containers: [{ image: a }] }\n'

    expect((await rewrite(text)).notes).toEqual([
      {
        line: 1,
        object: 'Pod p',
        message:
          'label berth.dev/rewrite: disabled has no effect on a pod unless a row with leave: true selects it',
      },
    ])
  })

  it('uses JSON in JSON', async () => {
    const json = JSON.stringify(
      { apiVersion: 'v1', kind: 'Pod', spec: { containers: [{ name: 'c', image: 'a' }] } },
      null,
      '\t',
    )

    const { text } = await rewrite(json, dependencies(policy))

    expect(JSON.parse(text)).toEqual({
      apiVersion: 'v1',
      kind: 'Pod',
      spec: {
        imagePullSecrets: [{ name: 'mirror' }, { name: 'other' }],
        containers: [
          {
            name: 'c',
            image: 'anubis:32000/docker.io/library/a:latest',
            imagePullPolicy: 'IfNotPresent',
          },
        ],
      },
    })
    expect(text).toContain('\n\t\t\t\t"imagePullPolicy": "IfNotPresent"\n')
  })

  it('are not changed with imagesOnly', async () => {
    const text = pod('spec:\n  containers:\n  - image: a\n')

    const result = await rewrite(text, dependencies(policy), true)

    expect(result.text).toBe(
      text.replace('image: a', 'image: anubis:32000/docker.io/library/a:latest'),
    )
    expect(result.others).toEqual([])
  })
})

describe('unchanged manifests', () => {
  it.each([
    ['a kind without a pod', 'apiVersion: v1\nkind: ConfigMap\ndata: { image: nginx }\n'],
    [
      'an image that another webhook fills in',
      'apiVersion: v1\nkind: Pod\nspec: { containers: [{ image: auto }] }\n',
    ],
    ['an empty file', ''],
    ['only comments', '# to do\n'],
    ['values of a chart', 'image:\n  repository: nginx\n'],
    [
      'an image that is not a string',
      'apiVersion: v1\nkind: Pod\nspec: { containers: [{ image: 1.20 }, { image: [nginx] }] }\n',
    ],
  ])('include %s', async (_, text) => {
    const result = await rewrite(text)

    expect(result).toMatchObject({ text, notes: [] })
    expect(changesOf(result)).toEqual([])
  })

  it('include the values of a HelmRelease, with a note', async () => {
    const text =
      'apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: { name: s3 }\nspec: { values: { image: nginx } }\n'

    const result = await rewrite(text)

    expect(result.text).toBe(text)
    expect(result.notes).toEqual([
      {
        line: 1,
        object: expect.any(String),
        message: expect.stringContaining('changed only by berth rewrite --helm-values'),
      },
    ])
  })

  it('include an image name that does not parse, with a warning and its line', async () => {
    const text = 'apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: Nginx\n'

    const result = await rewrite(text)

    expect(result.text).toBe(text)
    expect(result.notes).toEqual([
      {
        line: 5,
        object: expect.any(String),
        message: expect.stringContaining('Nginx is not a valid image'),
      },
    ])
  })

  it('include an object whose anchor is used elsewhere, with a note, but not other objects', async () => {
    const shared =
      'apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: &i nginx\n    env: [{ name: I, value: *i }]\n'
    const free = '---\napiVersion: v1\nkind: Pod\nspec: { containers: [{ image: redis:8 }] }\n'

    const result = await rewrite(shared + free)

    expect(result.text).toBe(shared + free.replace('redis', 'anubis:32000/docker.io/library/redis'))
    expect(changesOf(result)).toEqual([['Pod', 'containers/0', 'redis:8']])
    expect(result.notes).toEqual([
      {
        line: 1,
        object: expect.any(String),
        message: expect.stringContaining('not rewritten, because it shares an anchor'),
      },
    ])
  })

  it('include the whole text if a row denies an image', async () => {
    const table = tableOf(
      ['anubis:32000'],
      [
        {
          name: 'closed',
          images: ['docker.io/**'],
          try: ['anubis:32000/{path}'],
          otherwise: 'deny',
        },
      ],
    )
    const text = 'apiVersion: v1\nkind: Pod\nspec: { containers: [{ image: nginx }] }\n'

    const result = await rewrite(text, dependencies({ table, answers: {} }))

    expect(result.text).toBe(text)
    expect(result.denied).toEqual([
      {
        line: 3,
        object: expect.any(String),
        message: expect.stringContaining('row closed has otherwise: deny'),
      },
    ])
  })

  it('include invalid YAML, with its line', async () => {
    const { signal } = new AbortController()
    const result = await rewriteManifests(dependencies(), 'a: 1\nb: [', {
      namespace: 'default',
      owners: null,
      imagesOnly: false,
      signal,
    })

    expect(result).toMatchObject({ ok: false, line: 2 })
  })
})

describe('the rewritten image', () => {
  const table = tableOf(
    ['anubis:32000'],
    [
      { name: 'moved', images: ['docker.io/acme/*'], try: ['ghcr.io/acme/{name}'] },
      {
        name: 'ghcr',
        images: ['ghcr.io/**'],
        try: ['anubis:32000/{host}/{path}', 'ghcr.io/{path}'],
      },
    ],
  )
  const text = 'apiVersion: v1\nkind: Pod\nspec: { containers: [{ image: acme/app:1 }] }\n'

  it('is one that the table keeps: an alternate is rewritten to its own mirror', async () => {
    const answers = { 'ghcr.io': found(digestA), 'anubis:32000': found(digestA) }

    const result = await rewrite(text, dependencies({ table, answers }))

    expect(result.images).toMatchObject([
      {
        from: 'acme/app:1',
        to: `anubis:32000/ghcr.io/acme/app:1@${digestA}`,
        why: "found on ghcr.io, another publisher's copy; then found on anubis:32000",
      },
    ])
  })

  it('is the alternate if its mirror is unreachable', async () => {
    const answers = { 'ghcr.io': found(digestA), 'anubis:32000': failed('unreachable') }

    const result = await rewrite(text, dependencies({ table, answers }))

    expect(result.images[0]?.to).toBe(`ghcr.io/acme/app:1@${digestA}`)
  })
})

describe('a lock file', () => {
  const text = 'apiVersion: v1\nkind: Pod\nspec: { containers: [{ image: nginx:1 }] }\n'
  const pin = { ...keep, locked: () => digestB }

  it('pins the image to its digest, and keeps the tag', async () => {
    const { dependencies: asked, asked: questions } = registriesOf({
      'anubis:32000': found(digestB),
    })
    const result = await rewrite(text, {
      ...dependencies(),
      decide: createDecide(asked, { table: mirrored, pin }),
    })

    expect(questions).toEqual([`anubis:32000/docker.io/library/nginx@${digestB}`])
    expect(result.images).toMatchObject([
      { to: `anubis:32000/docker.io/library/nginx:1@${digestB}`, pinned: true },
    ])
  })
})

describe('the rewritten text', () => {
  it('has the same value as the original, except for the images', async () => {
    const text = readFileSync(`${fixtures}delivery.yaml`, 'utf8')

    const { text: written } = await rewrite(text)

    const plain = (yaml: string) =>
      parseAllDocuments(yaml).map((document) => document.toJS() as unknown)
    expect(JSON.stringify(plain(written)).replaceAll('anubis:32000/', '')).toBe(
      JSON.stringify(plain(text)),
    )
  })
})

describe('an object that cannot be rewritten', () => {
  it('does not keep the others from being rewritten', async () => {
    const pod = (name: string) =>
      `---\napiVersion: v1\nkind: Pod\nmetadata: { name: ${name} }\nspec: { containers: [{ name: c, image: nginx }] }\n`
    const shared = pod('s').replace('{ name: c', '&c { name: c').replace('] }', '], other: *c }')
    const pods = (from: number) =>
      Array.from({ length: 9 }, (_, at) => pod(`p${from + at}`)).join('')
    const { text: written, notes } = await rewrite(pods(0) + shared + pods(9))

    expect(written.match(/image: anubis/g)).toHaveLength(18)
    expect(written).toContain(shared)
    expect(notes).toHaveLength(1)
  })
})

describe('a pod with more image fields than a function call can have arguments', () => {
  // The limit of V8 is about 125,000.
  const count = 130_000
  const text = JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    spec: { containers: Array.from({ length: count }, () => ({ image: 'a:1' })) },
  })

  it('is rewritten in every field', { timeout: 300_000 }, async () => {
    const rewritten = await rewrite(text)

    const expected = text.replaceAll('"a:1"', '"anubis:32000/docker.io/library/a:1"')

    expect(rewritten.images).toHaveLength(count)
    // A failure must not print the texts.
    expect(rewritten.text === expected).toBe(true)
  })
})
