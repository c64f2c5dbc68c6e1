import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import axe, { type AxeResults } from 'axe-core'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Browser, type BrowserSettings, startBrowser } from '../harness/chromium.ts'
import { currentCluster } from '../harness/cluster.ts'
import { apply, createNamespace, remove, removeNamespaces } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { berthMain } from '../harness/paths.ts'
import { podManifest, waitForPodRunning, waitForPullFailure } from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'

/** `berth console` in Chromium, with a real cluster and registries. */
const cluster = currentCluster()
const namespace = 'console'
const views = [
  'Overview',
  'Flow',
  'Images',
  'Pull failures',
  'Mirrors',
  'Try an image',
  'Table',
] as const
let registries: MirrorAndUpstream
let console: ChildProcess
let address: string
let browser: Browser

beforeAll(async () => {
  registries = await startMirrorAndUpstream('console')
  const { mirror, upstream } = registries
  await registries.push(mirror, 'library/both', '1')
  await registries.push(upstream, 'library/both', '1')
  await registries.push(upstream, 'library/hub-only', '1')
  const config = join(cluster.runDir, 'console.yaml')
  writeFileSync(config, registries.config)
  await createNamespace(namespace)
  await apply([
    podManifest({ name: 'a', namespace, image: 'mirror.example/library/both:1' }),
    podManifest({ name: 'b', namespace, image: 'hub-only:1' }),
    podManifest({ name: 'broken', namespace, image: 'mirror.example/library/gone:1' }),
  ])
  for (const name of ['a', 'b']) await waitForPodRunning(name, namespace)
  await waitForPullFailure('broken', namespace)
  const args = ['console', '-n', namespace, '--config', config, '--kubeconfig', cluster.kubeconfig]
  console = spawn(process.execPath, [berthMain, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [console.stdout, console.stderr])
    stream?.on('data', (chunk) => (output += String(chunk)))
  address = await waitFor(
    'the address of the console',
    () => /^http:\/\/127\.0\.0\.1:\d+\/#token=[\w-]+$/m.exec(output)?.[0],
    { stopReason: () => (console.exitCode === null ? undefined : `it exited: ${output}`) },
  )
  browser = await startBrowser()
})

afterAll(async () => {
  await browser?.close()
  console?.kill('SIGKILL')
  await removeNamespaces(namespace)
  await registries?.stop()
})

/** Opens the page, and waits until it shows the cluster. `requests` are the origins that the browser contacts. */
async function open(
  in_: Browser,
): Promise<{ page: Page; problems: string[]; origins: Set<string> }> {
  const page = await in_.context.newPage()
  const problems: string[] = []
  const origins = new Set<string>()
  page.on('console', (message) => problems.push(message.text()))
  page.on('pageerror', ({ message }) => problems.push(message))
  page.on('request', (request) => origins.add(new URL(request.url()).origin))
  await page.goto(address)
  await page.getByRole('status').getByText('live', { exact: true }).waitFor()
  await page.locator('.tile').first().waitFor()
  return { page, problems, origins }
}

async function show(page: Page, view: (typeof views)[number]): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name: view }).click()
  await page.getByRole('heading', { level: 1, name: view }).waitFor()
}

/** Returns what axe-core finds. It is injected through the debugger, which the content security policy does not apply to. */
async function axeFindings(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const { violations }: AxeResults = await page.evaluate('axe.run(document)')
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 200)}: ${failureSummary}`),
  )
}

describe('the page', () => {
  test('shows the images of the cluster, contacts no other origin, and logs no problem', async () => {
    const { page, problems, origins } = await open(browser)
    await show(page, 'Images')
    const row = page.getByRole('row').filter({ hasText: 'hub-only:1' })
    await row.getByText('needs internet').waitFor()
    await page.getByRole('searchbox').fill('hub-only')

    await expect.poll(() => page.getByRole('row').count()).toBe(2)
    expect(page.url()).not.toContain('token')
    expect(problems).toEqual([])
    expect([...origins]).toEqual([new URL(address).origin])
    await page.close()
  })

  test('shows a failing pull with its verdict within 5 seconds', async () => {
    const { page } = await open(browser)
    await show(page, 'Pull failures')
    await page.getByText('mirror.example').first().waitFor()
    await apply(podManifest({ name: 'late', namespace, image: 'docker.io/library/nowhere:1' }))
    await waitForPullFailure('late', namespace)
    const failedAt = performance.now()
    const registry = page.getByText('docker.io', { exact: true })
    const finding = page.getByRole('article').filter({ has: registry })
    await finding.waitFor()

    expect(performance.now() - failedAt).toBeLessThan(5_000)
    await finding.getByText('Fix:').waitFor()
    await finding.getByText('1 failing container').click()
    await finding.getByText('console/late').waitFor()
    await remove('pod', 'late', namespace)
    await finding.waitFor({ state: 'detached' })
    await page.close()
  })

  test('explains any image, and checks the registries', async () => {
    const { page } = await open(browser)
    await show(page, 'Try an image')
    await page.getByLabel('Image', { exact: true }).fill('both:1')
    await page.keyboard.press('Enter')

    await page.getByText('found', { exact: true }).waitFor()
    expect(await page.locator('.facts').innerText()).toContain('mirror.example/library/both:1')
    await page.close()
  })

  test('compares the mirrors with upstream', async () => {
    const { page } = await open(browser)
    await show(page, 'Mirrors')
    await page.getByRole('button', { name: 'Compare the mirrors with upstream' }).click()
    const row = page.getByRole('row').filter({ hasText: 'mirror.example/library/hub-only:1' })

    await row.getByText('missing').waitFor()
    expect(await row.innerText()).toContain('docker.io/library/hub-only:1')
    await page.close()
  })

  test('lists the images at risk, and says which processes of Berth it cannot read', async () => {
    const { page } = await open(browser)
    await page.getByRole('button', { name: 'At risk' }).click()
    const panel = page.locator('#at-risk')
    await panel.getByText('Every running image is still in its registry').waitFor()

    expect(await panel.evaluate((element) => element === element.ownerDocument.activeElement)).toBe(true) // prettier-ignore
    await page.getByText(/No process of Berth runs in berth-system|started at/).waitFor()
    await page.close()
  })

  test('works with the keyboard: opens an image, and gives the focus back', async () => {
    const { page } = await open(browser)
    await show(page, 'Images')
    const link = page.getByRole('button', { name: 'hub-only:1' })
    await link.focus()
    await page.keyboard.press('Enter')
    const dialog = page.getByRole('dialog')
    await dialog.getByRole('button', { name: 'Check the registries now' }).click()
    await dialog.getByText('absent').first().waitFor()
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })

    expect(await link.evaluate((element) => element === element.ownerDocument.activeElement)).toBe(true) // prettier-ignore
    await page.close()
  })

  test.each<[string, BrowserSettings]>([
    ['in light colours', { colorScheme: 'light' }],
    ['in dark colours', { colorScheme: 'dark' }],
    ['on a phone', { viewport: { width: 390, height: 844 } }],
  ])('has no accessibility problem that axe finds, %s', async (_, settings) => {
    const own = await startBrowser(settings)
    try {
      const { page } = await open(own)
      const found: string[] = []
      for (const view of views) {
        await show(page, view)
        if (view === 'Pull failures') await page.getByText('mirror.example').first().waitFor()
        found.push(...(await axeFindings(page)).map((each) => `${view}: ${each}`))
      }
      await show(page, 'Images')
      await page.getByRole('button', { name: 'hub-only:1' }).click()
      await page.getByRole('dialog').getByText('Where it runs').waitFor()
      found.push(...(await axeFindings(page)).map((each) => `image: ${each}`))

      expect(found).toEqual([])
      const width = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
      expect(width).toBeLessThanOrEqual(0)
    } finally {
      await own.close()
    }
  })

  test('needs the token', async () => {
    const other = await startBrowser()
    const page = await other.context.newPage()
    await page.goto(new URL(address).origin)
    await page.getByText('The address has no valid token.').waitFor()

    expect(await page.locator('.tile').count()).toBe(0)
    await other.close()
  })

  test('says so when berth console has stopped', async () => {
    const { page } = await open(browser)
    const ended = once(console, 'exit')
    console.kill('SIGINT')
    await page.getByText('The console has not answered since').waitFor()
    const [code] = (await ended) as [number]

    expect(code).toBe(0)
    expect(await page.locator('.tile').count()).toBe(7)
  })
})
