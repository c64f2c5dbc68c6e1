import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { type Browser, startBrowser } from '../harness/chromium.ts'
import { currentCluster } from '../harness/cluster.ts'
import { helmOk } from '../harness/helm.ts'
import { podsOfComponent, waitForRollout } from '../harness/install.ts'
import {
  apply,
  createNamespace,
  createPullSecret,
  kubectl,
  kubectlOk,
  remove,
  removeNamespaces,
} from '../harness/kubectl.ts'
import { chart } from '../harness/manifests.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { podManifest, waitForPodRunning, waitForPullFailure } from '../harness/pods.ts'
import { type PortForward, startPortForward } from '../harness/port-forward.ts'
import { waitFor } from '../harness/wait.ts'

/** The console of the controller in the cluster, as the chart installs it, in Chromium through `kubectl port-forward`. */
const cluster = currentCluster()
const namespace = 'console-pods'
const home = 'console-berth'
const canary = 'canary-console-cluster'
const url = 'https://berth.example.com'
let registries: MirrorAndUpstream
let browser: Browser
let forward: PortForward | null = null

async function install(console: object): Promise<void> {
  const file = join(cluster.runDir, 'console-values.json')
  const config = parse(registries.config) as object
  writeFileSync(file, JSON.stringify({ config, controller: { console } }))
  await helmOk(['upgrade', '--install', 'berth', chart, '-n', home, '-f', file])
  await waitForRollout('berth-controller', home)
}

function withEnvironment(pod: ReturnType<typeof podManifest>): object {
  const spec = pod['spec'] as { containers: object[] }
  const env = [{ name: 'PASSWORD', value: canary }]
  return {
    ...pod,
    spec: { ...spec, containers: spec.containers.map((each) => ({ ...each, env })) },
  }
}

beforeAll(async () => {
  registries = await startMirrorAndUpstream('console-cluster', cluster.podAddress)
  const { mirror, upstream } = registries
  await registries.push(mirror, 'library/both', '1')
  await registries.push(upstream, 'library/both', '1')
  await registries.push(upstream, 'library/hub-only', '1')
  for (const name of [namespace, home]) await createNamespace(name)
  await createPullSecret('pull', {
    namespace,
    server: 'mirror.example',
    account: { username: 'puller', password: canary },
  })
  await apply([
    withEnvironment(podManifest({ name: 'a', namespace, image: 'mirror.example/library/both:1' })),
    podManifest({ name: 'b', namespace, image: 'hub-only:1' }),
  ])
  for (const name of ['a', 'b']) await waitForPodRunning(name, namespace)
  await install({ enabled: true })
  browser = await startBrowser()
})

afterAll(async () => {
  await forward?.stop()
  await browser?.close()
  await kubectl(['delete', 'mutatingwebhookconfiguration', 'berth', '--ignore-not-found'])
  await helmOk(['uninstall', 'berth', '-n', home, '--ignore-not-found'])
  await remove('secret', 'console-token', home)
  await removeNamespaces(namespace, home)
  await registries?.stop()
})

async function open(): Promise<{ page: Page; origins: Set<string> }> {
  forward ??= await startPortForward('berth-controller', home, 8090)
  const page = await browser.context.newPage()
  const origins = new Set<string>()
  page.on('request', (each) => origins.add(new URL(each.url()).origin))
  await page.goto(`http://localhost:${forward.port}/`)
  await page.getByRole('status').getByText('live', { exact: true }).waitFor()
  await page.locator('.tile').first().waitFor()
  return { page, origins }
}

async function show(page: Page, view: string): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name: view }).click()
  await page.getByRole('heading', { level: 1, name: view }).waitFor()
}

/** Returns the status and the text of a request to the console at an address. */
function send(
  host: string,
  port: number,
  { path = '/api/config', headers = {} }: { path?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const method = path === '/' ? 'GET' : 'POST'
    const sent = request({ host, port, path, method, headers, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    sent.on('error', reject)
    sent.end()
  })
}

describe('the console through kubectl port-forward', () => {
  test('shows the images of all namespaces with what the registries say', async () => {
    const { page, origins } = await open()
    await show(page, 'Images')
    await page.getByRole('searchbox').fill('hub-only')
    await page.getByRole('row').filter({ hasText: namespace }).getByText('needs internet').waitFor()

    expect([...origins]).toEqual([`http://localhost:${forward?.port}`])
    expect(await page.getByRole('button', { name: 'Check registries again' }).count()).toBe(0)
    await page.close()
  })

  test('shows a failing pull with its verdict, and no secret of the pod', async () => {
    const { page } = await open()
    await show(page, 'Pull failures')
    const image = 'mirror.example/library/gone:1'
    await apply(
      withEnvironment(podManifest({ name: 'late', namespace, image, pullSecret: 'pull' })),
    )
    await waitForPullFailure('late', namespace)
    const failedAt = performance.now()
    const registry = page.getByText('mirror.example', { exact: true })
    const finding = page.getByRole('article').filter({ has: registry })
    await finding.waitFor()

    expect(performance.now() - failedAt).toBeLessThan(5_000)
    await finding.getByText('Fix:').waitFor()
    await finding.getByText('1 failing container').click()
    await finding.getByText(`${namespace}/late`).waitFor()
    expect(await page.content()).not.toContain(canary)
    const stream: string = await page.evaluate(`(async () => {
      const reader = (await fetch('/api/events')).body.pipeThrough(new TextDecoderStream()).getReader()
      let text = ''
      while (!text.includes('event: images')) text += (await reader.read()).value
      await reader.cancel()
      return text
    })()`)
    expect(stream).toContain('library/gone:1')
    expect(stream).not.toContain(canary)
    expect(stream).not.toContain(Buffer.from(`puller:${canary}`).toString('base64'))
    await remove('pod', 'late', namespace)
    await finding.waitFor({ state: 'detached' })
    await page.close()
  })

  test('explains an image by the table, and shows the config', async () => {
    const { page } = await open()
    await show(page, 'Try an image')
    await page.getByLabel('Image', { exact: true }).fill('both:1')
    await page.keyboard.press('Enter')
    await page.getByText('mirror.example/library/both:1').first().waitFor()

    expect(await page.getByLabel('Check the registries').count()).toBe(0)
    await show(page, 'Table')
    const config = page.getByLabel('In use')
    await expect.poll(() => config.inputValue()).toContain('mirror.example')
    expect(await page.getByRole('button', { name: 'Compare' }).count()).toBe(0)
    await page.close()
  })

  test('is not reached at the address of the pod', async () => {
    const [pod] = await podsOfComponent('controller', home)

    await expect(send(pod?.address ?? '', 8090)).rejects.toThrow('ECONNREFUSED')
  })

  test('refuses another host, and questions of another page', async () => {
    const port = forward?.port ?? 0
    const host = `localhost:${port}`

    expect((await send('127.0.0.1', port, { headers: { host: 'evil.example' } })).status).toBe(421)
    expect((await send('127.0.0.1', port, { headers: { host, origin: 'http://evil.example' } })).status).toBe(403) // prettier-ignore
    expect((await send('127.0.0.1', port, { headers: { host } })).status).toBe(200)
  })
})

describe('the console behind a proxy', () => {
  test('answers for its URL and with its token only', async () => {
    await forward?.stop()
    forward = null
    await kubectlOk(['create', 'secret', 'generic', 'console-token', '-n', home, '--from-literal=token=from-the-secret']) // prettier-ignore
    await install({ enabled: true, url, tokenSecret: 'console-token' })
    const address = await waitFor('one controller', async () => {
      const pods = await podsOfComponent('controller', home)
      return pods.length === 1 && pods[0]?.address !== undefined ? pods[0].address : undefined
    })
    const host = 'berth.example.com'
    const statusWith = async (headers: Record<string, string>) =>
      (await send(address, 8090, { headers })).status

    expect(await statusWith({ host, authorization: 'Bearer from-the-secret' })).toBe(200)
    expect(await statusWith({ host })).toBe(401)
    expect(await statusWith({ host: `${address}:8090`, authorization: 'Bearer from-the-secret' })).toBe(421) // prettier-ignore
    expect(await statusWith({ host, origin: url, authorization: 'Bearer from-the-secret' })).toBe(200) // prettier-ignore
    expect((await send(address, 8090, { path: '/', headers: { host } })).status).toBe(200)
  })
})
