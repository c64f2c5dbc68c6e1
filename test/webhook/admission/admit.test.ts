import { describe, expect, it } from 'vitest'
import { createLane, type Lane } from '../../../src/async/lane.ts'
import { readRecords } from '../../../src/decision/pod/images-annotation.ts'
import type { AdmissionPolicy } from '../../../src/decision/pod/decide-sites.ts'
import type {
  ProvisionResult,
  SecretProvisioner,
} from '../../../src/webhook/admission/secret-provisioner.ts'
import {
  noNamespaceLookup,
  type NamespaceLookup,
} from '../../../src/webhook/admission/namespace-lookup.ts'
import { createAdmit } from '../../../src/webhook/admission/admit.ts'
import type { AdmissionRequest } from '../../../src/webhook/admission/admission-review.ts'
import { createDecideByRow } from '../../../src/decision/resolve/decide-by-row.ts'
import { createDecide } from '../../../src/decision/resolve/decision-cache.ts'
import { hasDenial, type ResolvePolicy } from '../../../src/decision/resolve/resolve-policy.ts'
import { compilePattern } from '../../../src/decision/fallback/image-pattern.ts'
import { applyPatch } from '../../../src/decision/pod/patch.ts'
import { findSites } from '../../../src/decision/pod/sites.ts'
import { member } from '../../../src/json/json.ts'
import {
  digestA,
  failed,
  found,
  type Registries,
  registriesOf,
} from '../../support/manifest-answers.ts'
import { podOf, requestOf } from '../../support/reviews.ts'
import { anubis, tableOf } from '../../support/tables.ts'

interface Setting {
  readonly registries?: Registries
  readonly policy?: Partial<ResolvePolicy & AdmissionPolicy>
  readonly namespaceLookup?: NamespaceLookup
  readonly observeOnly?: boolean
  readonly secretProvisioner?: SecretProvisioner
  readonly isInConflict?: boolean
}

const recordsIn = (pod: unknown) => [...readRecords(pod).values()]

const everywhere = registriesOf({ 'anubis:32000': found() })

async function admit(request: AdmissionRequest, setting: Setting = {}) {
  const bugs: unknown[] = []
  const registries = setting.registries ?? everywhere
  const policy: ResolvePolicy & AdmissionPolicy = {
    table: anubis,
    pin: { matches: (tag) => tag === 'latest', unresolved: 'keep' },
    pullPolicy: [],
    pullSecrets: [],
    mode: 'enforce',
    ...setting.policy,
  }
  const handler = createAdmit({
    currentEngine: () => ({
      policy,
      decide: createDecide(registries.dependencies, policy),
      decideByRow: createDecideByRow(registries.dependencies, policy),
      hasDenial: hasDenial(policy),
      ...(setting.secretProvisioner === undefined
        ? {}
        : { secretProvisioner: setting.secretProvisioner }),
    }),
    namespaceLookup: setting.namespaceLookup ?? noNamespaceLookup,
    conflictOwners: { includes: () => setting.isInConflict === true },
    lane: createLane(),
    onBug: (error) => bugs.push(error),
  })
  const signal = AbortSignal.timeout(5_000)
  const { verdict } = await handler(request, {
    signal: () => signal,
    observeOnly: setting.observeOnly ?? false,
  })
  const after = applyPatch(request.object, verdict.patch)
  return {
    ...verdict,
    after,
    images: findSites(after).map(({ image }) => image),
    bugs,
  }
}

const pinned = `anubis:32000/library/nginx:latest@${digestA}`

describe('a created pod', () => {
  it('gets rewritten images and one annotation that records them', async () => {
    const { images, after, auditAnnotations, denied } = await admit(
      requestOf(podOf(['nginx', 'quay.io/x/y:1'])),
    )

    expect(denied).toBeNull()
    expect(images).toEqual([pinned, 'quay.io/x/y:1'])
    expect(recordsIn(after)).toEqual([
      {
        site: 'containers/c0',
        from: 'nginx',
        to: pinned,
        row: 'docker-hub',
        why: 'found on anubis:32000',
      },
    ])
    expect(JSON.parse(auditAnnotations['images'] ?? '')).toEqual(recordsIn(after))
  })

  it('causes one probe for an image that three containers share', async () => {
    const registries = registriesOf({ 'anubis:32000': found() })
    await admit(requestOf(podOf(['nginx:1', 'nginx:1', 'nginx:1'])), { registries })

    expect(registries.asked).toHaveLength(1)
  })

  it.each([
    ['no image of the table', podOf(['quay.io/x/y:1'])],
    [
      'a mirror pod',
      { ...podOf(['nginx']), metadata: { annotations: { 'kubernetes.io/config.mirror': 'x' } } },
    ],
    ['an image for another webhook', podOf(['auto'])],
    ['no spec', {}],
  ])('stays unchanged: %s', async (_, pod) => {
    expect((await admit(requestOf(pod))).patch).toEqual([])
  })

  it.each([
    'nginx ',
    'NGINX',
    'a'.repeat(300),
    'ｎginx',
    'x@sha256:zz',
    '\u0000',
    'docker://nginx',
    `a${':'.repeat(5000)}`,
  ])('with the image %j stays unchanged and gets a warning', async (image) => {
    const { patch, warnings, denied } = await admit(requestOf(podOf([image])))

    expect([patch, denied, warnings.length]).toEqual([[], null, 1])
  })

  it('keeps its image when no candidate is found, with a warning that says why', async () => {
    const { images, warnings } = await admit(requestOf(podOf(['nginx:1'])), {
      registries: registriesOf({ 'anubis:32000': failed('unreachable', 'ECONNREFUSED') }),
    })

    expect(images).toEqual(['nginx:1'])
    expect(warnings).toEqual([
      'berth: nginx:1: anubis:32000 unreachable (ECONNREFUSED); the original on docker.io',
    ])
  })

  it('is denied only by a rule, which the message names', async () => {
    const table = tableOf(
      ['m.example'],
      [{ name: 'ours', images: ['quay.io/**'], try: ['m.example/{path}'], otherwise: 'deny' }],
    )
    const { denied } = await admit(requestOf(podOf(['quay.io/x:1'])), {
      policy: { table },
      registries: registriesOf({}),
    })

    expect(denied).toContain('quay.io/x:1: row ours has otherwise: deny; m.example absent (404)')
  })

  it.each([
    [
      'my_registry.example/x:1',
      'row closed has otherwise: deny; the part before the first / is not a valid host; denied by the row (otherwise: deny)',
    ],
    [
      `example.com:${'0'.repeat(20)}443/NGINX:1`,
      'not a valid reference: the repository name has upper-case letters; only lower case is allowed; row closed has otherwise: deny',
    ],
    [
      'auto',
      'row closed has otherwise: deny; m.example absent (404); not found; denied by the row (otherwise: deny); not pinned: its registry was not probed',
    ],
  ])('is denied for the image %s by a row for every image', async (image, reason) => {
    const table = tableOf(
      ['m.example'],
      [{ name: 'closed', images: ['**'], try: ['m.example/{path}'], otherwise: 'deny' }],
    )
    const { denied } = await admit(requestOf(podOf([image])), {
      policy: { table },
      registries: registriesOf({}),
    })

    expect(denied).toBe(
      `berth: ${image}: ${reason}; copy the image to a mirror, or change the rule`,
    )
  })

  it.each(['x y', 'my_registry.example/x', 'my_registry.example/x:latest', 'X:latest'])(
    'is denied for the image %j if it needs a pin and the config says unresolved: deny',
    async (image) => {
      const pin = { matches: (tag: string) => tag === 'latest', unresolved: 'deny' as const }
      const { denied } = await admit(requestOf(podOf([image])), { policy: { pin } })

      expect(denied).toContain('pin has unresolved: deny')
    },
  )

  it.each(['DOCKER.IO', 'docker.io:443', 'docker.io:0443'])(
    'gets an image of %s from the mirror; if the mirror lacks it, it keeps the image as it is written',
    async (host) => {
      const image = `${host}/team/app:1`
      const moved = await admit(requestOf(podOf([image])))
      const kept = await admit(requestOf(podOf([image])), { registries: registriesOf({}) })

      expect(moved.images).toEqual(['anubis:32000/team/app:1'])
      expect(moved.warnings).toEqual([])
      expect(kept.images).toEqual([image])
      expect(kept.patch.filter(({ path }) => path.startsWith('/spec'))).toEqual([])
      expect(kept.warnings).toEqual([
        expect.stringContaining('anubis:32000 absent (404); the original on'),
        `berth: ${image}: container runtimes do not treat ${host} as docker.io`,
      ])
    },
  )

  it('stays unchanged when Berth has a bug', async () => {
    const broken = {
      ...everywhere.dependencies,
      queryManifest: () => Promise.reject(new Error('boom')),
    }
    const { patch, warnings, bugs, denied } = await admit(requestOf(podOf(['nginx'])), {
      registries: { dependencies: broken, asked: [] },
    })

    expect([patch, denied, bugs.length]).toEqual([[], null, 1])
    expect(warnings).toEqual(['berth: internal error; pod admitted unchanged'])
  })

  it('is denied when Berth has a bug and a row has otherwise: deny', async () => {
    const broken = {
      ...everywhere.dependencies,
      queryManifest: () => Promise.reject(new Error('boom')),
    }
    const table = tableOf(
      ['m.example'],
      [{ name: 'hub', images: ['docker.io/**'], try: ['m.example/{path}'], otherwise: 'deny' }],
    )
    const { denied, bugs } = await admit(requestOf(podOf(['nginx'])), {
      policy: { table },
      registries: { dependencies: broken, asked: [] },
    })

    expect(bugs).toHaveLength(1)
    expect(denied).toContain('nginx: row hub has otherwise: deny')
  })

  it('is denied when Berth has a bug in its rows and one of them denies every image', async () => {
    const broken = {
      ...everywhere.dependencies,
      isListed: () => {
        throw new Error('boom')
      },
    }
    const closed = { name: 'closed', try: ['m.example/{path}'], otherwise: 'deny' } as const
    const { denied, bugs } = await admit(requestOf(podOf(['nginx'])), {
      policy: { table: tableOf(['m.example'], [closed]) },
      registries: { dependencies: broken, asked: [] },
    })

    expect(bugs).toHaveLength(1)
    expect(denied).toBe(
      'berth: internal error: its images cannot be checked, and a rule of the config denies images',
    )
  })
})

describe('work that never ends', () => {
  const admitStuck = async (
    table: ResolvePolicy['table'],
    {
      mode = 'enforce',
      images = ['nginx'],
      lane = createLane(),
    }: { mode?: 'enforce' | 'observe'; images?: readonly string[]; lane?: Lane } = {},
  ) => {
    const policy = {
      table,
      pin: { matches: () => false, unresolved: 'keep' },
      pullPolicy: [],
      pullSecrets: [],
      mode,
    } as const
    const stuck = {
      ...everywhere.dependencies,
      queryManifest: () => new Promise<never>(() => undefined),
    }
    const handler = createAdmit({
      currentEngine: () => ({
        policy,
        decide: createDecide(stuck, policy),
        decideByRow: createDecideByRow(stuck, policy),
        hasDenial: hasDenial(policy),
      }),
      namespaceLookup: noNamespaceLookup,
      lane,
      onBug: () => undefined,
    })
    const signal = AbortSignal.timeout(1)
    return handler(requestOf(podOf(images)), { signal: () => signal, observeOnly: false })
  }
  const denying = tableOf(
    ['m.example'],
    [{ name: 'hub', images: ['docker.io/**'], try: ['m.example/{path}'], otherwise: 'deny' }],
  )

  it('is abandoned soon after the deadline, and the pod is admitted unchanged', async () => {
    const { verdict, isFailed } = await admitStuck(anubis)

    expect(isFailed).toBe(true)
    expect(verdict).toMatchObject({
      patch: [],
      denied: null,
      warnings: ['berth: no decision in time; pod admitted unchanged'],
    })
  })

  it('does not get the pod past a row with otherwise: deny', async () => {
    const { verdict, isFailed } = await admitStuck(denying)

    expect(isFailed).toBe(true)
    expect(verdict.denied).toBe(
      'berth: nginx: row hub has otherwise: deny; m.example timeout (no response in time); not found; denied by the row (otherwise: deny); copy the image to a mirror, or change the rule',
    )
    expect((await admitStuck(denying, { mode: 'observe' })).verdict.denied).toBeNull()
  })

  const images = Array.from({ length: 100 }, (_, index) => `app${index}`)

  it('does not get a large pod without a turn past a row with otherwise: deny', async () => {
    const lane = { next: () => new Promise<void>(() => undefined), isOver: () => true }
    const [denied, admitted] = await Promise.all([
      admitStuck(denying, { images, lane }),
      admitStuck(anubis, { images, lane }),
    ])

    expect(denied.verdict.denied).toBe(
      'berth: too many image fields: its images cannot be checked, and a rule of the config denies images; make the pod smaller',
    )
    expect(admitted.verdict.denied).toBeNull()
  })

  it('gets no more turns after the answer', async () => {
    let turns = 0
    const lane: Lane = {
      next: () => {
        turns += 1
        return new Promise((resolve) => setTimeout(resolve, 20))
      },
      isOver: () => true,
    }
    await admitStuck(anubis, { images, lane })
    const before = turns
    await new Promise((resolve) => setTimeout(resolve, 100))

    expect(turns - before).toBeLessThanOrEqual(1)
  })
})

describe('a pod that is admitted twice', () => {
  it.each([
    ['on the mirror', everywhere],
    [
      "with another publisher's copy",
      registriesOf({ 'ghcr.io': found(), 'anubis:32000/your-org/app:1': found() }),
    ],
    ['with the original', registriesOf({ 'docker.io': found() })],
  ])('stays as it is the second time: %s', async (_, registries) => {
    const table = tableOf(
      ['anubis:32000'],
      [
        {
          name: 'local',
          images: ['anubis:32000/app'],
          try: ['ghcr.io/your-org/app', 'anubis:32000/app'],
        },
        { name: 'hub', images: ['docker.io/**'], try: ['anubis:32000/{path}', 'docker.io/{path}'] },
        { name: 'ghcr', images: ['ghcr.io/**'], try: ['anubis:32000/{path}', 'ghcr.io/{path}'] },
      ],
    )
    const setting = { registries, policy: { table } }
    const once = await admit(requestOf(podOf(['nginx', 'anubis:32000/app:1'])), setting)
    const twice = await admit(requestOf(once.after), setting)

    expect(once.patch).not.toEqual([])
    expect(twice.patch).toEqual([])
    expect(twice.auditAnnotations).toEqual(once.auditAnnotations)
  })
})

describe('a forged annotation', () => {
  const record = {
    site: 'containers/c0',
    from: 'nginx',
    to: 'nginx',
    row: 'docker-hub',
    why: 'done',
  }

  it.each([
    ['claims that everything is done', [record]],
    ['claims another origin', [{ ...record, from: 'quay.io/x/y:1' }]],
    ['claims an origin that does not parse', [{ ...record, from: '!!' }]],
    ['claims that another webhook replaces the image', [{ ...record, from: 'auto' }]],
    ['has records of another shape', [{ site: 'containers/c0' }]],
    ['is not a list', { done: true }],
  ])('gains nothing when it %s', async (_, claim) => {
    const pod = {
      ...podOf(['nginx']),
      metadata: { annotations: { 'berth.dev/images': JSON.stringify(claim) } },
    }
    const { images, after } = await admit(requestOf(pod))

    // At most, a claim requests the image that it names, which the pod could have named itself.
    expect(images[0] === pinned || images[0] === 'quay.io/x/y:1').toBe(true)
    expect(recordsIn(after).every(({ why }) => why !== 'done')).toBe(true)
  })

  it('is removed when no row matches an image of the pod', async () => {
    const pod = {
      ...podOf(['quay.io/x/y:1']),
      metadata: { annotations: { 'berth.dev/images': '[]', a: '1' } },
    }

    expect(member((await admit(requestOf(pod))).after, 'metadata')).toEqual({
      annotations: { a: '1' },
    })
  })
})

describe('records that are expensive to read', () => {
  const table = tableOf(
    ['m.example'],
    [{ name: 'ours', images: ['quay.io/**'], try: ['m.example/{path}'], otherwise: 'deny' }],
  )
  const ghost = { site: 'containers/ghost', from: 'a', to: 'signed:1', row: null, why: 'approved' }
  const withRecords = (value: string) => ({
    ...podOf(['quay.io/x:1']),
    metadata: { annotations: { 'berth.dev/images': value } },
  })

  it.each([
    [
      'nested 50,000 levels deep',
      JSON.stringify([{ ...ghost, x: 'DEEP' }]).replace(
        '"DEEP"',
        '['.repeat(50_000) + ']'.repeat(50_000),
      ),
    ],
    [
      '4,000 of them',
      JSON.stringify(
        Array.from({ length: 4_000 }, (_, index) => ({ ...ghost, site: `containers/g${index}` })),
      ),
    ],
  ])('do not get the pod past a rule: %s', async (_, value) => {
    const { denied, bugs } = await admit(requestOf(withRecords(value)), {
      policy: { table },
      registries: registriesOf({}),
    })

    expect(bugs).toEqual([])
    expect(denied).toContain('row ours has otherwise: deny')
  })

  it('are dropped when a new pod does not have their site', async () => {
    const pod = {
      ...podOf(['nginx']),
      metadata: { annotations: { 'berth.dev/images': JSON.stringify([ghost]) } },
    }
    const { after, auditAnnotations } = await admit(requestOf(pod))

    expect(recordsIn(after).map(({ site }) => site)).toEqual(['containers/c0'])
    expect(auditAnnotations['images']).not.toContain('signed')
  })
})

describe('an updated pod', () => {
  const update = (object: unknown, oldObject: unknown, subResource = '') =>
    requestOf(object, { operation: 'UPDATE', oldObject, subResource })

  it('stays unchanged without a new image', async () => {
    const pod = podOf(['nginx'])

    expect((await admit(update({ ...pod, metadata: { labels: { a: 'b' } } }, pod))).patch).toEqual(
      [],
    )
  })

  it('gets only the new image rewritten, and no pull policy and no pull secrets', async () => {
    const policy = {
      pullPolicy: [{ images: [pattern('**')], set: 'IfNotPresent' }],
      pullSecrets: [{ secret: 's', matches: () => true }],
    }
    const { patch } = await admit(
      update(podOf(['nginx:1', 'nginx:2']), podOf(['nginx:1', 'nginx:0'])),
      { policy },
    )

    expect(patch.map(({ path }) => path)).toEqual([
      '/spec/containers/1/image',
      '/metadata/annotations',
    ])
  })

  it('keeps the records of the other sites', async () => {
    const first = (await admit(requestOf(podOf(['nginx', 'nginx:1'])))).after as {
      spec: { containers: { image: string }[] }
    }
    const second = structuredClone(first)
    const changed = second.spec.containers[1]
    if (changed !== undefined) changed.image = 'nginx:2'
    const { after } = await admit(update(second, first))

    expect(recordsIn(after).map(({ site, from }) => [site, from])).toEqual([
      ['containers/c0', 'nginx'],
      ['containers/c1', 'nginx:2'],
    ])
  })

  it('gets a debug container rewritten, pull policy included', async () => {
    const old = podOf(['nginx'])
    const now = podOf(['nginx'], {
      ephemeralContainers: [{ name: 'd', image: 'busybox', imagePullPolicy: 'Always' }],
    })
    const { patch } = await admit(update(now, old, 'ephemeralcontainers'), {
      policy: {
        pullPolicy: [{ images: [pattern('anubis:32000/**')], set: 'IfNotPresent' }],
        pullSecrets: [{ secret: 's', matches: () => true }],
      },
    })

    expect(patch.map(({ path }) => path)).toEqual([
      '/spec/ephemeralContainers/0/image',
      '/spec/ephemeralContainers/0/imagePullPolicy',
      '/metadata/annotations',
    ])
  })

  it.each([
    ['another subresource', { subResource: 'status', operation: 'UPDATE' }],
    ['another operation', { operation: 'other' }],
    ['another kind', { isPod: false }],
  ] as const)('stays unchanged for %s', async (_, more) => {
    expect((await admit(requestOf(podOf(['nginx']), more))).patch).toEqual([])
  })
})

describe('the pull policy', () => {
  it.each([
    ['stays as the API server defaulted it, without a rule', [], 'Always'],
    [
      'comes from the first matching rule',
      [
        { images: [pattern('anubis:32000/**')], set: 'IfNotPresent' },
        { images: [pattern('**')], set: 'Never' },
      ],
      'IfNotPresent',
    ],
    [
      'depends on the final image, not on the requested one',
      [{ images: [pattern('docker.io/**')], set: 'Never' }],
      'Always',
    ],
  ])('%s', async (_, pullPolicy, want) => {
    const pod = podOf([], {
      containers: [{ name: 'a', image: 'nginx', imagePullPolicy: 'Always' }],
    })
    const { after } = await admit(requestOf(pod), { policy: { pullPolicy } })

    expect(findSites(after)[0]?.pullPolicy).toBe(want)
  })
})

describe('pull secrets', () => {
  const policy = {
    pullSecrets: [
      { secret: 'ours', matches: ({ domain }: { domain: string }) => domain === 'anubis:32000' },
    ],
  }
  const secrets = (after: unknown) => member(member(after, 'spec'), 'imagePullSecrets')

  it('are appended once, after the ones that the pod lists', async () => {
    const once = await admit(requestOf(podOf(['nginx'], { imagePullSecrets: [{ name: 'a' }] })), {
      policy,
    })
    const twice = await admit(requestOf(once.after), { policy })

    expect(secrets(once.after)).toEqual([{ name: 'a' }, { name: 'ours' }])
    expect(secrets(twice.after)).toEqual(secrets(once.after))
  })

  it('are added only when the final image is on their registry', async () => {
    const { after } = await admit(requestOf(podOf(['nginx'])), {
      policy,
      registries: registriesOf({}),
    })

    expect(secrets(after)).toBeUndefined()
  })

  it('get a warning when the namespace does not have them', async () => {
    const namespaceLookup = { ...noNamespaceLookup, hasSecret: () => Promise.resolve(false) }
    const { warnings, after } = await admit(requestOf(podOf(['nginx'])), {
      policy,
      namespaceLookup,
    })

    expect(warnings).toEqual(['berth: pull secret ours not found in namespace default'])
    expect(secrets(after)).toEqual([{ name: 'ours' }])
  })

  it('are not added when the service account may not use them, because the API server would reject the pod', async () => {
    const namespaceLookup = {
      ...noNamespaceLookup,
      mountableSecrets: () => Promise.resolve(new Set(['other'])),
    }
    const { warnings, after } = await admit(requestOf(podOf(['nginx'])), {
      policy,
      namespaceLookup,
    })

    expect(warnings).toEqual([
      'berth: pull secret ours not added: service account default may not use it',
    ])
    expect(secrets(after)).toBeUndefined()
  })
})

describe('pull secrets that the provisioner covers', () => {
  const policy = { pullSecrets: [{ secret: 'ours', matches: () => true }] }
  const listing = (name: string) => requestOf(podOf(['nginx'], { imagePullSecrets: [{ name }] }))

  function createProvisioner(result: ProvisionResult) {
    const asked: string[] = []
    const secretProvisioner: SecretProvisioner = {
      covers: (secret) => secret === 'ours',
      ensure: (namespace, secret) => {
        asked.push(`${namespace}/${secret}`)
        return Promise.resolve(result)
      },
    }
    return { secretProvisioner, asked }
  }

  it('are created before the answer, without a warning', async () => {
    const { secretProvisioner, asked } = createProvisioner('present')
    const namespaceLookup = { ...noNamespaceLookup, hasSecret: () => Promise.resolve(false) }
    const { warnings, after } = await admit(requestOf(podOf(['nginx'])), {
      policy,
      namespaceLookup,
      secretProvisioner,
    })

    expect(asked).toEqual(['default/ours'])
    expect(warnings).toEqual([])
    expect(member(member(after, 'spec'), 'imagePullSecrets')).toEqual([{ name: 'ours' }])
  })

  it('are also created when the pod lists them itself, for example from its service account', async () => {
    const { secretProvisioner, asked } = createProvisioner('present')
    await admit(listing('ours'), { secretProvisioner })
    await admit(listing('other'), { secretProvisioner })

    expect(asked).toEqual(['default/ours'])
  })

  it.each([
    ['creation failed', 'failed', null, ['not created in time']],
    ['creation failed and the secret is missing', 'failed', false, ['not found in namespace']],
    ['creation failed and the secret exists', 'failed', true, []],
    ['the namespace is not covered', 'not-covered', null, []],
    [
      'the namespace is not covered and the secret is missing',
      'not-covered',
      false,
      ['not found in'],
    ],
  ] as const)(
    'are added all the same, with the right warning, when %s',
    async (_, result, has, words) => {
      const { secretProvisioner } = createProvisioner(result)
      const namespaceLookup = { ...noNamespaceLookup, hasSecret: () => Promise.resolve(has) }
      const { warnings, denied, after } = await admit(requestOf(podOf(['nginx'])), {
        policy,
        namespaceLookup,
        secretProvisioner,
      })

      expect(denied).toBeNull()
      expect(warnings.map((warning) => words.find((each) => warning.includes(each)))).toEqual(words)
      expect(member(member(after, 'spec'), 'imagePullSecrets')).toEqual([{ name: 'ours' }])
    },
  )

  it.each([
    ['a dry run', requestOf(podOf(['nginx']), { dryRun: true }), {}],
    ['shadow mode', requestOf(podOf(['nginx'])), { observeOnly: true }],
    ['shadow mode from the config', requestOf(podOf(['nginx'])), { mode: 'observe' }],
    ['an update', requestOf(podOf(['nginx']), { operation: 'UPDATE' }), {}],
    [
      'an ephemeral container',
      requestOf(podOf(['nginx']), { operation: 'UPDATE', subResource: 'ephemeralcontainers' }),
      {},
    ],
  ] as const)('are not created for %s', async (_, request, setting) => {
    const { secretProvisioner, asked } = createProvisioner('present')
    const mode = 'mode' in setting ? { mode: setting.mode } : {}
    const observeOnly = 'observeOnly' in setting
    await admit(request, { policy: { ...policy, ...mode }, observeOnly, secretProvisioner })

    expect(asked).toEqual([])
  })

  it('are not created for a pod that is denied', async () => {
    const { secretProvisioner, asked } = createProvisioner('present')
    const { denied } = await admit(requestOf(podOf(['nginx'])), {
      policy: { ...policy, pin: { matches: () => true, unresolved: 'deny' } },
      registries: registriesOf({ 'anubis:32000': failed('unreachable', 'ECONNREFUSED') }),
      secretProvisioner,
    })

    expect(denied).not.toBeNull()
    expect(asked).toEqual([])
  })

  it('are not created when the service account may not use them', async () => {
    const { secretProvisioner, asked } = createProvisioner('present')
    const namespaceLookup = {
      ...noNamespaceLookup,
      mountableSecrets: () => Promise.resolve(new Set(['other'])),
    }
    await admit(requestOf(podOf(['nginx'])), { policy, namespaceLookup, secretProvisioner })

    expect(asked).toEqual([])
  })
})

describe('shadow mode', () => {
  it.each([
    ['from the config', { policy: { mode: 'observe' as const } }],
    ['from the path of the request', { observeOnly: true }],
  ])('decides and records but changes nothing: %s', async (_, setting) => {
    const { patch, auditAnnotations, warnings } = await admit(requestOf(podOf(['nginx'])), setting)

    expect(patch).toEqual([])
    expect(warnings).toEqual([`berth (observing): nginx would become ${pinned}`])
    expect(auditAnnotations).toMatchObject({
      mode: 'observe',
      changes: '1',
      images: expect.stringContaining(pinned),
    })
  })

  it('denies nothing', async () => {
    const table = tableOf(
      [],
      [{ name: 'r', images: ['**'], try: ['m.example/x'], otherwise: 'deny' }],
    )
    const { denied, warnings } = await admit(requestOf(podOf(['nginx:1'])), {
      policy: { table, mode: 'observe' },
      registries: registriesOf({}),
    })

    expect(denied).toBeNull()
    expect(warnings[0]).toContain('has otherwise: deny')
  })
})

describe('a pod whose annotations are full', () => {
  it('gets its image rewritten and a warning', async () => {
    const pod = {
      ...podOf(['nginx']),
      metadata: { annotations: { big: 'x'.repeat(256 * 1024 - 10) } },
    }
    const { images, after, warnings } = await admit(requestOf(pod))

    expect(images).toEqual([pinned])
    expect(recordsIn(after)).toEqual([])
    expect(warnings).toEqual([expect.stringContaining('have no room for it')])
  })
})

function pattern(text: string) {
  const result = compilePattern(text)
  if (!result.ok) throw new Error(result.message)
  return result.pattern
}

describe('a pod whose owner is in conflict', () => {
  const deny = tableOf(
    ['anubis:32000'],
    [{ name: 'closed', try: ['anubis:32000/{path}'], otherwise: 'deny' }],
  )

  it('keeps its image, and the record says why', async () => {
    const { images, after, denied } = await admit(requestOf(podOf(['nginx'])), {
      isInConflict: true,
    })

    expect(denied).toBeNull()
    expect(images).toEqual(['nginx'])
    expect(recordsIn(after)).toEqual([
      {
        site: 'containers/c0',
        from: 'nginx',
        to: 'nginx',
        row: 'detected:image-conflict',
        why: 'left unchanged: its owner recreates pods whose images Berth changes (conflicts: leave)',
      },
    ])
  })

  it('is denied by a row that denies', async () => {
    const registries = registriesOf({ 'anubis:32000': failed('absent') })
    const setting = { isInConflict: true, registries, policy: { table: deny } }
    const { denied } = await admit(requestOf(podOf(['nginx'])), setting)

    expect(denied).toContain('row closed has otherwise: deny')
  })

  it('is denied by a pin that denies, if the pin is for the pod', async () => {
    const registries = registriesOf({ 'anubis:32000': failed('absent') })
    const pin = { matches: () => true, unresolved: 'deny' } as const
    const setting = { isInConflict: true, registries, policy: { pin } }

    expect((await admit(requestOf(podOf(['nginx'])), setting)).denied).toContain('pin')
    const when = { text: 'others', namespaces: [], pods: null, owners: null }
    const other = { ...setting, policy: { pin: { ...pin, when } } }
    expect((await admit(requestOf(podOf(['nginx'])), other)).images).toEqual(['nginx'])
  })

  it('gets its images by the table again after the entry has ended, with the same caches', async () => {
    const policy = {
      table: anubis,
      pin: { matches: () => false, unresolved: 'keep' as const },
    }
    const decide = createDecide(everywhere.dependencies, policy)
    const signal = () => AbortSignal.timeout(5_000)
    const pod = { namespace: 'default', labels: {}, owners: [] }
    const first = await decide('nginx:1', { pod: { ...pod, isInConflict: true }, signal })
    const second = await decide('nginx:1', { pod, signal })

    expect(first).toMatchObject({ image: 'nginx:1' })
    expect(second).toMatchObject({ image: 'anubis:32000/library/nginx:1' })
  })
})
