import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import {
  createEcrTokensLoop,
  type EcrLoopDependencies,
} from '../../src/controller/ecr-tokens-loop.ts'
import type { EcrTokenState } from '../../src/aws/ecr-token-cache.ts'
import { KubeError } from '../../src/kube/error.ts'
import { createEcrMetrics } from '../../src/telemetry/ecr-metrics.ts'
import { registryHost, settings, startOfTests } from '../support/ecr.ts'

const hour = 3_600_000

interface TokenCheck extends Partial<EcrTokenState> {
  /** Milliseconds after the start. */
  readonly at: number
  /** Why the API server does not return the Secret. */
  readonly error?: KubeError
}

const unanswered = new KubeError(null, '', 'does not answer')

/** Runs the loop with these checks. */
async function runChecks(checks: readonly TokenCheck[]) {
  const stop = new AbortController()
  const events: { message: string; reason: string }[] = []
  const lines: string[] = []
  const registry = new Registry()
  let now = startOfTests
  let check = 0
  /** When the loop wanted to check again, in milliseconds after the start. */
  const nextChecks: number[] = []
  const dependencies: EcrLoopDependencies = {
    api: {
      get: ({ resource }) => {
        const error = resource === 'secrets' ? checks[check]?.error : undefined
        return error === undefined ? Promise.resolve(null) : Promise.reject(error)
      },
      create: (({ resource }: { resource: string }, object: object) => {
        if (resource === 'events') events.push(object as (typeof events)[0])
        return Promise.resolve(object)
      }) as EcrLoopDependencies['api']['create'],
      replace: () => Promise.reject(new Error('unexpected replace')),
    },
    tokens: {
      refreshed: () =>
        Promise.resolve({
          token: null,
          failure: null,
          dueAt: startOfTests + 6 * hour,
          ...checks[check],
        }),
    },
    namespace: 'berth',
    now: () => now,
    metrics: createEcrMetrics(registry),
    log: {
      info: (_: unknown, text: string) => lines.push(text),
      warn: (_: unknown, text: string) => lines.push(text),
      debug: (_: unknown, text: string) => lines.push(text),
    } as unknown as EcrLoopDependencies['log'],
    waitUntil: (time) => {
      nextChecks.push(time - startOfTests)
      check += 1
      const next = checks[check]
      if (next === undefined) stop.abort()
      else now = startOfTests + next.at
      return Promise.resolve()
    },
  }
  const registries = [{ host: registryHost, ecr: settings }]
  const loop = createEcrTokensLoop(dependencies, [{ secret: 'ecr-pull', registries }])
  await loop.run(stop.signal)
  return { events, lines, nextChecks, metrics: await registry.metrics() }
}

const failure = (message: string) => ({
  step: 'role' as const,
  code: 'AccessDenied',
  message,
  summary: '',
})
const token = {
  username: 'AWS',
  password: 'canary-token',
  issuedAt: startOfTests,
  expiresAt: startOfTests + 12 * hour,
  caller: 'arn:caller',
}

describe('a token that cannot be fetched', () => {
  it('is reported once, and again when the message changes or the Event has expired', async () => {
    const { events, lines, metrics } = await runChecks([
      { at: 0, failure: failure('first') },
      { at: 60_000, failure: failure('first') },
      { at: 120_000, failure: failure('second') },
      { at: 180_000, failure: failure('second') },
      { at: 120_000 + hour, failure: failure('second') },
    ])

    expect(events.map(({ message }) => message)).toEqual([
      'first; there is no token',
      'second; there is no token',
      'second; there is no token',
    ])
    expect(lines).toEqual(Array(3).fill('ECR token not refreshed'))
    expect(metrics).toContain('berth_ecr_token_failures_total{secret="ecr-pull",link="role"} 5')
    expect(metrics).toContain('berth_ecr_token_expiry_timestamp_seconds{secret="ecr-pull"} 0')
  })

  it('has an Event with at most 1024 characters', async () => {
    const { events } = await runChecks([{ at: 0, failure: failure('x'.repeat(5_000)) }])

    expect(events[0]?.message).toHaveLength(1_024)
    expect(events[0]).toMatchObject({
      type: 'Warning',
      reason: 'EcrTokenFailed',
      involvedObject: { kind: 'Secret', namespace: 'berth', name: 'ecr-pull' },
      firstTimestamp: '2026-03-01T00:00:00Z',
    })
  })

  it('is reported when it is available again', async () => {
    const { lines, metrics } = await runChecks([
      { at: 0, failure: failure('first') },
      { at: 60_000, token },
    ])

    expect(lines).toEqual([
      'ECR token not refreshed',
      'ECR token written',
      'ECR token available again',
    ])
    expect(metrics).toContain('berth_ecr_secret_writes_total{secret="ecr-pull"} 1')
    expect(metrics).toContain(
      `berth_ecr_token_expiry_timestamp_seconds{secret="ecr-pull"} ${token.expiresAt / 1000}`,
    )
    expect(metrics).not.toContain('canary')
  })
})

describe('the ECR tokens loop', () => {
  it('checks again after a minute', async () => {
    const { nextChecks } = await runChecks([{ at: 0, token }])

    expect(nextChecks).toEqual([60_000])
  })

  it('logs a failed request to the API server, and retries it after two seconds', async () => {
    const { lines, nextChecks } = await runChecks([
      { at: 0, error: unanswered },
      { at: 2_000, token },
    ])

    expect(lines).toEqual(['ECR token secret not checked', 'ECR token written'])
    expect(nextChecks[0]).toBe(2_000)
  })

  it('says once which component grants a missing right, and retries rarely', async () => {
    const error = new KubeError(
      403,
      'Forbidden',
      'secrets "ecr-pull" is forbidden: User "u" cannot get resource "secrets" in API group ""',
    )
    const { lines, nextChecks } = await runChecks([
      { at: 0, error },
      { at: 10_000, error },
      { at: 30_000, error },
      { at: 70_000, token },
    ])

    expect(lines.filter((text) => text === 'right missing')).toHaveLength(1)
    expect(nextChecks.slice(0, 3)).toEqual([10_000, 30_000, 70_000])
  })

  it('retries soon when a quota refuses the Secret', async () => {
    const error = new KubeError(403, 'Forbidden', 'secrets "ecr-pull" is forbidden: exceeded quota')
    const { lines, nextChecks } = await runChecks([
      { at: 0, error },
      { at: 2_000, token },
    ])

    expect(lines).toEqual(['ECR token secret not checked', 'ECR token written'])
    expect(nextChecks[0]).toBe(2_000)
  })
})
