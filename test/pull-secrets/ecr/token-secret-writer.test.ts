import { describe, expect, it } from 'vitest'
import type { SecretObject } from '../../../src/pull-secrets/objects.ts'
import {
  type EcrTokensDependencies,
  syncTokenSecret,
} from '../../../src/pull-secrets/ecr/token-secret-writer.ts'
import type { AwsApi } from '../../../src/aws/sdk.ts'
import type { EcrSettings } from '../../../src/aws/ecr-settings.ts'
import { createEcrTokenCache } from '../../../src/aws/ecr-token-cache.ts'
import { KubeError } from '../../../src/kube/error.ts'
import type { KubeObject, ResourceRef } from '../../../src/kube/object.ts'
import { consentLabel } from '../../../src/pull-secrets/labels.ts'
import { registryHost, settings, startOfTests } from '../../support/ecr.ts'

const twelveHours = 43_200_000
const halfLifetime = twelveHours / 2
const other = '606639739464.dkr.ecr.us-east-1.amazonaws.com'
const abroad = '818140567777.dkr.ecr.eu-west-1.amazonaws.com'
const direct: EcrSettings = { ...settings, chain: [] }
const entry = { secret: 'ecr-pull', registries: [{ host: registryHost, ecr: direct }] }

/** An API server with one Secret that counts writes, and an AWS that counts calls. */
function createFakes() {
  const state = {
    now: startOfTests,
    stored: null as SecretObject | null,
    writes: 0,
    /** The region of each token that was requested. */
    requests: [] as string[],
    /** Regions that refuse a token. */
    failing: new Set<string>(),
    /** The expiry in the response; twelve hours from now when null. */
    expiresAt: null as number | null,
    /** Whether the token is the same each time. */
    isConstant: false,
  }
  const aws: AwsApi = {
    assumeRoleWithWebIdentity: () => Promise.reject(new Error('unexpected request')),
    assumeRole: () => Promise.reject(new Error('unexpected request')),
    callerArn: () => Promise.resolve('arn:caller'),
    authorizationToken({ region }) {
      state.requests.push(region)
      if (state.failing.has(region)) {
        return Promise.reject(Object.assign(new Error('no'), { name: 'AccessDeniedException' }))
      }
      const text = state.isConstant ? 'AWS:constant' : `AWS:${region}-${state.requests.length}`
      const end = state.expiresAt ?? state.now + twelveHours
      return Promise.resolve({
        token: Buffer.from(text).toString('base64'),
        expiresAt: new Date(end),
      })
    },
  }
  const write = (_: ResourceRef, object: object) => {
    const given = object as SecretObject
    const stored = state.stored?.metadata.resourceVersion
    if (stored !== given.metadata.resourceVersion) {
      return Promise.reject(new KubeError(409, 'Conflict', 'the object has been modified'))
    }
    state.writes += 1
    const metadata = { ...given.metadata, resourceVersion: String(state.writes) }
    state.stored = { ...given, metadata }
    return Promise.resolve(state.stored)
  }
  const api = {
    get: () => Promise.resolve(state.stored),
    create: write,
    replace: write,
  } as unknown as EcrTokensDependencies['api']
  const newProcess = (): EcrTokensDependencies => ({
    api,
    namespace: 'berth',
    now: () => state.now,
    tokens: createEcrTokenCache({
      aws,
      env: {},
      secretsDirectory: '/nowhere',
      now: () => state.now,
      random: () => 0,
    }),
  })
  return { state, newProcess, dependencies: newProcess() }
}

function auths(secret: SecretObject | null): Record<string, string> {
  const text = Buffer.from(secret?.data?.['.dockerconfigjson'] ?? '', 'base64').toString()
  const parsed = JSON.parse(text) as { auths: Record<string, { auth: string }> }
  return Object.fromEntries(
    Object.entries(parsed.auths).map(([host, { auth }]) => [
      host,
      Buffer.from(auth, 'base64').toString(),
    ]),
  )
}

describe('a token secret', () => {
  it('is a pull secret with the label of a source and the expiry', async () => {
    const { state, dependencies } = createFakes()

    const report = await syncTokenSecret(dependencies, entry)

    expect(report).toEqual({
      secret: 'ecr-pull',
      uid: undefined,
      outcome: 'written',
      problem: null,
      expiresAt: startOfTests + twelveHours,
      checkAt: startOfTests + 60_000,
    })
    expect(state.stored).toMatchObject({
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/dockerconfigjson',
      metadata: {
        name: 'ecr-pull',
        namespace: 'berth',
        labels: { [consentLabel]: 'allowed', 'app.kubernetes.io/managed-by': 'berth' },
        annotations: {
          'berth.dev/expires-at': '2026-03-01T12:00:00.000Z',
          'berth.dev/refresh-at': '2026-03-01T06:00:00.000Z',
        },
      },
    })
    expect(auths(state.stored)).toEqual({ [registryHost]: 'AWS:us-east-1-1' })
  })

  it('has all hosts, with one request for each identity and region', async () => {
    const { state, dependencies } = createFakes()
    const registries = [
      { host: registryHost, ecr: direct },
      { host: other, ecr: direct },
      { host: abroad, ecr: { ...direct, region: 'eu-west-1' } },
    ]
    await syncTokenSecret(dependencies, { secret: 'ecr-pull', registries })

    expect(state.requests.sort()).toEqual(['eu-west-1', 'us-east-1'])
    expect(Object.keys(auths(state.stored))).toEqual([other, abroad, registryHost].sort())
  })

  it('is not refreshed before half of the lifetime of its tokens', async () => {
    const { state, dependencies } = createFakes()
    const outcomes: string[] = []
    for (const at of [0, 60_000, halfLifetime - 1, halfLifetime, halfLifetime + 60_000]) {
      state.now = startOfTests + at
      outcomes.push((await syncTokenSecret(dependencies, entry)).outcome)
    }

    expect(outcomes).toEqual(['written', 'unchanged', 'unchanged', 'written', 'unchanged'])
    expect([state.requests.length, state.writes]).toEqual([2, 2])
  })

  it('is taken over by a new process, which requests a token only when the refresh is due', async () => {
    const { state, dependencies, newProcess } = createFakes()
    await syncTokenSecret(dependencies, entry)
    state.now += halfLifetime - 1
    const before = await syncTokenSecret(newProcess(), entry)
    state.now += 1
    const due = await syncTokenSecret(newProcess(), entry)

    expect([before.outcome, due.outcome, state.requests.length]).toEqual([
      'unchanged',
      'written',
      2,
    ])
  })

  it('is not written when the new token is the same', async () => {
    const { state, dependencies } = createFakes()
    state.isConstant = true
    state.expiresAt = Date.parse('2015-01-01T00:00:00Z')
    const outcomes = new Set<string>()
    for (let minute = 0; minute < 60; minute++) {
      outcomes.add((await syncTokenSecret(dependencies, entry)).outcome)
      state.now += 60_000
    }

    expect([state.writes, state.requests.length]).toEqual([1, 12])
    expect(outcomes).toEqual(new Set(['written', 'unchanged']))
  })

  it.each<[string, (secret: SecretObject) => SecretObject | null]>([
    ['deleted', () => null],
    ['modified', (secret) => ({ ...secret, data: { '.dockerconfigjson': 'e30=' } })],
    [
      'stripped of its label',
      (secret) => ({
        ...secret,
        metadata: { ...secret.metadata, labels: { 'app.kubernetes.io/managed-by': 'berth' } },
      }),
    ],
  ])('that was %s is repaired without a request to AWS', async (_, change) => {
    const { state, dependencies } = createFakes()
    await syncTokenSecret(dependencies, entry)
    const before = auths(state.stored)
    state.stored = change(state.stored as SecretObject)
    await syncTokenSecret(dependencies, entry)

    expect(auths(state.stored)).toEqual(before)
    expect(state.stored?.metadata.labels?.[consentLabel]).toBe('allowed')
    expect(state.requests).toHaveLength(1)
  })

  it('keeps the labels and annotations of others', async () => {
    const { state, dependencies } = createFakes()
    await syncTokenSecret(dependencies, entry)
    const metadata = (state.stored as KubeObject).metadata
    const labels = { ...metadata.labels, team: 'x' }
    state.stored = { ...state.stored, metadata: { ...metadata, labels } }
    state.now += halfLifetime
    await syncTokenSecret(dependencies, entry)

    expect(state.stored?.metadata.labels).toEqual(labels)
    expect(state.writes).toBe(2)
  })

  it('is refreshed when its settings change', async () => {
    const { state, dependencies } = createFakes()
    await syncTokenSecret(dependencies, entry)
    const ecr = { ...direct, sessionName: 'other' }
    await syncTokenSecret(dependencies, { ...entry, registries: [{ host: registryHost, ecr }] })

    expect([state.requests.length, state.writes]).toEqual([2, 2])
  })
})

describe('a token that cannot be fetched', () => {
  it('leaves the secret as it is, and the report names the link of the chain', async () => {
    const { state, dependencies } = createFakes()
    await syncTokenSecret(dependencies, entry)
    const before = state.stored
    state.now += halfLifetime
    state.failing.add('us-east-1')
    const report = await syncTokenSecret(dependencies, entry)

    expect(report).toMatchObject({
      outcome: 'failed',
      problem: { link: 'token', message: expect.stringContaining('AccessDenied') as string },
      expiresAt: startOfTests + twelveHours,
      checkAt: state.now + 10_000,
    })
    expect(state.stored).toBe(before)
  })

  it('leads to no secret when there was none', async () => {
    const { state, dependencies } = createFakes()
    state.failing.add('us-east-1')

    expect(await syncTokenSecret(dependencies, entry)).toMatchObject({
      outcome: 'failed',
      expiresAt: null,
    })
    expect(state.stored).toBeNull()
  })

  it('keeps the old token of its host while other hosts are refreshed, also after a restart', async () => {
    const { state, dependencies, newProcess } = createFakes()
    const registries = [
      { host: registryHost, ecr: direct },
      { host: abroad, ecr: { ...direct, region: 'eu-west-1' } },
    ]
    await syncTokenSecret(dependencies, { secret: 'ecr-pull', registries })
    const before = auths(state.stored)
    state.now += halfLifetime
    state.failing.add('eu-west-1')
    const restarted = newProcess()
    const report = await syncTokenSecret(restarted, { secret: 'ecr-pull', registries })
    const after = auths(state.stored)
    state.now += 60_000
    await syncTokenSecret(restarted, { secret: 'ecr-pull', registries })

    expect(after[abroad]).toBe(before[abroad])
    expect(after[registryHost]).not.toBe(before[registryHost])
    expect(report).toMatchObject({ outcome: 'failed', expiresAt: startOfTests + twelveHours })
    expect(state.writes).toBe(2)
  })
})

describe('a foreign secret with this name', () => {
  const metadata = { name: 'ecr-pull', namespace: 'berth', resourceVersion: '7' }
  const managed = { ...metadata, labels: { 'app.kubernetes.io/managed-by': 'berth' } }

  it.each<[string, SecretObject, string]>([
    [
      'without the label of Berth',
      { metadata, type: 'kubernetes.io/dockerconfigjson' },
      'not created by Berth',
    ],
    ['of another type', { metadata: managed, type: 'Opaque' }, 'has type Opaque'],
    [
      'that is immutable',
      { metadata: managed, type: 'kubernetes.io/dockerconfigjson', immutable: true },
      'is immutable',
    ],
  ])('%s is not changed', async (_, secret, want) => {
    const { state, dependencies } = createFakes()
    state.stored = secret
    const report = await syncTokenSecret(dependencies, entry)

    expect(report).toMatchObject({ outcome: 'failed', problem: { link: 'secret' } })
    expect(report.problem?.message).toContain(want)
    expect([state.stored, state.requests]).toEqual([secret, []])
  })
})
