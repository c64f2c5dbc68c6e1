import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FakeRegistry, startFakeRegistry } from '../../support/registry.ts'
import { ask, type Client, createClient, registryAt } from '../../support/manifest-source.ts'

let registry: FakeRegistry
let client: Client

beforeEach(async () => {
  registry = await startFakeRegistry()
  client = createClient([registryAt(registry.url)])
})

afterEach(async () => {
  await client.close()
  await registry.close()
})

function methods(): string[] {
  return registry.requests.map(({ method }) => method)
}

describe('the status', () => {
  it.each([
    [429, {}, 'limited', '429'],
    [429, { 'retry-after': '60' }, 'limited', '429, retry after 60 s'],
    [429, { 'retry-after': 'Thu, 01 Jan 1970 00:01:30 GMT' }, 'limited', '429, retry after 90 s'],
    [429, { 'retry-after': 'call +1 555 0100' }, 'limited', '429'],
    [500, {}, 'unreachable', '500'],
    [502, {}, 'unreachable', '502'],
    [503, { 'retry-after': '5' }, 'unreachable', '503, retry after 5 s'],
    [410, {}, 'invalid', '410'],
    [204, {}, 'invalid', '204'],
  ])('%d with headers %j is %s', async (status, headers, outcome, detail) => {
    registry.behave(() => ({ status, headers }))

    const seconds = / after (\d+) s$/.exec(detail)?.[1]
    const retryAfterMs = seconds === undefined ? {} : { retryAfterMs: Number(seconds) * 1000 }

    expect(await ask(client, registry.host)).toEqual({ outcome, detail, ...retryAfterMs })
    expect(methods()).toEqual(['HEAD'])
  })

  it.each([
    [403, { errors: [{ code: 'DENIED', message: 'UNTRUSTED' }] }, 'denied', '403 DENIED'],
    [404, { errors: [{ code: 'MANIFEST_UNKNOWN' }] }, 'absent', '404 MANIFEST_UNKNOWN'],
    [403, { errors: [{ code: 'untrusted words' }] }, 'denied', '403'],
    [403, { errors: [{ code: 'A'.repeat(41) }] }, 'denied', '403'],
    [403, { errors: [{ code: 'A\nB' }] }, 'denied', '403'],
    [403, { errors: [] }, 'denied', '403'],
    [403, { errors: 'UNTRUSTED' }, 'denied', '403'],
    [403, null, 'denied', '403'],
    [400, { errors: [{ code: 'NAME_INVALID' }] }, 'invalid', '400 NAME_INVALID'],
    [405, {}, 'invalid', '405'],
    [501, {}, 'unreachable', '501'],
  ])(
    '%d of a GET with body %j is %s, and only its error code is shown',
    async (status, body, outcome, detail) => {
      registry.behave(({ method }) =>
        method === 'HEAD'
          ? { status: status === 400 ? 400 : 405 }
          : { status, body: JSON.stringify(body) },
      )

      expect(await ask(client, registry.host)).toEqual({ outcome, detail })
      expect(methods()).toEqual(['HEAD', 'GET'])
    },
  )
})
