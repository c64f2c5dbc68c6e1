import { describe, expect, it } from 'vitest'
import { runConfigTests } from '../../src/config/config-tests.ts'
import { readConfig } from '../../src/config/load.ts'
import { formatReference } from '../../src/decision/reference/reference.ts'
import { resolveWithoutProbing } from '../../src/decision/resolve/resolve.ts'
import { configText } from '../../src/init/config-text.ts'
import { type InitPlan, mirrorTemplate } from '../../src/init/init-plan.ts'
import { mirrorKinds, type MirrorKind } from '../../src/init/mirror-kind.ts'
import { upstreamHosts } from '../../src/init/upstream-hosts.ts'
import { fc, runs } from '../support/fast-check.ts'
import { referenceOf } from '../support/tables.ts'

const barePlan: InitPlan = {
  schema: 'berth.schema.json',
  mirror: {
    host: 'mirror.corp:5000',
    endpoint: null,
    kind: 'docker-registry',
    prefix: '',
    caches: new Map(),
    secret: null,
    ca: null,
  },
  upstreams: [],
  platforms: [],
  proxy: null,
  operators: [],
  notes: [],
}

function planOf(images: readonly string[], plan: Partial<InitPlan> = {}): InitPlan {
  const mirror = { ...barePlan.mirror, ...plan.mirror }
  const { hosts, notes } = upstreamHosts(images, { mirror: mirror.host, more: [] })
  return {
    ...barePlan,
    ...plan,
    mirror,
    upstreams: hosts.map((host) => ({ ...host, endpoint: null, note: null })),
    notes,
  }
}

/** Loads a written config; fails if it has a warning, or if a test of it fails. */
function loaded(text: string) {
  const result = readConfig(text, '/nowhere')
  expect(result.ok ? result.config.warnings : result.problems).toEqual([])
  if (!result.ok) throw new Error(text)
  const failures = runConfigTests(result.config).map(({ failure }) => failure)
  expect(failures.filter((failure) => failure !== null)).toEqual([])
  return result.config
}

describe('configText', () => {
  it('has the schema, a row for each registry, and tests', () => {
    const text = configText(planOf(['nginx:1.29', 'redis', 'quay.io/cilium/cilium:v1']))

    expect(text).toBe(`# yaml-language-server: $schema=berth.schema.json
# Written by \`berth init\`. Edit it as needed; \`berth check\` validates it.
apiVersion: berth.dev/v1alpha1
kind: BerthConfig

registries:
  - host: 'mirror.corp:5000' # the mirror: a plain registry (docker-registry, distribution)
    mirror: true

# The first row that matches an image decides: the mirror, then the upstream registry.
fallback:
  - name: docker-hub # 2 repositories in use
    images: ['docker.io/**']
    try: ['mirror.corp:5000/{host}/{path}', 'docker.io/{path}']
  - name: quay # 1 repository in use
    images: ['quay.io/**']
    try: ['mirror.corp:5000/{host}/{path}', 'quay.io/{path}']

# New pods get the digest that these tags have now, so that all replicas run the same.
pin: { tags: [latest] }

# \`berth check\` runs these tests. The last one: an image that is already on the mirror stays unchanged.
tests:
  - { image: 'docker.io/library/nginx:1.29', expect: 'mirror.corp:5000/docker.io/library/nginx:1.29', row: docker-hub }
  - { image: 'quay.io/cilium/cilium:v1', expect: 'mirror.corp:5000/quay.io/cilium/cilium:v1', row: quay }
  - { image: 'mirror.corp:5000/docker.io/team/app:1', expect: 'mirror.corp:5000/docker.io/team/app:1', row: null }
`)
    expect(loaded(text).table.rows.map(({ name }) => name)).toEqual(['docker-hub', 'quay'])
  })

  it('keeps a hostile note in its comment', () => {
    const plan = {
      ...planOf(['nginx']),
      notes: ['x\nmode: observe\u2028kind: x'],
      operators: ['a\r\nb: c'],
    }

    expect(loaded(configText(plan)).mode).toBe('enforce')
  })

  it('puts the copies into a project, and uses the paths of caches', () => {
    const mirror = {
      ...barePlan.mirror,
      host: 'harbor.corp',
      kind: 'harbor' as const,
      prefix: 'mirror',
      caches: new Map([['docker.io', 'hub-proxy']]),
      secret: 'harbor-robot',
    }

    const config = loaded(configText(planOf(['nginx', 'quay.io/a/b:1'], { mirror })))

    expect(config.registries.get('harbor.corp')).toMatchObject({ copy: false })
    expect(mirrorTemplate(mirror, 'docker.io')).toBe('harbor.corp/hub-proxy/{path}')
    expect(mirrorTemplate(mirror, 'quay.io')).toBe('harbor.corp/mirror/{host}/{path}')
  })

  const hosts = fc.oneof(
    fc.constantFrom(
      'docker.io',
      'ghcr.io',
      'quay.io',
      'registry.k8s.io',
      'index.docker.io',
      'GHCR.io',

      'registry.corp:5000',
      'registry.corp-5000',
      'localhost:5000',
      '127.0.0.1:5000',
      '[fd00::1]:5000',

      'registry.corp:443',
      'registry.corp:80',
      'Anubis',
      'registry.corp',
      'registry.corp:05000',
      '10.0.0.1:5000',
      '0x7f.1',
      'a.b',
    ),
    fc.domain(),
    fc
      .tuple(fc.domain(), fc.integer({ min: 1, max: 65_535 }))
      .map(([host, port]) => `${host}:${port}`),
  )
  const segment = fc.stringMatching(/^[a-z0-9]{1,8}(?:[._-][a-z0-9]{1,4})?$/)
  const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'))
  const image = fc
    .tuple(
      fc.option(hosts),
      path,
      fc.constantFrom(
        '',
        ':1',
        ':latest',
        `:v2@sha256:${'a'.repeat(64)}`,
        `@sha256:${'b'.repeat(64)}`,
      ),
    )
    .map(([host, name, suffix]) => `${host === null ? '' : `${host}/`}${name}${suffix}`)
  const plan = fc.record({
    images: fc.array(fc.oneof({ weight: 9, arbitrary: image }, fc.string()), { maxLength: 80 }),
    mirror: fc.constantFrom(
      'mirror.corp:5000',
      'anubis:32000',
      '10.1.2.3:30500',
      'harbor.corp',
      'ghcr.io',
      'quay.io',
    ),
    kind: fc
      .constantFrom(...(Object.keys(mirrorKinds) as MirrorKind[]))
      .filter((kind) => kind !== 'ecr'),
    prefix: fc.constantFrom('', 'mirror', 'acme/mirror'),
    isPlainHttp: fc.boolean(),
    hasPlainUpstreams: fc.boolean(),
    secret: fc.option(fc.constantFrom('creds', 'a.b-c')),
    platforms: fc.constantFrom([], ['linux/amd64'], ['linux/amd64', 'linux/arm64']),
    proxy: fc.option(fc.constant('http://proxy.corp:3128')),
    cache: fc.option(fc.constantFrom('', 'hub')),
    notes: fc.array(fc.string({ unit: 'binary' }), { maxLength: 3 }),
  })

  it('loads without a warning, passes its tests, and never prefixes an image twice, whatever runs', () => {
    let rows = 0
    fc.assert(
      fc.property(plan, (given) => {
        const mirror = {
          ...barePlan.mirror,
          host: given.mirror,
          kind: given.kind,
          prefix: given.prefix,
          endpoint: given.isPlainHttp ? `http://${given.mirror}` : null,
          secret: given.secret,
          caches: new Map(given.cache === null ? [] : [['docker.io', given.cache]]),
        }
        const { platforms, proxy } = given
        const made = planOf(given.images, { mirror, platforms, proxy, operators: given.notes })

        const upstreams = made.upstreams.map((each) =>
          given.hasPlainUpstreams ? { ...each, endpoint: `http://${each.host}` } : each,
        )
        const notes = [...made.notes, ...given.notes]

        const config = loaded(configText({ ...made, upstreams, notes }))

        rows += config.table.rows.length
        const pod = { namespace: 'default', labels: {}, owners: [] }
        for (const { example } of made.upstreams) {
          if (example === null) continue
          const first = resolveWithoutProbing(config, { reference: example, pod })
          const again = resolveWithoutProbing(config, { reference: first.chosen, pod })
          expect(formatReference(again.chosen)).toBe(formatReference(first.chosen))
          expect(first.chosen.domain).toBe(given.mirror)
        }
      }),
      runs(200),
    )
    expect(rows).toBeGreaterThan(500)
  })

  it('writes at most 50 rows, and says which registries have none', () => {
    const images = Array.from({ length: 70 }, (_, index) => `r${index}.example/a:1`)
    const text = configText(planOf(images))

    expect(loaded(text).table.rows).toHaveLength(50)
    expect(text.match(/the limit is 50 rows, and other registries have more images/g)).toHaveLength(
      20,
    )
    expect(referenceOf('r0.example/a:1').domain).toBe('r0.example')
  })
})
