/** Pods of one revision get one digest, although their tag moves. */
import { describe, expect, it } from 'vitest'
import type { KubeApi } from '../../../src/kube/api-client.ts'
import { KubeError } from '../../../src/kube/error.ts'
import type { RevisionLookupResult } from '../../../src/decision/pod/decide-by-revision.ts'
import type { ManifestAnswer } from '../../../src/decision/resolve/manifest-source.ts'
import { createSiblingDigests } from '../../../src/webhook/admission/kube-sibling-digests.ts'
import { createLogs } from '../../../src/telemetry/log.ts'
import { admitWith, configOf } from '../../support/admission.ts'
import { digestA, digestB, failed, found, registriesOf } from '../../support/manifest-answers.ts'
import { podOf, requestOf } from '../../support/reviews.ts'

const digestC = `sha256:${'c'.repeat(64)}`
const config = configOf(`registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['anubis:32000/{path}', 'docker.io/{path}'] }]
pin: { tags: [latest] }
`)
const repository = 'anubis:32000/library/nginx'
const onMirror = (digest: string) => `${repository}:latest@${digest}`

type Metadata = Record<string, unknown>
const owner = (uid: string) => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  uid,
  controller: true,
})

/** A pod of a ReplicaSet. */
function replica(images = ['nginx'], metadata: Metadata = {}) {
  return {
    ...podOf(images),
    metadata: {
      generateName: 'web-1-',
      labels: { app: 'web', 'pod-template-hash': '1' },
      ownerReferences: [owner('web-uid')],
      ...metadata,
    },
  }
}

/** A stored pod, whose record has this digest. */
function sibling(digest: string, metadata: Metadata = {}, from = 'nginx') {
  const record = { site: 'containers/c0', from, to: onMirror(digest), row: 'hub', why: '' }
  const annotations = { 'berth.dev/images': JSON.stringify([record]) }
  const { metadata: own } = replica()
  return { metadata: { ...own, name: 'web-1-a', annotations, ...metadata } }
}

/** Registries whose answers can change. By default the tag has moved to B, and the mirror still has A. */
function movedTag(more: Record<string, ManifestAnswer> = {}) {
  const answers: Record<string, ManifestAnswer> = {
    [`${repository}:latest`]: found(digestB),
    [`${repository}@${digestA}`]: found(digestA),
    [`${repository}@${digestB}`]: found(digestB),
    ...more,
  }
  return { answers, ...registriesOf(answers) }
}

/** A webhook and the pods that the API server has stored. */
function startWebhook(pods: unknown[], registries = movedTag(), table = config) {
  const lists: (string | undefined)[] = []
  const results: RevisionLookupResult[] = []
  const state: { time: number; error: Error | null } = { time: 1_000, error: null }
  const list: KubeApi['list'] = async function* (ref, { labelSelector, metadataOnly, page } = {}) {
    await Promise.resolve()
    lists.push(labelSelector)
    expect([ref.resource, ref.namespace, metadataOnly]).toEqual(['pods', 'default', true])
    expect(page).toEqual({ limit: 50, maxBytes: 1_048_576 })
    if (state.error !== null) throw state.error
    yield* pods as never[]
    return { resourceVersion: '' }
  }
  const { log } = createLogs('error', { write: () => {} })
  const siblings = createSiblingDigests({ api: { list }, log, now: () => state.time })
  const onLookup = (result: RevisionLookupResult) => results.push(result)
  const admit = admitWith(table, registries, { siblings, onLookup })
  return { admit, lists, results, state, registries, pods }
}

const whyOf = ({ records }: { records: { why: string }[] }) => records[0]?.why ?? ''

describe('a new pod of a revision', () => {
  it('gets the digest of its sibling after the tag has moved', async () => {
    const { admit, lists, results } = startWebhook([sibling(digestA)])
    const admitted = await admit(requestOf(replica()))

    expect(admitted.images).toEqual([onMirror(digestA)])
    expect(whyOf(admitted)).toBe(
      'found on anubis:32000; the digest of its revision, as in pod web-1-a',
    )
    expect([lists, results]).toEqual([['pod-template-hash=1'], ['list']])
  })

  it.each([
    ['rollouts-pod-template-hash', '1'],
    ['controller-revision-hash', 'web-1'],
    ['batch.kubernetes.io/controller-uid', 'web-uid'],
    ['controller-uid', 'web-uid'],
  ])('is found by the label %s', async (label, value) => {
    const labels = { [label]: value }
    const { admit, lists } = startWebhook([sibling(digestA, { labels })])

    expect((await admit(requestOf(replica(['nginx'], { labels })))).images).toEqual([
      onMirror(digestA),
    ])
    expect(lists).toEqual([`${label}=${value}`])
  })

  it('gets the digest of the tag if the registry has lost the other one, and the record says so', async () => {
    const registries = movedTag({ [`${repository}@${digestA}`]: failed('absent', '404') })
    const { admit, results } = startWebhook([sibling(digestA)], registries)
    const admitted = await admit(requestOf(replica()))

    expect(admitted.images).toEqual([onMirror(digestB)])
    expect(whyOf(admitted)).toBe(
      'found on anubis:32000; the pods of its revision run sha256:aaaaaaaaaaaa, which no candidate serves now',
    )
    expect(results).toEqual(['gone'])
  })

  it('gets the digest from the next candidate if the first one has lost it', async () => {
    const registries = movedTag({
      [`${repository}@${digestA}`]: failed('absent', '404'),
      [`docker.io/library/nginx@${digestA}`]: found(digestA),
    })
    const { admit } = startWebhook([sibling(digestA)], registries)

    expect((await admit(requestOf(replica()))).images).toEqual([
      `docker.io/library/nginx:latest@${digestA}`,
    ])
  })

  it.each(['unreachable', 'denied', 'limited', 'timeout', 'skipped'] as const)(
    'does not get a digest that is not proved: %s',
    async (outcome) => {
      const registries = movedTag({
        [`${repository}@${digestA}`]: failed(outcome),
        'docker.io': failed(outcome),
      })
      const { admit } = startWebhook([sibling(digestA)], registries)

      expect((await admit(requestOf(replica()))).images).toEqual([onMirror(digestB)])
    },
  )

  it('runs if the tag was deleted and the registry still has the digest', async () => {
    const registries = movedTag({ [`${repository}:latest`]: failed('absent', '404') })
    const denying = configOf(`registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['anubis:32000/{path}'], otherwise: deny }]
pin: { tags: [latest], unresolved: deny }
`)
    const { admit, pods } = startWebhook([sibling(digestA)], registries, denying)
    const admitted = await admit(requestOf(replica()))
    pods.length = 0

    expect([admitted.denied, admitted.images]).toEqual([null, [onMirror(digestA)]])
    expect(
      (await startWebhook([], registries, denying).admit(requestOf(replica()))).denied,
    ).not.toBe(null)
  })

  it('gets the digest of the oldest pod if the pods have several, and the record says so', async () => {
    const pods = [
      sibling(digestB, { name: 'web-1-a', creationTimestamp: '2026-01-02T00:00:00Z' }),
      sibling(digestA, { name: 'web-1-c', creationTimestamp: '2026-01-01T00:00:00Z' }),
      sibling(digestC, { name: 'web-1-d', creationTimestamp: '2026-01-01T00:00:00Z' }),
    ]
    const { admit } = startWebhook(pods)
    const admitted = await admit(requestOf(replica()))

    expect(admitted.images).toEqual([onMirror(digestA)])
    expect(whyOf(admitted)).toMatch(/run 3 digests; this one is of the oldest, pod web-1-c$/)
  })

  it('gets the next digest if the registry has lost that of the oldest pod', async () => {
    const registries = movedTag({
      [`${repository}:latest`]: found(digestC),
      [`${repository}@${digestA}`]: failed('absent'),
    })
    const pods = [
      sibling(digestA, { creationTimestamp: '2026-01-01T00:00:00Z' }),
      sibling(digestB, { name: 'web-1-b', creationTimestamp: '2026-01-02T00:00:00Z' }),
    ]
    const admitted = await startWebhook(pods, registries).admit(requestOf(replica()))

    expect(admitted.images).toEqual([onMirror(digestB)])
    expect(whyOf(admitted)).toMatch(/run 2 digests; this one is of pod web-1-b$/)
  })

  it('stays as it is when it is reviewed again', async () => {
    const { admit } = startWebhook([sibling(digestA)])
    const once = await admit(requestOf(replica()))

    expect((await admit(requestOf(once.after))).patch).toEqual([])
  })
})

describe('the digest of a revision', () => {
  it('is not that of pods of another controller, of a forged record, or of another image', async () => {
    const records = (value: string) => ({ annotations: { 'berth.dev/images': value } })
    const pods = [
      sibling(digestA, { ownerReferences: [owner('other')] }),
      sibling(digestA, { ownerReferences: [{ ...owner('web-uid'), controller: false }] }),
      sibling(digestA, { ownerReferences: 'web-uid' }),
      sibling(digestA, {}, `nginx@${digestA}`),
      sibling(digestA, {}, 'redis'),
      sibling(digestA, records('[{')),
      sibling(
        digestA,
        records(
          '[{"site":"containers/c0","from":"nginx","to":"nginx@sha256:1","row":null,"why":""}]',
        ),
      ),
    ]
    const { admit, results } = startWebhook(pods)

    expect((await admit(requestOf(replica()))).images).toEqual([onMirror(digestB)])
    expect(results).toEqual(['none'])
  })

  it.each([
    ['a pod without a controller', replica(['nginx'], { ownerReferences: [] }), {}],
    ['a pod without a label of a revision', replica(['nginx'], { labels: { app: 'web' } }), {}],
    [
      'a label that is not valid',
      replica(['nginx'], { labels: { 'pod-template-hash': 'a,b!=c' } }),
      {},
    ],
    ['an image that is not pinned', replica(['nginx:1.27']), {}],
    ['an image with a digest', replica([`nginx@${digestA}`]), {}],
    ['an update', replica(), { operation: 'UPDATE', oldObject: replica(['redis']) }],
  ] as const)('is not asked for: %s', async (_, pod, more) => {
    const { admit, lists, results } = startWebhook([sibling(digestA)])
    await admit(requestOf(pod, more))

    expect([lists, results]).toEqual([[], []])
  })

  it('is not given to another revision by the cache of decisions', async () => {
    const fresh = (digest: string) => ({ ...found(digest), freshUntil: Infinity })
    const registries = movedTag({
      [`${repository}:latest`]: fresh(digestB),
      [`${repository}@${digestA}`]: fresh(digestA),
    })
    const { admit, pods } = startWebhook([sibling(digestA)], registries)
    await admit(requestOf(replica()))
    pods.length = 0
    const labels = { 'pod-template-hash': '2' }
    const other = await admit(requestOf(replica(['nginx'], { labels })))
    const again = await admit(requestOf(replica()))

    expect([other.images, again.images]).toEqual([[onMirror(digestB)], [onMirror(digestA)]])
    expect(registries.asked).toEqual([`${repository}:latest`, `${repository}@${digestA}`])
  })

  it('is remembered for a moment, and asked for once by reviews at the same time', async () => {
    const { admit, lists, results, state } = startWebhook([sibling(digestA)])
    await Promise.all([1, 2, 3].map(() => admit(requestOf(replica()))))
    await admit(requestOf(replica()))
    expect(lists).toHaveLength(1)
    state.time += 10_001
    await admit(requestOf(replica()))

    expect(lists).toHaveLength(2)
    expect(results).toEqual(['list', 'list', 'list', 'memory', 'list'])
  })

  it('is looked for at each pod until one is stored', async () => {
    const { admit, lists, pods, registries } = startWebhook([])
    const first = await admit(requestOf(replica()))
    pods.push(sibling(digestB))
    registries.answers[`${repository}:latest`] = found(digestC)

    expect(first.images).toEqual([onMirror(digestB)])
    expect((await admit(requestOf(replica()))).images).toEqual([onMirror(digestB)])
    expect(lists).toHaveLength(2)
  })
})

describe('the digest of a pod that is not stored yet', () => {
  async function admitTwice(isDryRun: boolean) {
    const { admit, registries } = startWebhook([])
    await admit(requestOf(replica(), { dryRun: isDryRun }))
    registries.answers[`${repository}:latest`] = found(digestC)
    return admit(requestOf(replica()))
  }

  it('is remembered for the next pods', async () => {
    const admitted = await admitTwice(false)

    expect(admitted.images).toEqual([onMirror(digestB)])
    expect(whyOf(admitted)).toMatch(/the digest of a pod of its revision that was just admitted$/)
  })

  it('is not remembered in a dry run', async () => {
    expect((await admitTwice(true)).images).toEqual([onMirror(digestC)])
  })
})

describe('without an answer of the API server', () => {
  const refused = new KubeError(403, 'Forbidden', 'pods is forbidden')

  it('gives pods the digest of the tag if the right is missing, says so, and does not ask again', async () => {
    const { admit, lists, results, state } = startWebhook([sibling(digestA)])
    state.error = refused
    const admitted = await admit(requestOf(replica()))
    const labels = { 'pod-template-hash': '2' }
    await admit(requestOf(replica(['nginx'], { labels })))

    expect(admitted.images).toEqual([onMirror(digestB)])
    expect(whyOf(admitted)).toBe(
      'found on anubis:32000; other pods of its revision not known: the webhook may not list pods',
    )
    expect([lists.length, results]).toEqual([1, ['forbidden', 'forbidden']])
    state.time += 600_001
    state.error = null
    expect((await admit(requestOf(replica()))).images).toEqual([onMirror(digestA)])
  })

  it('gives pods the digest that it knew, and waits before it asks again', async () => {
    const { admit, lists, results, state } = startWebhook([sibling(digestA)])
    await admit(requestOf(replica()))
    state.time += 60_000
    state.error = new KubeError(null, '', 'no response')
    const admitted = await admit(requestOf(replica()))
    await admit(requestOf(replica()))

    expect(admitted.images).toEqual([onMirror(digestA)])
    expect([lists.length, results]).toEqual([2, ['list', 'failed', 'failed']])
  })

  it('gives pods the digest of the tag if it knew none, and says so', async () => {
    const { admit, state } = startWebhook([sibling(digestA)])
    state.error = new KubeError(503, '', 'overloaded')
    const admitted = await admit(requestOf(replica()))

    expect(admitted.images).toEqual([onMirror(digestB)])
    expect(whyOf(admitted)).toMatch(/not known: the API server did not answer in time$/)
  })
})
