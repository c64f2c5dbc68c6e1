import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { noNamespaceLookup } from '../../../src/webhook/admission/namespace-lookup.ts'
import { createAdmit } from '../../../src/webhook/admission/admit.ts'
import { createDecide } from '../../../src/decision/resolve/decision-cache.ts'
import { createReviewResponder } from '../../../src/webhook/server/review-responder.ts'
import { pod as anyPod } from '../../robustness/pods.ts'
import { found, registriesOf } from '../../support/questions.ts'
import { podOf, reviewOf } from '../../support/reviews.ts'
import { anubis } from '../../support/tables.ts'

const uid = '705ab4f5-6393-11e8-b7cc-42010a800002'
const anotherUid = '5c1e7a52-2b8f-4b0c-9d0e-6f1a2c3b4d5e'

/** Answers with a memory of their own; `looks` counts the reviews that were looked into. */
function createSubject() {
  const registries = registriesOf({ 'anubis:32000': { ...found(), freshUntil: 1_000 } })
  const policy = {
    table: anubis,
    pin: { matches: (tag: string) => tag === 'latest', unresolved: 'keep' as const },
    pullPolicy: [],
    pullSecrets: [],
    mode: 'enforce' as const,
  }
  const clock = { now: 0 }
  const engineOf = () => ({
    policy,
    decide: createDecide({ ...registries.dependencies, now: () => clock.now }, policy),
  })
  let engine = engineOf()
  let looks = 0
  const told: string[] = []
  const admit = createAdmit({
    current: () => engine,
    facts: noNamespaceLookup,
    now: () => clock.now,
    onBug: (error) => {
      throw error
    },
  })
  const answer = createReviewResponder({
    admit: (request, options) => {
      looks++
      return admit(request, options)
    },
    metrics: { admitted: () => undefined },
    log: ({ request, admission }) =>
      told.push(
        JSON.stringify([request.uid, request.namespace, admission.decisions, admission.mode]),
      ),
  })
  const { signal } = new AbortController()
  return {
    clock,
    told,
    looks: () => looks,
    reload: () => (engine = engineOf()),
    answer: async (text: string, observeOnly = false) =>
      answer(Buffer.from(text), { signal: () => signal, observeOnly }),
  }
}

/** A subject that has seen this review as often as it takes to answer the next one from memory. */
async function createWarm(text: string) {
  const subject = createSubject()
  for (let times = 0; times < 4; times++) await subject.answer(text)
  return subject
}

async function answeredAfresh(text: string) {
  const subject = createSubject()
  return { answer: await subject.answer(text), told: subject.told.at(-1) }
}

/** What a ReplicaSet makes of this pod, as the API server sends it. */
function replicaOf(pod: Record<string, unknown>, uidOfReview = uid, suffix = 'x7k2p'): string {
  const { spec, ...more } = pod as { spec: Record<string, unknown> }
  const token = { name: `kube-api-access-${suffix}` }
  const object = {
    ...more,
    metadata: {
      generateName: 'web-6b7f9c5d4-',
      namespace: 'default',
      managedFields: [{ manager: 'kube-controller-manager', time: '2026-11-21T12:00:00Z' }],
      ...(more as { metadata?: object }).metadata,
    },
    spec: { volumes: [{ ...token, projected: {} }], ...spec },
  }
  return JSON.stringify(reviewOf(object, { uid: uidOfReview }))
}

const web = { spec: podOf(['nginx', 'quay.io/team/app:1'])['spec'] }

describe('a replica', () => {
  it.each([
    ['the same but for its uid', replicaOf(web, anotherUid)],
    ['with another token volume', replicaOf(web, anotherUid, 'abcde')],
    ['made at another time', replicaOf(web).replace('12:00:00Z', '13:14:15Z')],
  ])('%s is answered like the first, without being looked into', async (_, text) => {
    const subject = await createWarm(replicaOf(web))
    const looks = subject.looks()
    const answer = await subject.answer(text)

    expect(subject.looks()).toBe(looks)
    expect({ answer, told: subject.told.at(-1) }).toEqual(await answeredAfresh(text))
  })

  it('is looked into when a decision is not fresh any more', async () => {
    const subject = await createWarm(replicaOf(web))
    const looks = subject.looks()
    subject.clock.now = 1_000
    await subject.answer(replicaOf(web, anotherUid))

    expect(subject.looks()).toBe(looks + 1)
  })

  it('is looked into when the configuration is another', async () => {
    const subject = await createWarm(replicaOf(web))
    const looks = subject.looks()
    subject.reload()
    await subject.answer(replicaOf(web, anotherUid))

    expect(subject.looks()).toBe(looks + 1)
  })

  it('that is only observed is not answered like one that is changed', async () => {
    const subject = await createWarm(replicaOf(web))

    expect(await subject.answer(replicaOf(web, anotherUid), true)).not.toEqual(
      await subject.answer(replicaOf(web, anotherUid)),
    )
  })
})

describe('what is no replica', () => {
  it.each([
    ['has another image', replicaOf(web).replace('"nginx"', '"redis"')],
    ['is in another namespace', replicaOf(web).replaceAll('"default"', '"another"')],
    ['is updated', replicaOf(web).replace('CREATE', 'UPDATE')],
    ['has a uid that is none', replicaOf(web, `${'a'.repeat(34)}\\"`.slice(0, 36))],
  ])('%s', async (_, text) => {
    const subject = await createWarm(replicaOf(web))

    expect(await subject.answer(text)).toEqual((await answeredAfresh(text)).answer)
  })

  it.each([
    ['an image', { name: 'a', image: 'kube-api-access-x7k2p' }],
    ['a container', { name: 'kube-api-access-x7k2p', image: 'nginx' }],
  ])('is made by the name of the token volume in %s', async (_, container) => {
    const pod = { spec: { containers: [container] } }
    const other = JSON.parse(
      JSON.stringify(pod).replace('kube-api-access-x7k2p', 'kube-api-access-abcde'),
    ) as typeof pod
    const subject = await createWarm(replicaOf(pod))
    const text = replicaOf(other, anotherUid, 'abcde')

    expect(await subject.answer(text)).toEqual((await answeredAfresh(text)).answer)
  })
})

describe('what would cost more than it gives', () => {
  const nested = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
  it.each([
    [
      'a pod of more than 64 KiB',
      { spec: podOf(['nginx'], { nodeName: 'n'.repeat(65_536) })['spec'] },
    ],
    ['a name that no object can have', { ...web, metadata: { generateName: 'n'.repeat(254) } }],
    [
      'more texts that vary than an API server writes',
      {
        ...web,
        metadata: {
          managedFields: Array.from({ length: 20 }, (__, at) => ({
            time: `2026-11-21T12:00:${at + 10}Z`,
          })),
        },
      },
    ],
  ])('is not kept: %s', async (_, pod) => {
    const subject = await createWarm(replicaOf(pod))
    const looks = subject.looks()
    await subject.answer(replicaOf(pod, anotherUid))

    expect(subject.looks()).toBe(looks + 1)
  })

  it('is answered all the same when its annotations are nested without end', async () => {
    const text = replicaOf({ ...web, metadata: { annotations: { a: 'DEEP' } } })
    const subject = await createWarm(text.replace('"DEEP"', nested))

    expect(await subject.answer(text.replace('"DEEP"', nested))).toMatchObject({ ok: true })
  })
})

describe('whatever a tenant writes', () => {
  const change = fc.record({
    at: fc.nat(),
    text: fc.oneof(
      fc.constantFrom('"', '\\', 'a', '1', '-', ':', '{', '}', ',', 'é', '00000'),
      fc.string({ minLength: 1, maxLength: 8 }),
    ),
  })
  const pods = fc.oneof(
    fc.constant(JSON.stringify(web)),
    anyPod.filter((text) => /"spec":\{/.test(text)),
  )

  it('is answered as if nothing had been seen before', async () => {
    await fc.assert(
      fc.asyncProperty(pods, change, async (podText, { at, text }) => {
        const first = replicaOf(JSON.parse(podText) as Record<string, unknown>)
        const where = at % (first.length - text.length)
        const second = first.slice(0, where) + text + first.slice(where + text.length)
        const subject = await createWarm(first)
        const answer = await subject.answer(second)

        expect(answer).toEqual((await answeredAfresh(second)).answer)
      }),
      { numRuns: 100 },
    )
  })
})
