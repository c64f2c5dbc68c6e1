import { describe, expect, it } from 'vitest'
import type { KubeApi } from '../../../src/kube/api-client.ts'
import { KubeError } from '../../../src/kube/error.ts'
import { createNamespaceLookup } from '../../../src/webhook/admission/kube-namespace-lookup.ts'
import { createLogs } from '../../../src/telemetry/log.ts'

/** A lookup whose API server answers every request with this status. */
function lookupWith(status: number, now?: () => number) {
  let asked = 0
  const api = {
    get: () => {
      asked += 1
      return Promise.reject(new KubeError(status, '', 'no'))
    },
  }
  const lines: unknown[] = []
  const { log } = createLogs('info', { write: (line) => void lines.push(JSON.parse(line)) })
  const lookup = createNamespaceLookup(api as unknown as KubeApi, log, now)
  return { lookup, asked: () => asked, lines }
}

describe('the namespace lookup', () => {
  it.each([
    [403, 1, 'caches the answer for a missing permission'],
    [500, 2, 'asks again after an error of the API server'],
  ])('on %i, sends %i requests for two lookups: it %s', async (status, times) => {
    const { lookup, asked } = lookupWith(status)
    const { signal } = new AbortController()
    const answers = [
      await lookup.hasSecret('team', 'pull', signal),
      await lookup.hasSecret('team', 'pull', signal),
    ]

    expect(answers).toEqual([null, null])
    expect(asked()).toBe(times)
  })

  it('asks again ten minutes after a refusal', async () => {
    let now = 1
    const { lookup, asked } = lookupWith(403, () => now)
    const requestsAfter = async (milliseconds: number) => {
      now += milliseconds
      await lookup.hasSecret('team', 'pull', new AbortController().signal)
      return asked()
    }

    expect([await requestsAfter(0), await requestsAfter(599_000)]).toEqual([1, 1])
    expect(await requestsAfter(2_000)).toBe(2)
  })

  it('logs a missing right once', async () => {
    const { lookup, lines } = lookupWith(403)
    const { signal } = new AbortController()
    await lookup.hasSecret('team', 'pull', signal)
    await lookup.hasSecret('team', 'other', signal)

    expect(lines).toMatchObject([
      {
        msg: 'right missing',
        effect: 'pull secrets are added without a check',
        fix: 'list the Secrets in the component pull-secret-warnings (Helm: pullSecretWarnings.secrets)',
      },
    ])
  })

  it('does not ask about a service account with a name that is too long', async () => {
    const { lookup, asked } = lookupWith(200)
    const { signal } = new AbortController()

    expect(await lookup.mountableSecrets('team', 'a'.repeat(254), signal)).toBeNull()
    expect(asked()).toBe(0)
  })
})
