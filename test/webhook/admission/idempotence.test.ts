/** Admits generated pods twice, with generated tables that have every key for conditions, pins and unchanged images. */
import { fc, runs } from '../../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import { findSites } from '../../../src/decision/pod/sites.ts'
import type { RevisionDependencies } from '../../../src/webhook/admission/admit.ts'
import { admitWith, configOf } from '../../support/admission.ts'
import {
  digestA,
  digestB,
  failed,
  found,
  type Registries,
  registriesOf,
} from '../../support/manifest-answers.ts'
import { podOf, requestOf } from '../../support/reviews.ts'

const namespace = fc.constantFrom('db-1', 'prod', 'dev')
const owner = fc.constantFrom('apps/ReplicaSet', 'db.example/Cluster', 'postgresql.cnpg.io/Cluster')
const label = fc.constantFrom('db', 'web')

const when = fc
  .record(
    {
      namespaces: fc.uniqueArray(fc.constantFrom('db-*', 'prod', '*'), { minLength: 1 }),
      pods: fc.oneof(
        label.map((app) => ({ matchLabels: { app } })),
        fc.constantFrom(
          { matchExpressions: [{ key: 'app', operator: 'Exists' }] },
          { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['db'] }] },
        ),
      ),
      owners: fc.uniqueArray(fc.constantFrom('apps/ReplicaSet', 'db.example/*'), { minLength: 1 }),
    },
    { requiredKeys: [] },
  )
  .filter((condition) => Object.keys(condition).length > 0)
const maybeWhen = fc.option(when, { nil: undefined })

const images = fc.uniqueArray(
  fc.constantFrom(
    'docker.io/**',
    'ghcr.io/**',
    '**/nginx',
    'anubis:32000/**',
    'registry.corp:5000/**',
    '**',
  ),
  { minLength: 1, maxLength: 2 },
)
const template = fc.constantFrom(
  'anubis:32000/{host}/{path}',
  'anubis:32000/{namespace}/{path}',
  'localhost:5000/{name}',
  'localhost:5000/{host}-{flat}',
  'anubis:32000/{rest}',
  'ghcr.io/acme/{name}',
  '{host}/{path}',
)
const rowPin = fc.constantFrom(undefined, false, { tags: ['*'] }, { tags: ['latest'] })
const row = fc.oneof(
  fc.record({ when: maybeWhen, images, leave: fc.constant(true) }),
  fc.record({
    when: maybeWhen,
    images,
    try: fc.uniqueArray(template, { minLength: 1, maxLength: 3 }),
    tags: fc.constantFrom({}, { latest: 'stable' }),
    otherwise: fc.constantFrom('keep', 'first', 'deny'),
    pin: rowPin,
  }),
)

/** Valid configs only: the others are rejected before a pod is admitted. */
const config = fc
  .record({
    rows: fc.array(row, { maxLength: 4 }),
    pin: fc.record({ when: maybeWhen, tags: fc.constantFrom([], ['latest'], ['*']) }),
    pullPolicy: fc.array(
      fc.record({
        images,
        when: maybeWhen,
        set: fc.constantFrom('Always', 'IfNotPresent', 'Never'),
      }),
      { maxLength: 2 },
    ),
    pullSecrets: fc.array(
      fc.record({
        registries: fc.constantFrom(['docker.io'], ['anubis:32000']),
        when: maybeWhen,
        secret: fc.constantFrom('one', 'two'),
      }),
      { maxLength: 2 },
    ),
    knownConflicts: fc.constantFrom('leave', 'rewrite'),
  })
  .map(({ rows, ...rest }): string => {
    const input = {
      registries: ['anubis:32000', 'localhost:5000'].map((host) => ({ host, mirror: true })),
      fallback: rows.map((each, index) => ({ name: `row-${index}`, ...each })),
      ...rest,
    }
    // JSON is YAML.
    return Object.entries(input)
      .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
      .join('\n')
  })
  .filter(isValid)

function isValid(text: string): boolean {
  try {
    configOf(text)
    return true
  } catch {
    return false
  }
}

const platforms = { [digestA]: ['linux/amd64'], [digestB]: ['linux/amd64', 'linux/arm64'] }

const answers = fc.dictionary(
  fc.constantFrom('anubis:32000', 'localhost:5000', 'docker.io', 'ghcr.io'),
  fc.constantFrom(found(digestA), found(digestB), failed('absent'), failed('unreachable')),
)

const image: fc.Arbitrary<string> = fc.constantFrom(
  'nginx',
  'nginx:1',
  'team/app',
  `redis:8@${digestA}`,
  'ghcr.io/acme/app',
  'registry.corp:5000/team/app',
  'anubis:32000/registry.corp-5000/team/app:1',
  'anubis:32000/docker.io/library/nginx:latest',
  'localhost:5000/nginx',
  'auto',
  'NGINX',
)
const policy = fc.constantFrom(undefined, 'Always', 'Never')
const pod = fc.record({
  metadata: fc.record({
    labels: fc.record(
      {
        app: label,
        'berth.dev/rewrite': fc.constant('disabled'),
        'pod-template-hash': fc.constant('1'),
      },
      { requiredKeys: [] },
    ),
    ownerReferences: fc.array(
      owner.map((each) => ({
        apiVersion: `${each.split('/')[0]}/v1`,
        kind: each.split('/')[1],
        uid: 'owner-uid',
        controller: true,
      })),
      { maxLength: 1 },
    ),
  }),
  spec: fc.record({
    nodeSelector: fc.constantFrom({}, { 'kubernetes.io/arch': 'arm64' }),
    containers: fc
      .array(fc.record({ image, imagePullPolicy: policy }), { minLength: 1, maxLength: 3 })
      .map((list) => list.map((each, index) => ({ name: `c${index}`, ...each }))),
    volumes: fc
      .array(fc.record({ reference: image, pullPolicy: policy }), { maxLength: 1 })
      .map((list) => list.map((each, index) => ({ name: `v${index}`, image: each }))),
  }),
})

/** A registry that answers for a tag serves every digest. */
function withDigests({ dependencies, asked }: Registries): Registries {
  const queryManifest: typeof dependencies.queryManifest = async (query, signal) => {
    const answer = await dependencies.queryManifest(query, signal)
    const isByDigest = query.reference.startsWith('sha256:')
    return isByDigest && answer.outcome === 'found' ? found(query.reference) : answer
  }
  return { asked, dependencies: { ...dependencies, queryManifest } }
}

const digestC = `sha256:${'c'.repeat(64)}`

/** What the other pods of a revision run. */
const revisions = fc
  .uniqueArray(fc.constantFrom(digestA, digestB, digestC), { minLength: 1, maxLength: 2 })
  .map((digests): RevisionDependencies => ({
    siblings: {
      find: () => ({
        source: 'list',
        digests: digests.map((digest) => ({ digest, pod: 'sibling' })),
      }),
      expect: () => {},
    },
    onLookup: () => {},
  }))

describe('a pod that is admitted twice', () => {
  it('stays as it is the second time, for every config', async () => {
    const reasons = new Map<string, number>()
    const given = { config, answers, pod, namespace, revisions }
    await fc.assert(
      fc.asyncProperty(fc.record(given), async (it) => {
        const { pod: object, namespace: where } = it
        const admit = admitWith(
          configOf(it.config),
          withDigests(registriesOf(it.answers, { platforms })),
          it.revisions,
        )
        const once = await admit(requestOf(object, { namespace: where }))
        fc.pre(once.denied === null)
        const twice = await admit(requestOf(once.after, { namespace: where }))

        expect(twice.patch).toEqual([])
        expect(twice.denied).toBeNull()
        for (const { why } of once.records) reasons.set(why, (reasons.get(why) ?? 0) + 1)
      }),
      runs(100),
    )
    for (const text of ['left unchanged by the row', 'left unchanged: imagePullPolicy is Never'])
      expect(reasons.get(text)).toBeGreaterThan(1)
  }, 600_000)

  it('keeps its images and records if another webhook adds digests in between', async () => {
    const always = configOf(`registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['anubis:32000/{host}/{path}', 'docker.io/{path}'] }]
`)
    let kept = 0
    await fc.assert(
      fc.asyncProperty(answers, pod, async (answered, { metadata, spec }) => {
        const admit = admitWith(always, withDigests(registriesOf(answered)))
        const once = await admit(requestOf({ metadata, spec }))
        const changed = structuredClone(once.after) as { spec: typeof spec }
        for (const container of changed.spec.containers)
          if (/^anubis[^@]*:[^/@]+$/.test(container.image)) container.image += `@${digestB}`
        const added = changed.spec.containers.filter(({ image: of }) => of.endsWith(digestB))
        const twice = await admit(requestOf(changed))
        const images = (twice.after as typeof changed).spec.containers.map((each) => each.image)

        expect(images).toEqual(changed.spec.containers.map((each) => each.image))
        for (const { name } of added) {
          const first = once.records.find(({ site }) => site === `containers/${name}`)
          if (first === undefined) continue
          kept += 1
          expect(twice.records).toContainEqual(
            expect.objectContaining({
              site: `containers/${name}`,
              from: `${/:[^/]+$/.test(first.from) ? first.from : `${first.from}:latest`}@${digestB}`,
              to: `${first.to}@${digestB}`,
              row: first.row,
            }),
          )
        }
        expect((await admit(requestOf(twice.after))).patch).toEqual([])
      }),
      runs(100),
    )
    expect(kept).toBeGreaterThan(10)
  }, 600_000)

  it.each([1, 3_000, 3_950, 4_000, 4_020, 4_040, 4_080])(
    'is denied what its row denies, although a forged record has a port of %i digits',
    async (digits) => {
      const denying = configOf(
        `fallback: [{ name: d, images: ['evil.example/**'], try: ['anubis:32000/{path}'], otherwise: deny }]`,
      )
      const image = `evil.example/a:1@${digestA}`
      const record = { site: 'containers/c0', to: 'evil.example/a:1', row: null, why: '' }
      const from = `a.example:${'1'.repeat(digits)}/b`
      const forged = {
        ...podOf([image]),
        metadata: { annotations: { 'berth.dev/images': JSON.stringify([{ ...record, from }]) } },
      }
      const { denied, images } = await admitWith(denying, registriesOf({}))(requestOf(forged))

      expect(denied !== null || images[0] !== image).toBe(true)
    },
  )

  it('stays as it is the second time if it follows its revision', async () => {
    const pinAll = configOf(`registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: hub, images: ['**'], try: ['anubis:32000/{path}', '{host}/{path}'] }]
pin: { tags: ['*'] }
knownConflicts: rewrite
`)
    let followers = 0
    await fc.assert(
      fc.asyncProperty(answers, pod, revisions, async (answered, { metadata, spec }, siblings) => {
        const labels = { ...metadata.labels, 'pod-template-hash': '1' }
        const ownerReferences = [{ uid: 'owner-uid', controller: true }]
        const registries = withDigests(registriesOf(answered))
        const admit = admitWith(pinAll, registries, siblings)
        const once = await admit(requestOf({ metadata: { labels, ownerReferences }, spec }))

        expect((await admit(requestOf(once.after))).patch).toEqual([])
        followers += once.records.filter(({ why }) => why.includes('as in pod sibling')).length
      }),
      runs(100),
    )
    expect(followers).toBeGreaterThan(10)
  }, 600_000)

  it('stays as it is the second time with a placeholder that a row decides because it denies', async () => {
    const text =
      "registries: [{ host: anubis:32000, mirror: true }]\nfallback: [{ name: d, images: ['docker.io/**'], try: ['anubis:32000/{path}'], otherwise: deny }]"
    const admit = admitWith(configOf(text), registriesOf({ 'anubis:32000': found(digestA) }))
    const once = await admit(requestOf(podOf(['auto'])))

    expect(once.records).toMatchObject([
      { from: 'docker.io/library/auto', to: 'anubis:32000/library/auto:latest' },
    ])
    expect((await admit(requestOf(once.after))).patch).toEqual([])
  })

  it('stays as it is the second time after an update, in which unchanged images are kept', async () => {
    const change = fc.array(fc.option(image, { nil: null }), { minLength: 3, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(
        fc.record({ config, before: answers, after: answers, pod, namespace, change }),
        async (given) => {
          const old = await admitWith(
            configOf(given.config),
            registriesOf(given.before),
          )(requestOf(given.pod, { namespace: given.namespace }))
          fc.pre(old.denied === null)
          const object = structuredClone(old.after) as typeof given.pod
          for (const [index, container] of object.spec.containers.entries())
            container.image = given.change[index] ?? given.pod.spec.containers[index]?.image ?? ''
          const admit = admitWith(configOf(given.config), registriesOf(given.after))
          const update = (updated: unknown) =>
            requestOf(updated, {
              operation: 'UPDATE',
              namespace: given.namespace,
              oldObject: old.after,
            })
          const once = await admit(update(object))
          fc.pre(once.denied === null)

          expect((await admit(update(once.after))).patch).toEqual([])
          for (const [index, { image: asked }] of given.pod.spec.containers.entries())
            if (asked !== 'auto' && [null, asked].includes(given.change[index] ?? null))
              expect(imageOf(once.after, index)).toBe(imageOf(old.after, index))
        },
      ),
      runs(100),
    )
  }, 600_000)
})

function imageOf(object: unknown, index: number): string | undefined {
  return findSites(object).find(({ name }) => name === `containers/c${index}`)?.image
}
