/** Chromium from its Debian package, for the tests of the console. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, chromium } from 'playwright-core'

export type BrowserSettings = {
  colorScheme?: 'light' | 'dark'
  /** Pixels. Default: a laptop's. */
  viewport?: { width: number; height: number }
}

export type Browser = { context: BrowserContext; close(): Promise<void> }

/** No sandbox, because the tests run as root; no requests of the browser itself. */
const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Starts a browser with an empty profile. */
export async function startBrowser({
  colorScheme = 'light',
  viewport = { width: 1280, height: 800 },
}: BrowserSettings = {}): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), 'berth-chromium-'))
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium',
    args,
    colorScheme,
    viewport,
  })
  return {
    context,
    close: async () => {
      await context.close()
      rmSync(profile, { recursive: true, force: true })
    },
  }
}
