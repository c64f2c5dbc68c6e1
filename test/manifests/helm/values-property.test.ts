import { parse, parseAllDocuments, stringify } from 'yaml'
import { describe, expect, it } from 'vitest'
import { parseReference } from '../../../src/decision/reference/parse.ts'
import { formatReference } from '../../../src/decision/reference/reference.ts'
import { createDecide } from '../../../src/decision/resolve/decision-cache.ts'
import type { Resolution } from '../../../src/decision/resolve/resolution.ts'
import { rewriteManifests } from '../../../src/manifests/rewrite.ts'
import { member } from '../../../src/json/json.ts'
import { fc, runs } from '../../support/fast-check.ts'
import { digestA, digestB, failed, found, registriesOf } from '../../support/manifest-answers.ts'
import { tableOf } from '../../support/tables.ts'

const table = tableOf(
  ['anubis:32000', 'localhost:5000'],
  [
    { name: 'moved', images: ['docker.io/acme/*'], try: ['ghcr.io/acme/{name}', '{host}/{path}'] },
    {
      name: 'mapped',
      images: ['quay.io/tagged/**'],
      tags: { v1: 'v1-mirror' },
      try: ['anubis:32000/{path}'],
      otherwise: 'first',
    },
    { name: 'ghcr', images: ['ghcr.io/**'], try: ['anubis:32000/{host}/{path}', 'quay.io/{path}'] },
    { name: 'quay', images: ['quay.io/**'], try: ['localhost:5000/{path}'], otherwise: 'first' },
  ],
)

/** One way in which charts compose an image. `chart` is what the template of the chart does. */
interface Layout {
  readonly write: (image: Parts) => Record<string, unknown>
  readonly chart: (values: Record<string, unknown>) => string
  readonly hasDigest: boolean
}

interface Parts {
  readonly registry: string
  readonly path: string
  readonly tag: string
}

const text = (value: unknown) => (typeof value === 'string' ? value : '')
const withDigest = (image: string, digest: string) => (digest === '' ? image : `${image}@${digest}`)

const layouts: Record<string, Layout> = {
  'repository and tag': {
    write: ({ registry, path, tag }) => ({ repository: `${registry}/${path}`, tag }),
    chart: ({ repository, tag }) => `${text(repository)}:${text(tag)}`,
    hasDigest: false,
  },
  'registry, repository, tag and digest': {
    write: ({ registry, path, tag }) => ({ registry, repository: path, tag, digest: '' }),
    chart: ({ registry, repository, tag, digest }) =>
      withDigest(`${text(registry)}/${text(repository)}:${text(tag)}`, text(digest)),
    hasDigest: true,
  },
  'registry with a path': {
    write: ({ registry, path, tag }) => ({
      registry: `${registry}/${path.slice(0, path.lastIndexOf('/'))}`,
      repository: path.slice(path.lastIndexOf('/') + 1),
      tag,
    }),
    chart: ({ registry, repository, tag }) => `${text(registry)}/${text(repository)}:${text(tag)}`,
    hasDigest: false,
  },
  'image, tag and sha': {
    write: ({ registry, path, tag }) => ({ image: `${registry}/${path}`, tag, sha: '' }),
    chart: ({ image, tag, sha }) =>
      withDigest(`${text(image)}:${text(tag)}`, text(sha) && `sha256:${text(sha)}`),
    hasDigest: true,
  },
  'tag with a digest': {
    write: ({ registry, path, tag }) => ({
      repository: `${registry}/${path}`,
      tag: `${tag}@${digestA}`,
    }),
    chart: ({ repository, tag }) => `${text(repository)}:${text(tag)}`,
    hasDigest: true,
  },
  'a whole image': {
    write: ({ registry, path, tag }) => ({ image: `${registry}/${path}:${tag}` }),
    chart: ({ image }) => text(image),
    hasDigest: true,
  },
}

const group = fc.record({
  layout: fc.constantFrom(...Object.keys(layouts)),
  parts: fc.record({
    registry: fc.constantFrom('docker.io', 'ghcr.io', 'quay.io', 'anubis:32000', 'example.com'),
    path: fc.constantFrom('acme/app', 'tagged/x', 'a/b/c', 'team/tool'),
    tag: fc.constantFrom('v1', '1.29', 'latest', '2'),
  }),
  others: fc.record({
    pullPolicy: fc.constantFrom('Always', 'Never'),
    args: fc.array(fc.constantFrom('--a', '# no', 'x: y', 'ghcr.io/acme/arg:1')),
  }),
})

const style = fc.record({
  collectionStyle: fc.constantFrom('any', 'block', 'flow'),
  defaultStringType: fc.constantFrom('PLAIN', 'QUOTE_DOUBLE', 'QUOTE_SINGLE'),
  indent: fc.integer({ min: 2, max: 4 }),
  indentSeq: fc.boolean(),
})

const form = fc.constantFrom(
  'release',
  'chart',
  'application',
  'object',
  'parameters',
  'file',
  'json',
)

const setting = fc.record({
  answers: fc.dictionary(
    fc.constantFrom('anubis:32000', 'localhost:5000', 'docker.io', 'ghcr.io', 'quay.io'),
    fc.constantFrom(found(digestA), found(digestB), failed('absent'), failed('unreachable')),
  ),
  pinAll: fc.boolean(),
})

type Values = Record<string, { image: Record<string, unknown> }>
type Form = typeof form extends fc.Arbitrary<infer Value> ? Value : never

function write(form: Form, values: Values, style: object): string {
  const options = { ...style, lineWidth: 0, aliasDuplicateObjects: false } as object
  const inner = stringify(values, options)
  const head = (apiVersion: string, kind: string) => ({ apiVersion, kind, metadata: { name: 'x' } })
  const whole = (value: unknown) => stringify(value, options)
  const block = `|\n${inner.replaceAll(/^(?=.)/gm, '      ')}`
  const parameters = Object.entries(values).flatMap(([name, { image }]) =>
    Object.entries(image)
      .filter(([, value]) => typeof value === 'string')
      .map(([key, value]) => ({ name: `${name}.image.${key}`, value })),
  )
  const application = head('argoproj.io/v1alpha1', 'Application')
  switch (form) {
    case 'release':
      return whole({
        ...head('helm.toolkit.fluxcd.io/v2', 'HelmRelease'),
        spec: { chart: {}, values },
      })
    case 'chart':
      return `${stringify(head('helm.cattle.io/v1', 'HelmChart'))}spec:\n  chart: x\n  # values\n  valuesContent: ${block}`
    case 'application':
      return `${stringify(application)}spec:\n  project: p\n  destination: {}\n  source:\n   helm:\n    values: ${block}`
    case 'object':
      return whole({ ...application, spec: { sources: [{ helm: { valuesObject: values } }] } })
    case 'parameters':
      return whole({ ...application, spec: { source: { helm: { parameters } } } })
    case 'file':
      return `# values\n${inner}`
    case 'json':
      return JSON.stringify({
        ...head('helm.cattle.io/v1', 'HelmChart'),
        spec: { chart: 'x', valuesContent: inner },
      })
  }
}

/** Reads the values as Helm gets them. */
function read(form: Form, manifest: string): Values {
  const object: unknown = parseAllDocuments(manifest)[0]?.toJS()
  const spec = member(object, 'spec')
  const source = member(member(spec, 'source'), 'helm')
  switch (form) {
    case 'release':
      return member(spec, 'values') as Values
    case 'chart':
    case 'json':
      return parse(text(member(spec, 'valuesContent'))) as Values
    case 'application':
      return parse(text(member(source, 'values'))) as Values
    case 'object': {
      const [first] = member(spec, 'sources') as unknown[]
      return member(member(first, 'helm'), 'valuesObject') as Values
    }
    case 'parameters': {
      const values: Values = {}
      for (const { name, value } of member(source, 'parameters') as Record<
        'name' | 'value',
        string
      >[]) {
        const [app = '', , key = ''] = name.split('.')
        values[app] ??= { image: {} }
        values[app].image[key] = value
      }
      return values
    }
    case 'file':
      return object as Values
  }
}

const { signal } = new AbortController()
const policy = { pullPolicy: [], pullSecrets: [], mode: 'enforce' as const }
const options = {
  namespace: 'team',
  owners: null,
  imagesOnly: false,
  helmValues: { isValuesFile: true, overrides: { isOverridden: () => false } },
  signal,
}

const imageKeys = new Set(['registry', 'repository', 'image', 'tag', 'digest', 'sha'])

const otherLeaves = (values: Values) =>
  Object.entries(values).map(([name, { image }]) => [
    name,
    Object.entries(image).filter(([key]) => !imageKeys.has(key)),
  ])

describe('rewriteManifests with Helm values', () => {
  it('makes charts compose what the table decides, and changes nothing else', async () => {
    let changed = 0
    const groups = fc.array(group, { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(groups, form, style, setting, async (groups, form, style, given) => {
        const named = groups.map((each, index) => ({ ...each, name: `app${index}` }))
        const values: Values = Object.fromEntries(
          named.map(({ name, layout, parts, others }) => [
            name,
            { image: { ...layouts[layout]?.write(parts), ...others } },
          ]),
        )
        const before = write(form, values, style)
        const pin = { matches: () => given.pinAll, unresolved: 'keep' as const, locked: () => null }
        const decide = createDecide(registriesOf(given.answers).dependencies, { table, pin })
        const dependencies = { decide, policy, table, workloads: [] }

        const result = await rewriteManifests(dependencies, before, options)

        expect(result.ok).toBe(true)
        if (!result.ok) return
        if (result.text !== before) changed++
        expect(result.text.split('\n')).toHaveLength(before.split('\n').length)
        const [old, now] = [read(form, before), read(form, result.text)]
        expect(otherLeaves(now)).toEqual(otherLeaves(old))
        for (const { name, layout } of named) {
          const { chart, hasDigest } = layouts[layout] as Layout
          const image = chart(old[name]?.image ?? {})
          const pod = { namespace: 'team', labels: null, owners: null }
          const decision = await decide(image, { pod, signal: () => signal })
          const expected = decision.ok
            ? expectedImage(image, decision.resolution, hasDigest)
            : image
          expect(normal(chart(now[name]?.image ?? {}))).toBe(normal(expected))
        }
        const again = await rewriteManifests(dependencies, result.text, options)
        expect(again.ok && again.text).toBe(result.text)
      }),
      runs(80),
    )
    expect(changed).toBeGreaterThan(25)
  }, 60_000)
})

/** What the chart should compose: the decision, without a digest where the values have no member for one. */
function expectedImage(image: string, resolution: Resolution, hasDigest: boolean): string {
  const { changed, chosen, kind } = resolution
  // Another publisher's image needs a digest.
  const isRefused = kind === 'alternate' && chosen.digest !== null && !hasDigest
  if (!changed || isRefused) return image
  return formatReference(hasDigest ? chosen : { ...chosen, digest: null })
}

function normal(image: string): string {
  const parsed = parseReference(image)
  return parsed.ok ? formatReference(parsed.reference) : image
}
