import { afterEach, describe, expect, it } from 'vitest'
import { type FakeRegistry, startFakeRegistry } from '../../support/registry.ts'
import {
  type Client,
  startGuarded,
  ask,
  credential,
  exchangesOf,
} from '../../support/manifest-source.ts'

const open: (Client | FakeRegistry)[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

const start: typeof startGuarded = async (...args) => {
  const started = await startGuarded(...args)
  open.push(started.client, started.registry)
  return started
}

const users = { user: 'right', other: 'also right' }

describe('a token server that fails', () => {
  it.each([
    [{ status: 429, headers: { 'retry-after': '7' } }, 'limited', '429, retry after 7 s'],
    [{ status: 503 }, 'unreachable', '503'],
    [{ status: 403 }, 'denied', '403'],
    [{ status: 400 }, 'denied', '400'],
    [{ status: 404 }, 'denied', '404'],
    [{ body: 'UNTRUSTED' }, 'invalid', 'sent no usable token'],
    [{ body: 'null' }, 'invalid', 'sent no usable token'],
    [{ body: '{"token":""}' }, 'invalid', 'sent no usable token'],
    [{ body: '{"token":1}' }, 'invalid', 'sent no usable token'],
    [{ body: '{"token":"a\\r\\nx: y"}' }, 'invalid', 'sent no usable token'],
    [{ body: `{"token":"${'a'.repeat(64 * 1024)}"}` }, 'invalid', 'sent no usable token'],
    [{ endless: true }, 'invalid', 'sent no usable token'],
    [{ gzipBomb: true }, 'invalid', 'sent no usable token'],
    [{ raw: '' }, 'unreachable', 'closed the connection'],
  ] as const)('with %o makes the probe %s', async (behaviour, outcome, detail) => {
    const { registry, client } = await start({ kind: 'bearer' })
    registry.behave(({ server }) => (server === 'token' ? behaviour : null))

    const answer = await ask(client, registry.host)

    expect(answer).toMatchObject({ outcome, detail: expect.stringContaining(detail) as string })
    expect(JSON.stringify(answer)).not.toContain('UNTRUSTED')
  })

  it('by redirecting is not followed', async () => {
    const { registry, client } = await start(
      { kind: 'bearer', users },
      { credentials: [credential('right')] },
    )
    const elsewhere = await startFakeRegistry()
    open.push(elsewhere)
    registry.behave(({ server }) =>
      server === 'token' ? { status: 302, headers: { location: `${elsewhere.url}/token` } } : null,
    )

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'invalid',
      detail: expect.stringContaining('sent a redirect') as string,
    })
    expect(elsewhere.requests).toEqual([])
  })

  it('to be listed under authHosts is not contacted', async () => {
    const { registry, client } = await start(
      { kind: 'bearer', users, separate: true },
      { credentials: [credential('right')] },
      { authHosts: [] },
    )

    expect(await ask(client, registry.host)).toMatchObject({
      outcome: 'denied',
      detail: expect.stringContaining(
        `${registry.tokenHost} is not a known token server of ${registry.host}; if you trust it, list it under authHosts`,
      ) as string,
    })
    expect(exchangesOf(registry)).toEqual(['registry HEAD bare'])
  })
})
