import { describe, expect, it } from 'vitest'
import type { KubeApi } from '../../../src/kube/api-client.ts'
import { KubeError } from '../../../src/kube/error.ts'
import { createNamespaceLookup } from '../../../src/webhook/admission/kube-namespace-lookup.ts'
import { createLogs } from '../../../src/telemetry/log.ts'

/** An API server that answers every question with this status, and how often it was asked. */
function refusing(status: number) {
  let asked = 0
  const api = {
    get: () => {
      asked += 1
      return Promise.reject(new KubeError(status, '', 'no'))
    },
  }
  const { log } = createLogs('error', { write: () => {} })
  const facts = createNamespaceLookup(api as unknown as KubeApi, log)
  return { facts, asked: () => asked }
}

describe('what admission may know of a namespace', () => {
  it.each([
    [403, 'is remembered as not known where the right is missing', 1],
    [500, 'is asked again where the API server failed', 2],
  ])('%i: %s', async (status, _, times) => {
    const { facts, asked } = refusing(status)
    const { signal } = new AbortController()
    const answers = [
      await facts.hasSecret('team', 'pull', signal),
      await facts.hasSecret('team', 'pull', signal),
    ]

    expect(answers).toEqual([null, null])
    expect(asked()).toBe(times)
  })
})
