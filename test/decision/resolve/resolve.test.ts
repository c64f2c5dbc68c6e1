import { describe, expect, it, vi } from 'vitest'
import { formatReference } from '../../../src/decision/reference/reference.ts'
import { resolve, resolveWithoutProbing } from '../../../src/decision/resolve/resolve.ts'
import type { ResolvePolicy } from '../../../src/decision/resolve/resolve-policy.ts'
import { describeResolution } from '../../../src/decision/resolve/describe-resolution.ts'
import {
  digestA,
  digestB,
  failed,
  found,
  type Registries,
  registriesOf,
  silent,
} from '../../support/manifest-answers.ts'
import {
  anubis,
  barePod,
  freeipa,
  referenceOf,
  type RowInput,
  tableOf,
} from '../../support/tables.ts'

const pinLatest = { matches: (tag: string) => tag === 'latest', unresolved: 'keep' } as const
const pinNothing = { matches: () => false, unresolved: 'keep' } as const

async function decide(image: string, registries: Registries, policy: Partial<ResolvePolicy> = {}) {
  const resolution = await resolve(
    registries.dependencies,
    { table: anubis, pin: pinNothing, ...policy },
    { reference: referenceOf(image), pod: barePod, signal: AbortSignal.timeout(5_000) },
  )
  return {
    chosen: resolution.changed ? formatReference(resolution.chosen) : 'as it was',
    outcomes: resolution.steps.map(({ outcome }) => outcome),
    reason: resolution.reason,
    resolution,
  }
}

function oneRow(
  row: Omit<RowInput, 'name'>,
  mirrors: readonly string[] = ['m.example'],
): Partial<ResolvePolicy> {
  return { table: tableOf(mirrors, [{ name: 'row', ...row }]) }
}

describe('resolve', () => {
  it.each([
    [
      'is found on the mirror',
      { 'anubis:32000': found() },
      'anubis:32000/library/nginx:1',
      ['found', 'unasked'],
      'found',
    ],
    ['is absent on the mirror', {}, 'as it was', ['absent', 'unasked'], 'original'],
    [
      'is denied there',
      { 'anubis:32000': failed('denied') },
      'as it was',
      ['denied', 'unasked'],
      'original',
    ],
    [
      'is limited there',
      { 'anubis:32000': failed('limited') },
      'as it was',
      ['limited', 'unasked'],
      'original',
    ],
    [
      'is unreachable there',
      { 'anubis:32000': failed('unreachable') },
      'as it was',
      ['unreachable', 'unasked'],
      'original',
    ],
    [
      'is invalid there',
      { 'anubis:32000': failed('invalid') },
      'as it was',
      ['invalid', 'unasked'],
      'original',
    ],
  ])(
    'takes the first candidate that is found: nginx:1 %s',
    async (_, answers, chosen, outcomes, reason) => {
      const decision = await decide('nginx:1', registriesOf(answers))

      expect(decision).toMatchObject({ chosen, outcomes, reason })
    },
  )

  it('takes and pins an alternate of the row', async () => {
    const decision = await decide(
      'anubis:32000/app:1',
      registriesOf({ 'ghcr.io': found(digestB) }),
      oneRow(
        {
          images: ['anubis:32000/**'],
          try: ['ghcr.io/your-org/{path}', 'anubis:32000/{path}'],
        },
        ['anubis:32000'],
      ),
    )

    expect(decision).toMatchObject({ chosen: `ghcr.io/your-org/app:1@${digestB}`, reason: 'found' })
  })

  it('takes the original as the last candidate without a probe', async () => {
    const registries = registriesOf({})
    const decision = await decide('nginx:1', registries)

    expect(decision).toMatchObject({ chosen: 'as it was', reason: 'original' })
    expect(registries.asked).toEqual(['anubis:32000/library/nginx:1'])
  })

  it('probes the original before other candidates', async () => {
    const onMirror = await decide('anubis:32000/app:1', registriesOf({ 'anubis:32000': found() }))
    const elsewhere = await decide(
      'anubis:32000/app:1',
      registriesOf({ 'ghcr.io': found(digestB) }),
    )
    const nowhere = await decide('anubis:32000/app:1', registriesOf({}))

    expect(onMirror).toMatchObject({
      chosen: 'as it was',
      reason: 'original',
      outcomes: ['found', 'unasked', 'unasked'],
    })
    expect(elsewhere).toMatchObject({
      chosen: `ghcr.io/your-org/app:1@${digestB}`,
      reason: 'found',
      // The row of the alternate asks the mirror for it too.
      outcomes: ['absent', 'found', 'unasked', 'absent', 'unasked'],
    })
    expect(nowhere).toMatchObject({
      chosen: 'as it was',
      reason: 'none-found',
      outcomes: ['absent', 'absent', 'absent'],
    })
  })

  it('probes by digest if the image has one', async () => {
    const registries = registriesOf({ 'anubis:32000': found() })
    const decision = await decide(`nginx:1@${digestA}`, registries, { pin: pinLatest })

    expect(decision.chosen).toBe(`anubis:32000/library/nginx:1@${digestA}`)
    expect(registries.asked).toEqual([`anubis:32000/library/nginx@${digestA}`])
  })
})

describe('a digest that is absent', () => {
  const mirrorTag = 'anubis:32000/library/nginx:1'
  const mirrorDigest = `anubis:32000/library/nginx@${digestA}`

  it('is found if the tag serves it, as in a pull-through cache', async () => {
    const registries = registriesOf({ [mirrorTag]: found(digestA) })
    const decision = await decide(`nginx:1@${digestA}`, registries)

    expect(decision.chosen).toBe(`${mirrorTag}@${digestA}`)
    expect(registries.asked).toEqual([mirrorDigest, mirrorTag])
  })

  it('stays absent if the tag serves another digest, and the detail says so', async () => {
    const registries = registriesOf({ [mirrorTag]: found(digestB) })
    const { outcomes, resolution } = await decide(`nginx:1@${digestA}`, registries)

    expect(outcomes).toEqual(['absent', 'unasked'])
    expect(resolution.steps[0]?.detail).toBe('404; the tag 1 serves sha256:bbbbbbbbbbbb')
  })

  it.each(['absent', 'denied', 'limited'] as const)(
    'stays absent if the tag is %s',
    async (outcome) => {
      const registries = registriesOf({ [mirrorTag]: failed(outcome) })

      expect((await decide(`nginx:1@${digestA}`, registries)).outcomes).toEqual([
        'absent',
        'unasked',
      ])
    },
  )

  it('is found through the tag for an image in the lock file', async () => {
    const registries = registriesOf({ [mirrorTag]: found(digestA) })
    const decision = await decide('nginx:1', registries, {
      pin: { ...pinNothing, locked: () => digestA },
    })

    expect(decision.chosen).toBe(`${mirrorTag}@${digestA}`)
    expect(registries.asked).toEqual([mirrorDigest, mirrorTag])
  })

  it('causes no further request if the image has no tag', async () => {
    const registries = registriesOf({})
    await decide(`nginx@${digestA}`, registries)

    expect(registries.asked).toEqual([mirrorDigest])
  })
})

describe('the order of candidates', () => {
  it('is kept if the first candidate answers last', async () => {
    vi.useFakeTimers()
    try {
      const order: string[] = []
      const { dependencies } = registriesOf({})
      const late = new Promise<ReturnType<typeof found>>((answer) =>
        setTimeout(() => answer(found(digestA)), 800),
      )
      const decision = resolve(
        {
          ...dependencies,
          queryManifest: ({ host }) => {
            order.push(host)
            return host === 'one.example' ? late : Promise.resolve(found(digestB))
          },
        },
        {
          table: tableOf(
            ['one.example', 'two.example'],
            [
              {
                name: 'r',
                images: ['quay.io/**'],
                try: ['one.example/{path}', 'two.example/{path}'],
              },
            ],
          ),
          pin: pinLatest,
        },
        {
          reference: referenceOf('quay.io/x:latest'),
          pod: barePod,
          signal: new AbortController().signal,
        },
      )
      await vi.advanceTimersByTimeAsync(249)
      expect(order).toEqual(['one.example'])
      await vi.advanceTimersByTimeAsync(1)
      expect(order).toEqual(['one.example', 'two.example'])
      await vi.advanceTimersByTimeAsync(600)

      expect(formatReference((await decision).chosen)).toBe(`one.example/x:latest@${digestA}`)
    } finally {
      vi.useRealTimers()
    }
  })

  it.each([
    ['absent', failed('absent')],
    ['unreachable', failed('unreachable')],
  ])(
    'does not stop at a candidate that is %s after one that does not answer',
    async (_, second) => {
      const stop = new AbortController()
      const hosts = ['silent.example', 'second.example', 'third.example', 'fourth.example']
      const { dependencies, asked } = registriesOf({
        'silent.example': silent,
        'second.example': second,
        'third.example': second,
        'fourth.example': found(),
      })
      const queryManifest: typeof dependencies.queryManifest = (question, signal) => {
        // Gives up the silent registry when the last one was asked, or the test would not end.
        if (question.host === 'fourth.example') queueMicrotask(() => stop.abort())
        return dependencies.queryManifest(question, signal)
      }
      const resolution = await resolve(
        { ...dependencies, queryManifest },
        {
          table: tableOf(hosts, [
            { name: 'r', images: ['quay.io/**'], try: hosts.map((host) => `${host}/{path}`) },
          ]),
          pin: pinNothing,
        },
        { reference: referenceOf('quay.io/x:1'), pod: barePod, signal: stop.signal },
      )

      expect(asked).toHaveLength(4)
      expect(formatReference(resolution.chosen)).toBe('fourth.example/x:1')
    },
  )

  it('costs one head start for each candidate that does not answer', async () => {
    vi.useFakeTimers()
    try {
      const stop = new AbortController()
      const { dependencies, asked } = registriesOf({
        'one.example': silent,
        'two.example': silent,
        'three.example': found(),
      })
      const decision = resolve(
        dependencies,
        {
          table: tableOf(
            ['one.example', 'two.example', 'three.example'],
            [
              {
                name: 'r',
                images: ['quay.io/**'],
                try: ['one.example/{path}', 'two.example/{path}', 'three.example/{path}'],
              },
            ],
          ),
          pin: pinNothing,
        },
        { reference: referenceOf('quay.io/x:1'), pod: barePod, signal: stop.signal },
      )
      await vi.advanceTimersByTimeAsync(500)
      expect(asked).toHaveLength(3)
      stop.abort()
      const resolution = await decision

      expect(resolution.steps.map(({ outcome }) => outcome)).toEqual([
        'timeout',
        'timeout',
        'found',
      ])
      expect(formatReference(resolution.chosen)).toBe('three.example/x:1')
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('if no candidate is found', () => {
  const row = { images: ['quay.io/**'], try: ['m.example/{path}', 'ghcr.io/acme/{path}'] }

  it('the image stays unchanged', async () => {
    expect(await decide('quay.io/x:1', registriesOf({}), oneRow(row))).toMatchObject({
      chosen: 'as it was',
      reason: 'none-found',
    })
  })

  it('`otherwise: first` takes the first mirror, and not an alternate', async () => {
    const decision = await decide(
      'quay.io/x:1',
      registriesOf({ 'm.example': failed('unreachable') }),
      oneRow({ ...row, try: ['ghcr.io/acme/{path}', 'm.example/{path}'], otherwise: 'first' }),
    )

    expect(decision).toMatchObject({ chosen: 'm.example/x:1', reason: 'first-unproved' })
  })

  it('`otherwise: deny` denies the pod', async () => {
    expect(
      await decide('quay.io/x:1', registriesOf({}), oneRow({ ...row, otherwise: 'deny' })),
    ).toMatchObject({ reason: 'row-denies' })
  })
})

describe('pins', () => {
  it.each([
    ['nginx', `anubis:32000/library/nginx:latest@${digestA}`],
    ['nginx:latest', `anubis:32000/library/nginx:latest@${digestA}`],
    ['nginx:1.27', 'anubis:32000/library/nginx:1.27'],
  ])('turn %s into %s', async (image, chosen) => {
    expect(
      (await decide(image, registriesOf({ 'anubis:32000': found() }), { pin: pinLatest })).chosen,
    ).toBe(chosen)
  })

  it('apply to the tag of the image before it is mapped', async () => {
    const decision = await decide(
      'freeipa/freeipa-server:latest',
      registriesOf({ 'localhost:5000': found() }),
      { table: freeipa, pin: pinLatest },
    )

    expect(decision.chosen).toBe(`localhost:5000/freeipa-server:almalinux-9@${digestA}`)
  })

  it('have the digest of the registry that serves the image', async () => {
    const decision = await decide('nginx', registriesOf({ 'docker.io': found(digestB) }), {
      pin: pinLatest,
    })

    expect(decision).toMatchObject({
      chosen: `docker.io/library/nginx:latest@${digestB}`,
      reason: 'original',
    })
  })

  it('are left out if the registry does not return a digest', async () => {
    const decision = await decide(
      'nginx',
      registriesOf({ 'docker.io': failed('limited', '429') }),
      { pin: pinLatest },
    )

    expect(decision).toMatchObject({
      chosen: 'as it was',
      reason: 'original',
      resolution: { unpinned: '429' },
    })
  })

  it('deny the pod with `unresolved: deny` if there is no digest', async () => {
    const decision = await decide(
      'nginx',
      registriesOf({ 'docker.io': failed('limited', '429') }),
      { pin: { ...pinLatest, unresolved: 'deny' } },
    )

    expect(decision.reason).toBe('pin-denies')
  })

  it('apply to an image without a row if its registry is listed', async () => {
    const listed = registriesOf({ 'quay.io': found() })
    const unlisted = registriesOf({ 'quay.io': found() }, { unlisted: ['quay.io'] })

    expect((await decide('quay.io/x', listed, { pin: pinLatest })).chosen).toBe(
      `quay.io/x:latest@${digestA}`,
    )
    expect((await decide('quay.io/x', unlisted, { pin: pinLatest })).chosen).toBe('as it was')
    expect(unlisted.asked).toEqual([])
  })
})

describe('a row with only the original', () => {
  it('takes the original without a probe', async () => {
    const registries = registriesOf({ 'm.example': found() }, { unlisted: ['ghcr.io'] })
    const table = tableOf(
      ['m.example'],
      [
        { name: 'operators', images: ['ghcr.io/cloudnative-pg/**'], try: ['{host}/{path}'] },
        { name: 'all', images: ['**'], try: ['m.example/{host}/{path}', '{host}/{path}'] },
      ],
    )

    expect(
      (await decide('ghcr.io/cloudnative-pg/postgresql:17', registries, { table })).chosen,
    ).toBe('as it was')
    expect(registries.asked).toEqual([])
  })
})

describe('hosts from the pod', () => {
  it('are not contacted', async () => {
    const registries = registriesOf({}, { unlisted: ['169.254.169.254'] })
    const decision = await decide('169.254.169.254/latest/meta-data', registries, {
      ...oneRow({ images: ['**'], try: ['m.example/{host}/{path}', '{host}/{path}'] }),
      pin: pinLatest,
    })

    expect(decision.chosen).toBe('as it was')
    expect(registries.asked).toEqual(['m.example/169.254.169.254/latest/meta-data:latest'])
  })
})

describe('a registry with probe: false', () => {
  it('is taken without a probe', async () => {
    const registries = registriesOf({}, { trusted: ['anubis:32000'] })

    expect(await decide('nginx:1', registries)).toMatchObject({
      chosen: 'anubis:32000/library/nginx:1',
      reason: 'trusted',
    })
    expect(registries.asked).toEqual([])
  })
})

describe('alternates: digest', () => {
  const policy = oneRow({ images: ['quay.io/x'], try: ['ghcr.io/acme/x'], alternates: 'digest' })

  it.each([
    [
      'is taken with the digest of the original',
      { 'ghcr.io': found(digestA), 'quay.io': found(digestA) },
      `ghcr.io/acme/x:1@${digestA}`,
    ],
    [
      'is not taken with another digest',
      { 'ghcr.io': found(digestB), 'quay.io': found(digestA) },
      'as it was',
    ],
    [
      'is not taken if the digest of the original is not known',
      { 'ghcr.io': found(digestA), 'quay.io': failed('unreachable') },
      'as it was',
    ],
    [
      'is not taken by a stale digest',
      { 'ghcr.io': { ...failed('unreachable'), staleDigest: digestA }, 'quay.io': found(digestB) },
      'as it was',
    ],
  ])('the copy %s', async (_, answers, chosen) => {
    expect((await decide('quay.io/x:1', registriesOf(answers), policy)).chosen).toBe(chosen)
  })
})

describe('registries that are down', () => {
  const down = { ...failed('unreachable'), staleDigest: digestA }
  const row = { images: ['quay.io/x'], try: ['m.example/x', 'n.example/x'] }

  it('cause the candidate with a stale digest to be taken', async () => {
    const registries = registriesOf({ 'm.example': failed('unreachable'), 'n.example': down })
    const decision = await decide('quay.io/x:latest', registries, {
      ...oneRow(row, ['m.example', 'n.example']),
      pin: pinLatest,
    })

    expect(decision).toMatchObject({ chosen: `n.example/x:latest@${digestA}`, reason: 'last-seen' })
  })

  it('do not take precedence over a candidate that is found', async () => {
    const registries = registriesOf({ 'm.example': down, 'n.example': found(digestB) })
    const decision = await decide('quay.io/x:latest', registries, {
      ...oneRow(row, ['m.example', 'n.example']),
      pin: pinLatest,
    })

    expect(decision).toMatchObject({ chosen: `n.example/x:latest@${digestB}`, reason: 'found' })
  })

  it('do not take precedence over the original, which is pinned to its stale digest', async () => {
    const registries = registriesOf({
      'anubis:32000': down,
      'docker.io': { ...down, staleDigest: digestB },
    })
    const decision = await decide('nginx', registries, { pin: pinLatest })

    expect(decision).toMatchObject({
      chosen: `docker.io/library/nginx:latest@${digestB}`,
      reason: 'original',
    })
  })
})

describe('the host of the original', () => {
  it('stays as the pod names it when the image is pinned', async () => {
    const decision = await decide(
      'registry-1.docker.io/acme/app',
      registriesOf({ 'docker.io': found() }),
      { pin: pinLatest },
    )

    expect(decision.chosen).toBe(`registry-1.docker.io/acme/app:latest@${digestA}`)
  })
})

describe('resolveWithoutProbing', () => {
  it('takes the first candidate, with the outcome `unasked` for all', () => {
    const resolution = resolveWithoutProbing(
      { table: anubis, pin: pinLatest },
      { reference: referenceOf('nginx'), pod: barePod },
    )

    expect(resolution.steps.map(({ outcome }) => outcome)).toEqual(['unasked', 'unasked'])
    expect([formatReference(resolution.chosen), resolution.changed, resolution.pinned]).toEqual([
      'anubis:32000/library/nginx:latest',
      true,
      false,
    ])
  })

  it('keeps the host that the pod names for the original, as `resolve` does', () => {
    const policy = { ...oneRow({ images: ['docker.io/**'], try: ['docker.io/{path}'] }) }
    const { chosen } = resolveWithoutProbing(
      { table: anubis, pin: pinNothing, ...policy },
      { reference: referenceOf('registry-1.docker.io/acme/app:1'), pod: barePod },
    )

    expect(formatReference(chosen)).toBe('registry-1.docker.io/acme/app:1')
  })

  it('has no steps and no missing pin for an image without a row', () => {
    const resolution = resolveWithoutProbing(
      { table: anubis, pin: { ...pinLatest, unresolved: 'deny' } },
      { reference: referenceOf('quay.io/x'), pod: barePod },
    )

    expect(resolution).toMatchObject({
      steps: [],
      changed: false,
      unpinned: null,
      reason: 'no-row',
    })
  })

  it('pins an image without a row to its locked digest', () => {
    const { chosen, pinned } = resolveWithoutProbing(
      { table: anubis, pin: { ...pinNothing, locked: () => digestA } },
      { reference: referenceOf('quay.io/x'), pod: barePod },
    )

    expect([formatReference(chosen), pinned]).toEqual([`quay.io/x:latest@${digestA}`, true])
  })
})

describe('describeResolution', () => {
  it.each([
    ['nginx:1', { 'anubis:32000': found() }, 'found on anubis:32000'],
    [
      'nginx:1',
      { 'anubis:32000': failed('absent', '404 MANIFEST_UNKNOWN') },
      'anubis:32000 absent (404 MANIFEST_UNKNOWN); the original on docker.io',
    ],
    ['quay.io/x:1', {}, 'no row matches; image unchanged'],
  ])('describes %s with %j', async (image, answers, text) => {
    expect(describeResolution((await decide(image, registriesOf(answers))).resolution)).toBe(text)
  })
})
