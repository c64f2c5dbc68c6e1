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

  it('asks again ten seconds after a refusal, and up to ten minutes after each further one', async () => {
    let now = 1
    const { lookup, asked } = lookupWith(403, () => now)
    const ask = () => lookup.mountableSecrets('team', 'default', new AbortController().signal)
    const gaps: number[] = []
    for (let last = now; gaps.length < 9; now += 1_000) {
      const before = asked()
      // Pods that ask at the same time count once.
      await Promise.all([ask(), ask()])
      if (asked() === before) continue
      gaps.push((now - last) / 1_000)
      last = now
    }

    expect(gaps).toEqual([0, 11, 21, 41, 81, 161, 321, 601, 601])
  })

  it('asks again ten seconds after a refusal that follows an answer', async () => {
    let now = 1
    let isForbidden = true
    let asked = 0
    const get = () => {
      asked += 1
      return isForbidden ? Promise.reject(new KubeError(403, '', 'no')) : Promise.resolve(null)
    }
    const { log } = createLogs('info', { write: () => undefined })
    const lookup = createNamespaceLookup({ get } as unknown as KubeApi, log, () => now)
    const answers: (boolean | null)[] = []
    const askAfter = async (milliseconds: number) => {
      now += milliseconds
      answers.push(await lookup.hasSecret('team', 'pull', new AbortController().signal))
    }
    await askAfter(0)
    await askAfter(11_000)
    isForbidden = false
    await askAfter(21_000)
    isForbidden = true
    await askAfter(4_000)
    await askAfter(11_000)

    expect(asked).toBe(5)
    expect(answers).toEqual([null, null, false, null, null])
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
