import { describe, expect, it, vi } from 'vitest'
import { clusterGuard } from '../../src/console/server/request-guard.ts'
import { canary, consolePod } from '../support/console-cluster.ts'
import {
  ask,
  cache,
  failing,
  follow,
  gone,
  imageOf,
  send,
  type Started,
  startTestConsole,
  web,
} from '../support/console-server.ts'

/** The console as `berth controller --console` serves it. */
const shared = (pods: Parameters<typeof startTestConsole>[0], token: string | null = null) =>
  startTestConsole(pods, {
    isShared: true,
    guardFor: () => clusterGuard(new URL('https://berth.example.com'), () => token),
  })

const post = (
  { port }: Started,
  question: string,
  { body = {}, headers = {} }: { body?: object; headers?: Record<string, string> } = {},
) =>
  send(port, `/api/${question}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })

describe('the console in the cluster', () => {
  it('sends the images with what their registries say, and the cause of a failing pull', async () => {
    const follower = follow(await shared([web, cache, failing]))
    await follower.until(({ sections }) => sections.overview?.unknown === 0)
    await follower.until(({ sections }) => sections.findings?.length === 1)

    expect(imageOf(follower, 'nginx:1')).toMatchObject({ mirrored: true, onMirror: true })
    expect(follower.sections.status).toMatchObject({ isShared: true, probes: true, problems: [] })
    expect(follower.sections.findings?.[0]).toMatchObject({ cause: 'not-found', isComplete: true, count: 1 }) // prettier-ignore
  })

  it('reads nothing but pods, namespaces and the webhook configuration', async () => {
    const console = await shared([web, failing])
    const follower = follow(console)
    await follower.until(({ sections }) => sections.findings?.length === 1)
    await follower.until(({ sections }) => sections.overview?.unknown === 0)

    expect([...new Set(console.requests)].sort()).toEqual([
      'get /version',
      'get mutatingwebhookconfigurations',
      'list namespaces',
      'list pods',
    ])
  })

  it.each(['check', 'mirror', 'draft', 'explain-image'])(
    'refuses the question %s, which costs much',
    async (question) => {
      const console = await shared([web])
      const { status, text } = await post(console, question, { body: { text: 'x: 1' } })

      expect(status).toBe(403)
      expect(text).toContain('run berth console')
    },
  )

  it('explains an image without contacting a registry', async () => {
    const console = await shared([])
    const asked = () => console.registries.flatMap(({ requests }) => requests).length

    expect(await ask(console, 'explain', { image: 'nginx:1' })).toMatchObject({ explanation: { row: 'hub' } }) // prettier-ignore
    expect((await post(console, 'explain', { body: { image: 'nginx:1', probe: true } })).status).toBe(403) // prettier-ignore
    expect(asked()).toBe(0)
  })

  it('asks the registries once for each image, however often a page is opened', async () => {
    const console = await shared([web])
    const first = follow(console)
    await first.until(({ sections }) => sections.overview?.unknown === 0)
    const asked = () => console.registries.flatMap(({ requests }) => requests).length
    const before = asked()
    first.close()
    const second = follow(console)
    await second.until(({ sections }) => sections.overview?.unknown === 0)
    console.kube.put('pods', consolePod({ ...web, name: 'web-2' }))
    await second.until(({ sections }) => sections.overview?.pods === 2)

    expect(before).toBeGreaterThan(0)
    expect(asked()).toBe(before)
  })

  it('leaves out pods when their images exceed the limit, and reports how many', async () => {
    const pods = [1, 2, 3, 4].map((each) => ({
      ...cache,
      name: `cache-${each}`,
      image: `redis:${each}`,
    }))
    const console = await startTestConsole(pods, {
      isShared: true,
      limits: { pods: 100, length: 1_000_000, images: 2 },
    })
    const follower = follow(console)
    await follower.until(({ sections }) => sections.status?.leftOut === 2)

    expect(follower.images.size).toBe(2)
    console.kube.drop('pods', 'cache-1', 'shop')
    await follower.until(({ sections }) => sections.status?.leftOut === 1)
  })

  it('takes no request larger than 256 KiB', async () => {
    const console = await shared([])

    expect((await post(console, 'explain', { body: { image: 'x'.repeat(300_000) } })).status).toBe(413) // prettier-ignore
  })

  it('sends no secret of the cluster or of the config', async () => {
    const console = await shared([
      { ...web, env: canary },
      { ...failing, env: canary },
    ])
    const follower = follow(console)
    await follower.until(({ sections }) => sections.findings?.length === 1)
    await follower.until(({ sections }) => sections.overview?.unknown === 0)
    const answers: unknown[] = [await ask(console, 'config')]
    for (const image of ['nginx:1', 'far.example/a:1', gone])
      answers.push(await ask(console, 'explain', { image }))
    for (const id of follower.images.keys()) answers.push(await ask(console, 'image', { id }))
    const sent = `${JSON.stringify(answers)}${follower.text()}`

    expect(sent).toContain('redacted:redacted@127.0.0.1:9')
    expect(sent).not.toContain(canary)
    expect(sent).not.toContain(Buffer.from(`puller:${canary}`).toString('base64'))
  })
})

describe('the requests that the console in the cluster answers', () => {
  const statusFor = async (console: Started, headers: Record<string, string>) =>
    (await post(console, 'config', { headers })).status

  it.each([
    '127.0.0.1:8090',
    'localhost:1',
    'LOCALHOST:8090',
    '[::1]:8090',
    'localhost',
    'berth.example.com',
  ])('include those for the host %s', async (host) => {
    expect(await statusFor(await shared([]), { host })).toBe(200)
  })

  it.each([
    'evil.example',
    'localhost.evil.example:8090',
    'berth.example.com.evil.example',
    'berth.example.com:8090',
    '10.0.0.7:8090',
    'berth-controller-console.berth-system.svc:8090',
    '127.0.0.1.evil.example',
    '127.0.0.2:8090',
  ])('exclude those for the host %s', async (host) => {
    const console = await shared([])

    expect(await statusFor(console, { host })).toBe(421)
    expect((await send(console.port, '/', { headers: { host } })).status).toBe(421)
  })

  it.each([
    { host: 'localhost:8090', origin: 'http://localhost:9090' },
    { host: 'localhost:8090', origin: 'https://berth.example.com' },
    { host: 'berth.example.com', origin: 'http://berth.example.com' },
    { host: 'berth.example.com', origin: 'http://localhost:8090' },
    { host: 'localhost:8090', 'sec-fetch-site': 'same-site' },
    { host: 'localhost:8090', 'sec-fetch-site': 'cross-site' },
    { host: 'localhost:8090', origin: 'null' },
  ])('exclude those of another page: %o', async (headers) => {
    expect(await statusFor(await shared([]), headers as Record<string, string>)).toBe(403)
  })

  it.each([
    { host: 'localhost:8090', origin: 'http://localhost:8090' },
    { host: 'berth.example.com', origin: 'https://berth.example.com' },
  ])('include those of its own page: %o', async (headers) => {
    const own = { ...headers, 'sec-fetch-site': 'same-origin' }

    expect(await statusFor(await shared([]), own)).toBe(200)
  })

  it('need the token if there is one', async () => {
    const console = await shared([], 'from-the-file')
    const host = 'berth.example.com'

    expect(await statusFor(console, { host })).toBe(401)
    expect(await statusFor(console, { host, authorization: 'Bearer' })).toBe(401)
    expect(await statusFor(console, { host, authorization: 'Bearer other' })).toBe(401)
    expect(await statusFor(console, { host, authorization: 'Bearer from-the-file' })).toBe(200)
    expect((await send(console.port, '/api/events', { headers: { host } })).status).toBe(401)
  })
})

describe('a changed config', () => {
  it('decides and checks every image again, for the open pages', async () => {
    const console = await startTestConsole([web, cache])
    const follower = follow(console)
    await follower.until(({ sections }) => sections.overview?.unknown === 0)
    const checkedAt = imageOf(follower, 'redis:8')?.checkedAt ?? 0
    const changed = console.configWith('mode: observe\n')
    const text = changed.source.replace('name: hub', 'name: renamed')
    await console.use({ ...changed, source: text })
    await follower.until(({ sections }) => sections.table?.mode === 'observe')
    await follower.until((each) => (imageOf(each, 'redis:8')?.checkedAt ?? 0) > checkedAt)

    expect((await ask<{ text: string }>(console, 'config')).text).toContain('renamed')
    expect(follower.sections.overview).toMatchObject({ pods: 2, podsOnMirror: 1 })
  })

  it('with errors is reported until it is valid again', async () => {
    const console = await startTestConsole([web])
    const follower = follow(console)
    console.reject('berth.yaml:3:1: error')
    await follower.until(({ sections }) => sections.status?.problems.length === 1)

    expect(follower.sections.status?.problems).toEqual(['config: berth.yaml:3:1: error'])
    await console.use(console.configWith(''))
    await follower.until(({ sections }) => sections.status?.problems.length === 0)
  })
})

describe('without an open page', () => {
  it('the console does not ask whether the API server answers', async () => {
    const console = await startTestConsole([web], {
      times: { minIntervalMs: 20, pulseMs: 20, sampleMs: 3_600_000 },
    })
    await vi.waitFor(() => expect(console.requests).toContain('list namespaces'))

    expect(console.requests).not.toContain('get /version')
    const follower = follow(console)
    await follower.until(({ images }) => images.size === 1)
    await vi.waitFor(() => expect(console.requests).toContain('get /version'))
  })
})
