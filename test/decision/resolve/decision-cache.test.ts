import { describe, expect, it } from 'vitest'
import { createDecide } from '../../../src/decision/resolve/decision-cache.ts'
import type { ManifestAnswer } from '../../../src/decision/resolve/manifest-source.ts'
import { digestA, failed, found, registriesOf } from '../../support/manifest-answers.ts'
import { anubis, barePod, tableOf } from '../../support/tables.ts'

const policy = { table: anubis, pin: { matches: () => false, unresolved: 'keep' } } as const
const { signal } = new AbortController()

function decideWith(answer: ManifestAnswer, table = anubis) {
  const clock = { now: 0 }
  const registries = registriesOf({ 'anubis:32000': answer })
  const decide = createDecide(
    { ...registries.dependencies, now: () => clock.now },
    { ...policy, table },
  )
  return {
    clock,
    asked: registries.asked,
    decide: (image: string, namespace = 'default') =>
      decide(image, { pod: { ...barePod, namespace }, signal: () => signal }),
  }
}

describe('createDecide', () => {
  it('returns the cached decision until an answer behind it expires', async () => {
    const { clock, asked, decide } = decideWith({ ...failed('absent'), freshUntil: 1_000 })
    const first = await decide('nginx:1')
    clock.now = 999
    expect(decide('nginx:1')).toBe(first)
    clock.now = 1_000
    await decide('nginx:1')

    expect(asked).toHaveLength(2)
  })

  it.each([
    ['an answer that is not cached', failed('unreachable')],
    ['an expired answer', { ...found(), freshUntil: 0 }],
  ])('does not cache a decision from %s', async (_, answer) => {
    const { asked, decide } = decideWith(answer)
    await decide('nginx:1')
    await decide('nginx:1')

    expect(asked).toHaveLength(2)
  })

  it('caches a decision without probes for ever', async () => {
    const { clock, decide } = decideWith(found())
    const first = await decide('quay.io/x/y:1')
    clock.now = Number.MAX_SAFE_INTEGER

    expect(decide('quay.io/x/y:1')).toBe(first)
  })

  it('does not take an invalid image for the key of a decision that another namespace got', async () => {
    const { decide } = decideWith(
      failed('absent'),
      tableOf(
        ['anubis:32000'],
        [
          { name: 'infra', when: { namespaces: ['infra'] }, leave: true },
          { name: 'closed', try: ['anubis:32000/{host}/{path}'], otherwise: 'deny' },
        ],
      ),
    )
    await decide('quay.io/x/y:1', 'infra')

    for (const key of ['quay.io/x/y:1 true "infra"', 'quay.io/x/y:1 infra true "infra"'])
      expect(await decide(key, 'tenant')).toMatchObject({
        ok: false,
        deniedBy: 'row closed has otherwise: deny',
      })
  })

  it('does not share a decision between a pod of a known operator and another pod', async () => {
    const table = tableOf(
      ['anubis:32000'],
      [{ name: 'all', images: ['**'], try: ['anubis:32000/{path}'] }],
      [{ name: 'known:db', when: { owners: ['db/X'] }, leave: true, isKnownConflict: true }],
    )
    const { dependencies } = registriesOf({ 'anubis:32000': { ...found(), freshUntil: 1_000 } })
    const decide = createDecide({ ...dependencies, now: () => 0 }, { ...policy, table })
    const imageFor = async (owners: string[]) => {
      const decision = await decide('nginx:1', {
        pod: { ...barePod, owners },
        signal: () => signal,
      })
      return decision.ok && decision.image
    }

    expect([await imageFor([]), await imageFor(['db/X']), await imageFor([])]).toEqual([
      'anubis:32000/library/nginx:1',
      'nginx:1',
      'anubis:32000/library/nginx:1',
    ])
  })

  it('caches by namespace only if a template has {namespace}', async () => {
    const answer = { ...found(digestA), freshUntil: 1_000 }
    const byNamespace = decideWith(
      answer,
      tableOf(
        ['anubis:32000'],
        [{ name: 'ns', images: ['docker.io/**'], try: ['anubis:32000/{namespace}/{path}'] }],
      ),
    )
    const shared = decideWith(answer)
    const images = await Promise.all(
      ['a', 'b'].map(async (namespace) => byNamespace.decide('nginx:1', namespace)),
    )
    const same = await Promise.all(
      ['a', 'b'].map(async (namespace) => shared.decide('nginx:1', namespace)),
    )

    expect(images.map((each) => each.ok && each.image)).toEqual([
      'anubis:32000/a/library/nginx:1',
      'anubis:32000/b/library/nginx:1',
    ])
    expect(same.map((each) => each.ok && each.image)).toEqual([
      'anubis:32000/library/nginx:1',
      'anubis:32000/library/nginx:1',
    ])
  })

  it('does not share a decision between pods for which another row decides the result of the first row', async () => {
    const table = tableOf(
      ['anubis:32000'],
      [
        { name: 'moved', images: ['docker.io/**'], try: ['ghcr.io/acme/{name}'] },
        {
          name: 'closed',
          when: { namespaces: ['prod'] },
          images: ['ghcr.io/**'],
          otherwise: 'deny',
        },
        { name: 'tenants', images: ['ghcr.io/**'], try: ['anubis:32000/{namespace}/{name}'] },
      ],
    )
    const answer = { ...found(digestA), freshUntil: 1_000 }
    const { dependencies } = registriesOf({ 'anubis:32000': answer, 'ghcr.io': answer })
    const decide = createDecide({ ...dependencies, now: () => 0 }, { ...policy, table })
    const decideIn = async (namespace: string) => {
      const decision = await decide('nginx:1', {
        pod: { ...barePod, namespace },
        signal: () => signal,
      })
      return decision.ok && [decision.image, decision.resolution.reason]
    }

    expect([await decideIn('a'), await decideIn('b'), await decideIn('prod')]).toEqual([
      [`anubis:32000/a/nginx:1@${digestA}`, 'found'],
      [`anubis:32000/b/nginx:1@${digestA}`, 'found'],
      [`ghcr.io/acme/nginx:1@${digestA}`, 'row-denies'],
    ])
  })

  it('drops the oldest decisions if their names take more than 16 MB', async () => {
    const { asked, decide } = decideWith({ ...found(), freshUntil: 100_000 })
    const image = (index: number) => `docker.io:${'0'.repeat(3_900)}443/team/app${index}:1`
    for (let index = 0; index < 5_000; index++) await decide(image(index))
    expect(asked).toHaveLength(5_000)
    await decide(image(4_999))
    expect(asked).toHaveLength(5_000)
    await decide(image(0))

    expect(asked).toHaveLength(5_001)
  })

  it('returns an error synchronously for an image that does not parse', () => {
    expect(decideWith(found()).decide('NGINX')).toEqual({
      ok: false,
      error: 'the repository name has upper-case letters; only lower case is allowed',
      deniedBy: null,
    })
  })
})

/** A mirror whose liveness and answers the test sets, with the options of each query. */
function decideLively() {
  const clock = { now: 0 }
  const state = { isLive: true, isLookDue: false }
  const refreshes: boolean[] = []
  let answer: ManifestAnswer = { ...found(), freshUntil: 30_000 }
  const { dependencies } = registriesOf({})
  const decide = createDecide(
    {
      ...dependencies,
      now: () => clock.now,
      liveness: { isLive: () => state.isLive, isLookDue: () => state.isLookDue },
      queryManifest: ({ isRefresh = false }) => {
        refreshes.push(isRefresh)
        return Promise.resolve(answer)
      },
    },
    policy,
  )
  return {
    clock,
    state,
    refreshes,
    setAnswer: (next: ManifestAnswer) => (answer = next),
    decide: () => decide('nginx:1', { pod: barePod, signal: () => signal }),
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('a cached decision', () => {
  it('is refreshed in the background shortly before the answer behind it expires', async () => {
    const { clock, refreshes, setAnswer, decide } = decideLively()
    const first = await decide()
    clock.now = 24_000
    void decide()
    expect(refreshes).toEqual([false])

    clock.now = 26_000
    setAnswer({ ...found(digestA), freshUntil: 56_000 })
    expect([decide(), decide()]).toEqual([first, first])
    await settled()
    expect(refreshes).toEqual([false, true])

    clock.now = 40_000
    expect(decide()).not.toBe(first)
    expect(refreshes).toHaveLength(2)
  })

  it('is refreshed once when it is time to look at its registry', async () => {
    const { state, refreshes, decide } = decideLively()
    await decide()
    state.isLookDue = true
    for (let times = 0; times < 10; times++) void decide()
    await settled()

    expect(refreshes).toEqual([false, true])
  })

  it('is not used after its registry has failed', async () => {
    const { state, setAnswer, decide } = decideLively()
    await decide()
    state.isLive = false
    setAnswer(failed('unreachable'))

    expect(await decide()).toMatchObject({ image: 'nginx:1' })
  })

  it('is dropped when a refresh fails', async () => {
    const { state, setAnswer, decide } = decideLively()
    await decide()
    state.isLookDue = true
    setAnswer(failed('unreachable', '503'))
    void decide()
    await settled()

    expect(await decide()).toMatchObject({ image: 'nginx:1' })
  })
})
