import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { run } from '../../../src/cli/run.ts'
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

/** Runs `berth console` until it is stopped. */
function start(config: string) {
  const stop = new AbortController()
  writeFileSync(join(directory, 'berth.yaml'), config)
  writeFileSync(join(directory, 'kubeconfig'), server.kubeconfig(), { mode: 0o600 })
  const streams = { out: '', err: '' }
  let changed = () => {}
  const collect = (name: 'out' | 'err') =>
    Object.assign(new PassThrough(), { isTTY: false }).on('data', (chunk: Buffer) => {
      streams[name] += chunk.toString()
      changed()
    })
  const io = { stdout: collect('out'), stderr: collect('err'), stdin: Readable.from([]), env: {}, signal: stop.signal } // prettier-ignore
  const files = ['--config', join(directory, 'berth.yaml'), '--kubeconfig', join(directory, 'kubeconfig')] // prettier-ignore
  const code = run(['console', ...files], io)
  return {
    streams,
    until: (stream: 'out' | 'err', pattern: RegExp) =>
      Promise.race([
        new Promise<void>((resolve) => {
          changed = () => pattern.test(streams[stream]) && resolve()
          changed()
        }),
        code.then((number) => Promise.reject(new Error(`ended with ${number}: ${streams.err}`))),
      ]),
    stop: () => {
      stop.abort('SIGINT')
      return code
    },
  }
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
