import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, expect, it } from 'vitest'
import { startBerth } from '../../support/io.ts'
import {
  type ScriptedApiServer,
  startScriptedApiServer,
} from '../../support/scripted-api-server.ts'

const directory = mkdtempSync(join(tmpdir(), 'berth-console-'))
let server: ScriptedApiServer

beforeEach(async () => {
  server = await startScriptedApiServer({ isHttps: true })
})

afterEach(() => server.close())

afterAll(() => rmSync(directory, { recursive: true }))

/** Runs `berth console` until it is stopped. */
function start(config: string) {
  const files = { config: join(directory, 'berth.yaml'), kubeconfig: join(directory, 'kubeconfig') }
  writeFileSync(files.config, config)
  writeFileSync(files.kubeconfig, server.kubeconfig(), { mode: 0o600 })
  return startBerth(['console', '--config', files.config, '--kubeconfig', files.kubeconfig])
}

it('says on stderr that the API server cannot be reached, serves the page, and says when it answers again', async () => {
  await server.pause()
  const { streams, until, stop } = start('apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n')
  await until('err', /the API server cannot be reached: https:\S+ does not answer .*ECONNREFUSED/)
  await until('out', /#token=/)
  const page = await fetch(streams.out.replace(/#.*/s, ''))

  expect(page.status).toBe(200)
  await page.body?.cancel()
  await server.resume()
  await until('err', /the API server https:\S+ answers again/)
  expect(await stop()).toBe(0)
})
