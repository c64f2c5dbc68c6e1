import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import {
  ask,
  type Client,
  createClient,
  credential,
  registryAt,
} from '../../support/manifest-source.ts'
import { digestOf, emptyManifest, indexType } from '../../support/registry.ts'
import {
  sendForever,
  type SocketAnswer,
  type SocketServer,
  startSocketServer,
} from '../../support/socket-server.ts'

const open: (Client | SocketServer)[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

async function start(answer: SocketAnswer) {
  const server = await startSocketServer(answer)
  const client = createClient([registryAt(server.url, { allowPlainHttpAuth: true })], {
    credentials: [credential('secret')],
  })
  open.push(server, client)
  return { server, client }
}

const body = emptyManifest(indexType)
const digest = digestOf(body)
const ok = 'HTTP/1.1 200 OK\r\n'
const headers = `Content-Type: ${indexType}\r\nDocker-Content-Digest: ${digest}\r\nContent-Length: ${body.length}\r\n`
const notAllowed = 'HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n'
const good = `${ok}${headers}\r\n`

/** Answers HEAD with 405, and GET with this. */
const onGet =
  (answer: ReturnType<SocketAnswer>): SocketAnswer =>
  (line) =>
    line.startsWith('HEAD') ? notAllowed : answer

const tooLong = /response headers from .* exceed 16 KiB/
const noHttp = /does not speak HTTP/
const early = `HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n`

describe('a registry that sends', () => {
  it.each<[string, ReturnType<SocketAnswer>, RegExp]>([
    ['a header of 1 MB', `${ok}X-Long: ${'a'.repeat(1e6)}\r\n${headers}\r\n`, tooLong],
    ['a header name of 1 MB', `${ok}${'a'.repeat(1e6)}: x\r\n${headers}\r\n`, tooLong],
    ['100,000 headers', `${ok}${'A: b\r\n'.repeat(1e5)}${headers}\r\n`, tooLong],
    ['an endless header', sendForever(`${ok}X-Long: `, 'a'), tooLong],
    ['endless headers', sendForever(ok, 'A: b\r\n'), tooLong],
    ['endless folded headers', sendForever(`${ok}A: b\r\n`, ' c\r\n'), /16 KiB|does not speak/],
    ['103 without end', sendForever('', early), /more than 8 interim responses/],
    ['103 a thousand times before a response', early.repeat(1_000) + good, /more than 8 interim/],
    ['100 without end', sendForever('', 'HTTP/1.1 100 Continue\r\n\r\n'), /./],
    ['a protocol upgrade', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n', /./],
    ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', noHttp],
    ['a TLS alert', Buffer.from([0x15, 3, 1, 0, 2, 2, 0x46]), noHttp],
    ['a status of five digits', `HTTP/1.1 20000 OK\r\n${headers}\r\n`, noHttp],
    ['an unknown version', `HTTP/9.9 200 OK\r\n${headers}\r\n`, noHttp],
    ['NUL in a header', `${ok}X: a\0b\r\n${headers}\r\n`, noHttp],
    ['CR in a header', `${ok}X: a\rDocker-Content-Digest: b\r\n${headers}\r\n`, noHttp],
    ['a space before a colon', `${ok}X : a\r\n${headers}\r\n`, noHttp],
    ['a negative length', `${ok}Content-Length: -1\r\n\r\n`, noHttp],
    ['a length of 30 digits', `${ok}Content-Length: ${'9'.repeat(30)}\r\n\r\n`, /Length|HTTP/],
  ])('%s is invalid, and does not make Berth wait', async (_, answer, detail) => {
    const { server, client } = await start(() => answer)
    const byHead = await ask(client, server.host)
    const get = await start(onGet(answer))
    const byGet = await ask(get.client, get.server.host)

    for (const result of [byHead, byGet]) {
      expect(result).toMatchObject({ detail: expect.stringMatching(detail) as string })
      expect(['invalid', 'unreachable']).toContain(result.outcome)
    }
  })

  it.each<[string, ReturnType<SocketAnswer>]>([
    ['a length and chunks', `${ok}${headers}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['a chunk size that overflows', `${ok}Transfer-Encoding: chunked\r\n\r\n${'f'.repeat(17)}\r\n`],
    ['endless trailers', sendForever(`${ok}Transfer-Encoding: chunked\r\n\r\n0\r\n`, 'A: b\r\n')],
    [
      'an endless body in chunks',
      sendForever(`${ok}Transfer-Encoding: chunked\r\n\r\n`, '1\r\na\r\n'),
    ],
    ['an endless body without a length', sendForever(`${ok}\r\n`, 'a')],
    ['less than its length', (socket) => void socket.end(`${good}{}`)],
  ])('%s after GET has no image', async (_, answer) => {
    const { server, client } = await start(onGet(answer))
    const result = await ask(client, server.host)

    expect(['invalid', 'unreachable']).toContain(result.outcome)
  })

  it.each<[string, ReturnType<SocketAnswer>]>([
    ['an endless reason phrase', sendForever('HTTP/1.1 200 ', 'a')],
    ['an endless chunk size', sendForever(`${ok}Transfer-Encoding: chunked\r\n\r\n`, '0')],
    ['an endless chunk extension', sendForever(`${ok}Transfer-Encoding: chunked\r\n\r\n1;`, 'a')],
    ['nothing', () => undefined],
    [
      'single bytes',
      async (socket) => {
        for (const byte of good) {
          if (socket.destroyed) return
          socket.write(byte)
          await sleep(50)
        }
      },
    ],
  ])('%s is cut off at the end of the time for the review', async (_, answer) => {
    const { server, client } = await start(onGet(answer))
    const before = process.memoryUsage.rss()
    const result = await ask(client, server.host, { signal: AbortSignal.timeout(300) })

    expect(result).toEqual({ outcome: 'timeout', detail: 'no response in time' })
    expect(process.memoryUsage.rss() - before).toBeLessThan(100 * 2 ** 20)
  })

  it('a second response at once cannot answer the next request', async () => {
    const evil = digestOf('evil')
    const { server, client } = await start((line) =>
      line.includes('/first/') ? good + good.replace(digest, evil) : good,
    )
    await ask(client, server.host, { repository: 'first/app' })

    expect(await ask(client, server.host, { repository: 'second/app' })).toMatchObject({ digest })
  })

  it('a response before the request cannot answer it', async () => {
    const evil = digestOf('evil')
    const { server, client } = await start(() => async (socket) => {
      socket.write(good)
      await sleep(20)
      if (!socket.destroyed) socket.write(good.replace(digest, evil))
    })
    await ask(client, server.host)
    await sleep(100)

    expect(await ask(client, server.host)).toMatchObject({ digest })
  })

  it.each([
    ['a thousand years', 'Fri, 01 Jan 3026 00:00:00 GMT'],
    ['999,999,999 s', '999999999'],
    ['a negative number', '-1'],
    ['more digits than a number has', '9'.repeat(400)],
    ['text', 'UNTRUSTED'],
  ])('429 with Retry-After: %s is a limit, without that text', async (_, value) => {
    const { server, client } = await start(
      () => `HTTP/1.1 429 Too Many\r\nRetry-After: ${value}\r\nContent-Length: 0\r\n\r\n`,
    )
    const result = await ask(client, server.host)

    expect(result.outcome).toBe('limited')
    expect(JSON.stringify(result)).not.toContain('UNTRUSTED')
    expect(JSON.stringify(result).length).toBeLessThan(200)
  })

  it.each([
    ['3,900 challenges', 'a, '.repeat(3_900)],
    ['3,900 bearer challenges without a realm', 'Bearer,'.repeat(2_000)],
    ['an unclosed quote', `Bearer realm="${'\\\\"'.repeat(3_000)}`],
    ['a realm of 15 KiB', `Bearer realm="https://${'a'.repeat(15_000)}/"`],
    ['a realm that is not a URL', 'Bearer realm="http://["'],
    ['a realm of a metadata service', 'Bearer realm="http://169.254.169.254/token"'],
    ['a realm with a user', 'Bearer realm="https://user:pass@127.0.0.1/token"'],
    ['a realm of a file', 'Bearer realm="file:///etc/passwd"'],
  ])('401 with %s is a denial, and gets no credentials', async (_, challenge) => {
    const { server, client } = await start(
      () => `HTTP/1.1 401 No\r\nWWW-Authenticate: ${challenge}\r\nContent-Length: 0\r\n\r\n`,
    )
    const result = await ask(client, server.host)

    expect(result.outcome).toBe('denied')
    expect(server.requests).toEqual(['HEAD /v2/team/app/manifests/1 HTTP/1.1'])
    expect(JSON.stringify(result).length).toBeLessThan(1_000)
  })

  it.each([
    ['itself', '/v2/team/app/manifests/1'],
    ['ever longer URLs', `?${'a'.repeat(15_000)}`],
    ['a file', 'file:///etc/passwd'],
    ['data', 'data:application/json,{}'],
    ['an invalid URL', 'http://['],
    ['a URL with a user', 'http://user:pass@127.0.0.1/'],
  ])('a redirect to %s is invalid after at most ten redirects', async (_, location) => {
    const { server, client } = await start(
      () => `HTTP/1.1 307 Go\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`,
    )
    const result = await ask(client, server.host)

    expect(result.outcome).toBe('invalid')
    expect(server.requests.length).toBeLessThanOrEqual(11)
    expect(JSON.stringify(result).length).toBeLessThan(500)
  })
})

describe('a token server that sends', () => {
  /** Answers the request for a token with this body, and accepts no other token than `t`. */
  const startWith = (token: string) => {
    const { length } = Buffer.from(token)
    let host = ''
    return start((line) => {
      if (line.startsWith('GET /token')) return `${ok}Content-Length: ${length}\r\n\r\n${token}`
      if (line.startsWith('HEAD')) {
        return (socket) => {
          host = `127.0.0.1:${socket.localPort}`
          const challenge = `Bearer realm="http://${host}/token"`
          socket.write(
            `HTTP/1.1 401 No\r\nWWW-Authenticate: ${challenge}\r\nContent-Length: 0\r\n\r\n`,
          )
        }
      }
      return notAllowed
    })
  }

  it.each([
    ['CR LF', 't\r\nX-Injected: y'],
    ['LF', 't\nX-Injected: y'],
    ['NUL', 't\0'],
    ['DEL', 't\x7f'],
    ['a space', 't t'],
    ['a letter outside of ASCII', 't\u00fc'],
    ['a line separator', 't\u2028'],
  ])('%s in a token is not used', async (_, token) => {
    const { server, client } = await startWith(JSON.stringify({ token }))
    const result = await ask(client, server.host)

    expect(result).toMatchObject({
      outcome: 'invalid',
      detail: expect.stringContaining('sent no usable token') as string,
    })
    expect(server.requests).toHaveLength(2)
  })

  it.each([
    '-1',
    '-1e308',
    '1e308',
    '1e999',
    '0',
    '0.0001',
    'null',
    '"never"',
    '[]',
    '{}',
    'true',
    '9007199254740993',
  ])('expires_in: %s still gets an answer', async (expiresIn) => {
    const { server, client } = await startWith(`{"token":"t","expires_in":${expiresIn}}`)
    const result = await ask(client, server.host)

    expect(result.outcome).toBe('denied')
    expect(server.requests).toHaveLength(3)
  })

  it.each(['[', '{"a":'])('JSON with thousands of %j is not a token', async (piece) => {
    const { server, client } = await startWith(piece.repeat(Math.floor(60_000 / piece.length)))

    expect(await ask(client, server.host)).toMatchObject({ outcome: 'invalid' })
  })
})
