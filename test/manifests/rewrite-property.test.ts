import { fc, runs } from '../support/fast-check.ts'
import { parseAllDocuments, stringify } from 'yaml'
import { describe, expect, it } from 'vitest'
import { readPodContext } from '../../src/decision/pod/pod-context.ts'
import { decideSites } from '../../src/decision/pod/decide-sites.ts'
import { rewriteManifests } from '../../src/manifests/rewrite.ts'
import type { FallbackTable } from '../../src/decision/fallback/table.ts'
import { createDecide } from '../../src/decision/resolve/decision-cache.ts'
import { digestA, digestB, failed, found, registriesOf } from '../support/manifest-answers.ts'
import { requestOf } from '../support/reviews.ts'
import { member } from '../../src/json/json.ts'
import { anubis, freeipa, tableOf } from '../support/tables.ts'

const chained = tableOf(
  ['anubis:32000', 'localhost:5000'],
  [
    { name: 'moved', images: ['docker.io/acme/*'], try: ['ghcr.io/acme/{name}', '{host}/{path}'] },
    { name: 'ghcr', images: ['ghcr.io/**'], try: ['anubis:32000/{host}/{path}', 'quay.io/{path}'] },
    { name: 'quay', images: ['quay.io/**'], try: ['localhost:5000/{path}'], otherwise: 'first' },
    { name: 'rest', images: ['**'], try: ['localhost:5000/{host}/{path}'] },
  ],
)

const image = fc.oneof(
  fc.constantFrom(
    'nginx',
    'nginx:1.29',
    'acme/app',
    'freeipa/freeipa-server:latest',
    'ghcr.io/acme/tool:v1',
    'quay.io/acme/x',
    'anubis:32000/house/app:2',
    'localhost:5000/a',
    `docker.io/acme/app:1@${digestA}`,
    'index.docker.io/library/redis:8',
    '[::1]:5000/x',
    'Not An Image',
    'auto',
  ),
  fc.stringMatching(/^[a-z]{1,6}(\/[a-z]{1,6})?(:[a-z0-9]{1,4})?$/),
)

const answer = fc.constantFrom(
  found(digestA),
  found(digestB),
  failed('absent'),
  failed('unreachable'),
)

const setting = fc.record({
  table: fc.constantFrom<FallbackTable>(anubis, freeipa, chained),
  pinAll: fc.boolean(),
  answers: fc.dictionary(
    fc.constantFrom('anubis:32000', 'localhost:5000', 'docker.io', 'ghcr.io', 'quay.io'),
    answer,
  ),
  locked: fc.constantFrom(null, digestB),
})

const container = fc.record(
  {
    name: fc.stringMatching(/^[a-z]{1,5}$/),
    image,
    imagePullPolicy: fc.constantFrom('Always', 'Never'),
    args: fc.array(fc.oneof(fc.string(), fc.constantFrom('image: nginx', '# no', '--- x', '{{'))),
    env: fc.array(fc.record({ name: fc.constant('IMAGE'), value: fc.string() })),
  },
  { requiredKeys: ['name', 'image'] },
)

const podSpec = fc.record(
  {
    initContainers: fc.array(container),
    containers: fc.array(container, { minLength: 1 }),
    imagePullSecrets: fc.oneof(
      fc.constant(null),
      fc.array(fc.record({ name: fc.constantFrom('own', 'mirror') })),
    ),
    volumes: fc.array(
      fc.record({ name: fc.constant('v'), image: fc.record({ reference: image }) }),
    ),
    nodeSelector: fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), fc.string()),
  },
  { requiredKeys: ['containers'] },
)

const style = fc.record({
  collectionStyle: fc.constantFrom('any', 'block', 'flow'),
  defaultStringType: fc.constantFrom('PLAIN', 'QUOTE_DOUBLE', 'QUOTE_SINGLE'),
  indent: fc.integer({ min: 2, max: 5 }),
  indentSeq: fc.boolean(),
  lineWidth: fc.constantFrom(0, 40, 80),
})

/** Manifests in any style of YAML, or in JSON. */
const text = fc
  .record({ specs: fc.array(podSpec, { minLength: 1, maxLength: 3 }), style, json: fc.boolean() })
  .map(({ specs, style, json }) => {
    const objects = specs.map((spec) => ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd', namespace: 'team' },
      spec: { template: { metadata: { labels: { a: 'b' } }, spec } },
    }))
    if (json)
      return JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }, null, style.indent)
    return objects
      .map((object) => stringify(object, { ...style, aliasDuplicateObjects: false } as object))
      .join('---\n')
  })

function prepare({
  table,
  pinAll,
  answers,
  locked,
}: typeof setting extends fc.Arbitrary<infer Value> ? Value : never) {
  const pin = {
    matches: () => pinAll,
    unresolved: 'keep' as const,
    // Only images of Docker Hub are locked, so that some images are and others are not.
    locked: (reference: { domain: string; digest: string | null }) =>
      reference.digest === null && reference.domain === 'docker.io' ? locked : null,
  }
  return createDecide(registriesOf(answers).dependencies, { table, pin })
}

const policy = {
  pullPolicy: [
    {
      images: [{ matches: ({ domain }: { domain: string }) => domain.includes(':') }],
      set: 'IfNotPresent',
    },
  ],
  pullSecrets: [
    { secret: 'mirror', matches: ({ domain }: { domain: string }) => domain.includes(':') },
    { secret: 'second', matches: () => true },
  ],
  mode: 'enforce' as const,
}

const { signal } = new AbortController()
const options = { namespace: 'default', owners: null, imagesOnly: false, signal }

describe('rewriteManifests', () => {
  it('writes what the webhook would patch, in any style of manifest', async () => {
    let changed = 0
    await fc.assert(
      fc.asyncProperty(text, setting, async (before, given) => {
        const decide = prepare(given)
        const dependencies = { decide, policy, workloads: [] }

        const result = await rewriteManifests(dependencies, before, options)

        // For some strings, the YAML library writes text that it cannot parse.
        fc.pre(result.ok)
        expect(result.notes.filter(({ message }) => message.includes('not rewritten'))).toEqual([])
        if (result.text !== before) changed++
        // The webhook changes no image in the pods of the result.
        for (const pod of podsOf(result.text)) {
          const request = requestOf(pod, { namespace: 'team' })
          const context = readPodContext(pod, 'team')
          const decisions = await decideSites(decide, {
            request,
            policy,
            pod: context,
            signal: () => signal,
          })
          for (const { site, image } of decisions) expect(image).toBe(site.image)
        }
        // A second rewrite changes nothing.
        const again = await rewriteManifests(dependencies, result.text, options)
        expect(again.ok && again.text).toBe(result.text)
      }),
      runs(60),
    )
    expect(changed).toBeGreaterThan(15)
  }, 30_000)
})

function podsOf(manifests: string): unknown[] {
  return parseAllDocuments(manifests).flatMap((document) => {
    const object = document.toJS() as { items?: unknown[] }
    return (object.items ?? [object]).map((each) => member(member(each, 'spec'), 'template'))
  })
}
