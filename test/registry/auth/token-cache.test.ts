import { describe, expect, it } from 'vitest'
import { createChallengeCache } from '../../../src/registry/auth/session.ts'
import { createTokenSource } from '../../../src/registry/auth/token-source.ts'
import type { HttpResponse } from '../../../src/registry/http/messages.ts'

describe('the token cache of a registry', () => {
  it('drops the oldest tokens if they take more than 2 MiB', async () => {
    let requests = 0
    const url = new URL('https://auth.example/token')
    const tokens = createTokenSource({
      now: () => 0,
      transport: {
        send: () => {
          requests += 1
          const body = Buffer.from(JSON.stringify({ token: 't'.repeat(60_000), expires_in: 3_600 }))
          const response: HttpResponse = {
            status: 200,
            header: () => [],
            body,
            stream: null,
            hasContentCoding: false,
            isFromRegistry: true,
            proxy: null,
            url,
          }
          return Promise.resolve({ ok: true, response })
        },
        close: () => Promise.resolve(),
      },
    })
    const get = (index: number) =>
      tokens.get({
        realm: url,
        service: undefined,
        scopes: [`repository:app${index}:pull`],
        credential: null,
        signal: new AbortController().signal,
      })
    for (let index = 0; index < 100; index++) await get(index)
    expect(requests).toBe(100)
    await get(99)
    expect(requests).toBe(100)
    await get(0)

    expect(requests).toBe(101)
  })
})

describe('the challenge cache of a registry', () => {
  it('drops the oldest challenges if they take more than 1 MB', () => {
    const challenges = createChallengeCache()
    const challenge = { scheme: 'bearer', parameters: new Map([['realm', 'r'.repeat(10_000)]]) }
    for (let index = 0; index < 200; index++) challenges.set(`key${index}`, { challenge, index: 0 })

    expect([challenges.get('key0'), challenges.get('key199')?.challenge]).toEqual([
      undefined,
      challenge,
    ])
  })
})
