import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { loadPageFiles, type PageFiles } from '../../src/console/server/page-files.ts'
import type { Finding, ImageDetail } from '../../src/console/wire.ts'
import { createControllerMetrics } from '../../src/telemetry/controller-metrics.ts'
import { createHealthApp, listen } from '../../src/telemetry/health-server.ts'
import { canary, type ConsolePod, consolePod } from '../support/console-cluster.ts'
import {
  ask,
  authorized,
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

let page: PageFiles

beforeAll(async () => {
  page = await loadPageFiles()
})

const start = (
  pods: readonly ConsolePod[],
  settings: Parameters<typeof startTestConsole>[1] = {},
): Promise<Started> => startTestConsole(pods, { page, ...settings })

describe('the stream of the console', () => {
  it('sends what report says about each image, and what changes later', async () => {
    const console = await start([web, cache])
    const follower = follow(console)
    await follower.until(({ sections }) => sections.overview?.unknown === 0)

    expect(imageOf(follower, 'nginx:1')).toMatchObject({
      row: 'hub',
      onMirror: true,
      mirrored: true,
      upstream: 'docker.io',
      sources: ['mirror.example'],
      why: 'found on mirror.example',
    })
    expect(imageOf(follower, 'redis:8')).toMatchObject({ onMirror: false, mirrored: false })
    expect(follower.sections.overview).toMatchObject({ pods: 2, podsOnMirror: 1, needInternet: 1 })
    console.kube.drop('pods', 'cache', 'shop')
    await follower.until(({ images }) => images.size === 1)
    await follower.until(({ sections }) => sections.overview?.pods === 1)
    console.kube.put('pods', consolePod({ ...cache, name: 'other' }))
    await follower.until((each) => imageOf(each, 'redis:8') !== undefined)
  })

  it('lists the running images that a registry no longer has, and checks them again on request', async () => {
    const lost = { name: 'lost', namespace: 'shop', image: gone }
    const console = await start([web, lost])
    const follower = follow(console)
    await follower.until(({ sections }) => sections.atRisk !== undefined)
    const { atRisk } = follower.sections

    expect(atRisk?.summary).toMatchObject({ images: 3, available: 2, absent: 1, unknown: 0 })
    expect(atRisk?.images).toMatchObject([
      { image: gone, source: 'registry', state: 'absent', pods: 1, namespaces: ['shop'] },
    ])
    await ask(console, 'check')
    await follower.until(({ sections }) => (sections.atRisk?.at ?? 0) > (atRisk?.at ?? 0))
    console.kube.drop('pods', 'lost', 'shop')
    await follower.until(({ sections }) => sections.atRisk?.summary.images === 2)
  })

  it('sends what the processes of Berth have counted, through the API server', async () => {
    const metrics = createControllerMetrics({ droppedLogLines: () => 0 })
    metrics.leads(true)
    metrics.pullFailures.failing([{ cause: 'not-found', registry: 'other', pods: 2 }])
    const app = await createHealthApp({ metrics, notReady: () => null })
    const metricsPort = await listen(app, '127.0.0.1', 0)
    onTestFinished(() => app.close())
    const console = await start([web], { metricsPort })
    console.kube.put('pods', {
      metadata: {
        name: 'berth-controller-1',
        namespace: 'berth-system',
        labels: { 'app.kubernetes.io/name': 'berth' },
      },
      status: { phase: 'Running' },
    } as never)
    const follower = follow(console)
    await follower.until(({ sections }) => sections.trend?.points.length === 1)

    expect(follower.sections.trend).toMatchObject({
      problem: null,
      processes: [{ name: 'berth-controller-1', since: expect.any(Number), problem: null }],
      points: [{ failing: 2, reviews: 0 }],
    })
  })

  it('counts pods that Berth has not processed', async () => {
    const follower = follow(await start([{ name: 'missed', namespace: 'shop', image: 'nginx:1' }]))

    await follower.until(({ sections }) => sections.overview?.unprocessedPods === 1)
    expect(imageOf(follower, 'nginx:1')).toMatchObject({
      becomes: 'mirror.example/library/nginx:1',
      unprocessed: 1,
    })
  })

  it('sends the verdict for a failing pull, proved by the registry', async () => {
    const console = await start([web])
    const follower = follow(console)
    await follower.until(({ sections }) => sections.findings !== undefined)
    console.kube.put('pods', consolePod(failing))
    await follower.until(({ sections }) => sections.findings?.[0]?.isComplete === true)
    const [finding] = follower.sections.findings as readonly [Finding]

    expect(finding).toMatchObject({ registry: 'mirror.example', certainty: 'proved', count: 1 })
    expect(finding.failures[0]).toMatchObject({ pod: 'api', namespace: 'shop', image: gone })
    expect(follower.sections.overview?.failingPods).toBe(1)
    console.kube.drop('pods', 'api', 'shop')
    await follower.until(({ sections }) => sections.findings?.length === 0)
  })

  it('reports since when the API server does not answer, and keeps what it knew', async () => {
    const console = await start([web])
    const follower = follow(console)
    await follower.until(({ images }) => images.size === 1)
    console.setAway(true)
    await follower.until(({ sections }) => typeof sections.status?.awaySince === 'number')

    expect(follower.images.size).toBe(1)
    console.setAway(false)
    await follower.until(({ sections }) => sections.status?.awaySince === null)
  })

  it('counts the rows that match, and names the registries that do not answer', async () => {
    const follower = follow(await start([web, cache]))
    await follower.until(({ sections }) => sections.overview?.unknown === 0)
    const { table, flow } = follower.sections

    expect(table?.rows.map(({ name, hits }) => [name, hits])).toEqual([
      ['databases', 0],
      ['hub', 2],
      ['unused', 0],
    ])
    expect(flow?.links).toContainEqual({ from: 'row hub', to: 'source mirror.example', pods: 1 })
  })

  it('works with rights in one namespace only', async () => {
    const follower = follow(await start([web], { isRestricted: true }))
    await follower.until(({ sections }) => sections.overview?.unknown === 0)

    expect(imageOf(follower, 'nginx:1')).toMatchObject({ mirrored: true, onMirror: true })
    expect(follower.sections.status?.problems).toEqual([
      expect.stringContaining('namespaces is forbidden'),
    ])
  })

  it('contacts no registry with --no-probe', async () => {
    const follower = follow(await start([web, failing], { probe: false }))
    await follower.until(({ sections }) => sections.findings?.length === 1)

    expect(follower.sections.status).toMatchObject({ probes: false, checking: 0 })
    expect(imageOf(follower, 'nginx:1')).toMatchObject({ checkedAt: null, mirrored: null, row: 'hub' }) // prettier-ignore
  })

  it('leaves out pods with more than 64 kB of names and images, and shows the others', async () => {
    const large = [
      { ...web, name: 'a', image: 'x'.repeat(70_000) },
      { ...web, name: 'b', from: 'x'.repeat(70_000) },
      { ...web, name: 'c', app: 'x'.repeat(70_000) },
    ]
    const follower = follow(await start([...large, web], { probe: false }))
    await follower.until(
      ({ sections, images }) =>
        sections.status?.leftOut === 3 && images.size === 1 && sections.overview?.pods === 1,
    )

    expect([...follower.images.values()].map(({ image }) => image)).toEqual(['nginx:1'])
  })

  it('refuses a stream beyond the limit', async () => {
    const console = await start([])
    const followers = Array.from({ length: 17 }, () => follow(console))
    const statuses = await Promise.all(followers.map(({ status }) => status))

    expect(statuses.filter((status) => status === 200)).toHaveLength(16)
    expect(statuses.filter((status) => status === 503)).toHaveLength(1)
    followers[statuses.indexOf(200)]?.close()
    await expect.poll(async () => {
      const again = follow(console)
      const status = await again.status
      again.close()
      return status
    }).toBe(200) // prettier-ignore
  })
})

describe('the server of the console', () => {
  it('answers nothing without the token', async () => {
    const { port, token } = await start([])
    const statusWith = async (headers: Readonly<Record<string, string>>, path = '/api/events') =>
      (await send(port, path, { headers })).status

    expect(await statusWith({})).toBe(401)
    expect(await statusWith(authorized(`${token}x`))).toBe(401)
    expect(await statusWith({ cookie: `token=${token}` }, `/api/events?token=${token}`)).toBe(401)
    expect(await statusWith({}, '/api/../api/events')).not.toBe(200)
    expect(await statusWith({}, '//api/events')).not.toBe(200)
    expect((await send(port, '/api/draft', { method: 'POST' })).status).toBe(401)
  })

  it.each([
    '/%61pi/config',
    '/ap%69/config',
    '/api/%63onfig',
    'http://localhost/api/config',
    '/none',
  ])('requires the token and the same origin for the spelling %s of the path', async (path) => {
    const { port, token } = await start([])
    const ask = async (headers: Readonly<Record<string, string>>) =>
      (await send(port, path, { method: 'POST', headers })).status
    const foreign = { ...authorized(token), origin: 'http://evil.example' }

    expect(await ask({})).toBe(401)
    expect(await ask(foreign)).toBe(403)
    expect(await ask(authorized(token))).toBe(path === '/none' ? 404 : 200)
  })

  it.each(['evil.example', 'localhost', '127.0.0.1:1', 'localhost.evil.example:80'])(
    'answers no request for the host %s',
    async (host) => {
      const { port, token } = await start([])
      const headers = { ...authorized(token), host }

      expect((await send(port, '/', { headers })).status).toBe(421)
      expect((await send(port, '/api/events', { headers })).status).toBe(421)
    },
  )

  it.each([
    { origin: 'http://evil.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ])(
    // prettier-ignore
    'answers no request from another site: %o',
    async (more) => {
      const { port, token } = await start([])
      const headers = { ...authorized(token), ...more } as Readonly<Record<string, string>>

      expect((await send(port, '/api/check', { method: 'POST', headers })).status).toBe(403)
    },
  )

  it('serves a page that runs only its own script and contacts only its own origin', async () => {
    const { port } = await start([])
    for (const path of page.keys()) {
      const { status, headers } = await send(port, path)
      const policy = String(headers['content-security-policy'])

      expect(status).toBe(200)
      expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'")
      expect(policy).not.toMatch(/unsafe|https?:|\*/)
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' }) // prettier-ignore
      expect(headers['set-cookie']).toBeUndefined()
    }
    const html = page.get('/')?.content.toString() ?? ''
    expect(html).not.toMatch(/<script(?![^>]* src=)|<style|style=|https?:/)
  })

  it('serves less than 300 kB, compressed', () => {
    const bytes = [...page.values()].map(({ content }) => gzipSync(content).length)

    expect(bytes.reduce((sum, each) => sum + each)).toBeLessThan(300_000)
    expect(Math.min(...bytes)).toBeGreaterThan(100)
  })

  it('limits the size of a question', async () => {
    const { port, token } = await start([])
    const post = async (path: string, body: string) => {
      const headers = { ...authorized(token), 'content-type': 'application/json' }
      return (await send(port, path, { method: 'POST', headers, body })).status
    }

    expect(await post('/api/draft', JSON.stringify({ text: 'x'.repeat(7 * 1024 ** 2) }))).toBe(413)
    expect(await post('/api/draft', JSON.stringify({ text: 'x'.repeat(1024 ** 2 + 1) }))).toBe(400)
    expect(await post('/api/explain', JSON.stringify({ image: 'x'.repeat(5_000) }))).toBe(400)
    expect(await post('/api/explain', JSON.stringify({ image: 'a', owners: 'b' }))).toBe(400)
    expect(await post('/api/explain', '[]')).toBe(400)
    expect(await post('/api/explain', '{')).toBe(400)
    expect(await post('/api/image', JSON.stringify({ id: 'none' }))).toBe(404)
  })

  it('explains an image as berth explain does', async () => {
    const console = await start([])
    const asked = await ask<{ explanation: object }>(console, 'explain', { image: 'nginx:1', probe: true, namespace: 'shop' }) // prettier-ignore
    const unasked = await ask<{ explanation: object }>(console, 'explain', { image: 'nginx:1' })
    const outcomes = (answer: { explanation: object }) =>
      (answer.explanation as { candidates: { outcome: string }[] }).candidates.map(({ outcome }) => outcome) // prettier-ignore

    expect(asked.explanation).toMatchObject({ row: 'hub', chosen: 'mirror.example/library/nginx:1' }) // prettier-ignore
    expect(outcomes(asked)[0]).toBe('found')
    expect(outcomes(unasked)).toEqual(['unasked', 'unasked'])
  })

  it('describes an image with its candidates, revisions and pods', async () => {
    const console = await start([web, { ...web, name: 'web-2', app: 'web' }])
    const follower = follow(console)
    await follower.until(({ images }) => images.size === 1)
    const [id] = follower.images.keys()
    const detail = await ask<ImageDetail>(console, 'image', { id })

    expect(detail.candidates).toEqual(['mirror.example/library/nginx:1', 'docker.io/library/nginx:1']) // prettier-ignore
    expect(detail.pods.map(({ name }) => name)).toEqual(['web', 'web-2'])
    expect(detail.revisions).toEqual([
      { owner: 'ReplicaSet web-5d9c', digest: expect.stringMatching(/^sha256:/), pods: 2 },
    ])
    expect(await ask(console, 'explain-image', { id })).toMatchObject({ isDenied: false })
  })

  it('compares the mirrors with upstream', async () => {
    const console = await start([web, cache])
    const follower = follow(console)
    await follower.until(({ images }) => images.size === 2)
    const [nginx, redis] = ['nginx:1', 'redis:8'].map((each) => imageOf(follower, each)?.id ?? '')

    expect(await ask(console, 'mirror')).toMatchObject({
      summary: { images: 2, mirrored: 1, missing: 1 },
      images: [
        { image: 'mirror.example/library/nginx:1', state: 'mirrored' },
        { image: 'mirror.example/library/redis:8', from: 'docker.io/library/redis:8', state: 'missing' }, // prettier-ignore
      ],
      rows: { [nginx ?? '']: 'mirrored', [redis ?? '']: 'missing' },
    })
  })

  it('finds the platforms of the image that a new pod gets', async () => {
    const console = await start([web])
    const follower = follow(console)
    await follower.until(({ images }) => images.size === 1)
    const [id] = follower.images.keys()

    expect(await ask(console, 'explain-image', { id })).toMatchObject({ platforms: ['linux/arm64'] }) // prettier-ignore
  })

  it('compares a draft with the config, for the images that run', async () => {
    const console = await start([web])
    await follow(console).until(({ images }) => images.size === 1)
    const { text } = await ask<{ text: string }>(console, 'config')

    expect(await ask(console, 'draft', { text })).toMatchObject({ ok: true, differences: [] })
    expect(
      await ask(console, 'draft', { text: text.replace('name: hub', 'name: other') }),
    ).toMatchObject({
      // prettier-ignore
      ok: true,
      differences: expect.arrayContaining([
        expect.objectContaining({ image: 'nginx:1', namespace: 'shop', by: '1 pod' }),
      ]),
    })
    expect(await ask(console, 'draft', { text: 'fallback: [' })).toMatchObject({
      ok: false,
      problems: [expect.objectContaining({ line: 1 })],
    })
  })

  it('sends no secret of the cluster or of the config', async () => {
    const console = await start([
      { ...web, env: canary },
      { ...failing, env: canary },
    ])
    const follower = follow(console)
    await follower.until(({ sections }) => sections.findings?.[0]?.isComplete === true)
    await follower.until(({ sections }) => sections.overview?.unknown === 0)
    const answers: unknown[] = [await ask(console, 'config'), await ask(console, 'draft', { text: 'x: 1' })] // prettier-ignore
    for (const image of ['nginx:1', 'far.example/a:1', gone])
      for (const probe of [true, false]) answers.push(await ask(console, 'explain', { image, probe })) // prettier-ignore
    for (const id of follower.images.keys())
      answers.push(await ask(console, 'image', { id }), await ask(console, 'explain-image', { id }))
    const sent = `${JSON.stringify(answers)}${follower.text()}`
    const encoded = Buffer.from(`puller:${canary}`).toString('base64')

    expect(sent).toContain('redacted:redacted@127.0.0.1:9')
    expect(sent).not.toContain(canary)
    expect(sent).not.toContain(encoded)
  })
})
