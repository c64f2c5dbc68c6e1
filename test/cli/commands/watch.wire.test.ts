import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { KubeObject } from '../../../src/kube/object.ts'
import { startBerth } from '../../support/io.ts'
import {
  type ScriptedApiServer,
  startScriptedApiServer,
} from '../../support/scripted-api-server.ts'

const directory = mkdtempSync(join(tmpdir(), 'berth-watch-'))
const config = join(directory, 'berth.yaml')
const kubeconfig = join(directory, 'kubeconfig')
writeFileSync(
  config,
  'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nfallback: [{ name: own, images: [m.example/**], leave: true }]\n',
)

let server: ScriptedApiServer

beforeEach(async () => {
  server = await startScriptedApiServer({ isHttps: true })
  writeFileSync(kubeconfig, server.kubeconfig(), { mode: 0o600 })
})

afterEach(async () => {
  await server.close()
})

afterAll(() => rmSync(directory, { recursive: true }))

/** Runs a verb until it is stopped. */
function start(argv: readonly string[], isTTY = false) {
  const options = ['--kubeconfig', kubeconfig, '--config', config, '-n', 'shop']
  return startBerth([...argv, ...options], isTTY)
}

function pod(
  name: string,
  waiting?: { readonly reason: string; readonly message: string },
): KubeObject {
  const image = `m.example/${name}:1`
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', uid: name },
    spec: { containers: [{ name: 'app', image }] },
    status: {
      phase: waiting === undefined ? 'Running' : 'Pending',
      containerStatuses: [
        { name: 'app', image, imageID: '', state: waiting === undefined ? {} : { waiting } },
      ],
    },
  } as KubeObject
}

describe('--watch', () => {
  it('prints the report again when a pod is created, and ends with the exit code of the signal', async () => {
    server.kube.put('pods', pod('web'))
    const watching = start(['report', '--watch', '-o', 'yaml'])
    await watching.until('out', /web/)
    expect(watching.streams.out).not.toMatch('worker')

    server.kube.put('pods', pod('worker'))
    await watching.until('out', /^---\n[^]*\n---\n[^]*worker/)

    expect(await watching.stop()).toBe(130)
  })

  it('keeps berth diagnose running while no pull fails', async () => {
    server.kube.put('pods', pod('web'))
    const watching = start(['diagnose', '--watch', '--no-probe'])
    await watching.until('out', /no image pull failures found/)

    await server.waitForRequests({ path: '/pods', isWatch: true })
    expect(await watching.stop()).toBe(130)
  })

  it('replaces the output on a terminal', async () => {
    server.kube.put('pods', pod('web'))
    const watching = start(['report', '--watch'], true)
    await watching.until('out', /web/)
    await watching.stop()

    expect(watching.streams.out.startsWith('\u001B[H\u001B[2J\u001B[3J')).toBe(true)
  })

  it('retries while the API server is not available', async () => {
    server.kube.put('pods', pod('web'))
    const watching = start(['report', '--watch', '-o', 'yaml'])
    await watching.until('out', /web/)
    await server.waitForRequests({ path: '/pods', isWatch: true })

    const recover = server.scriptAlways({ path: '/pods', isWatch: false }, (response) => {
      response.writeHead(403, { 'content-type': 'application/json' })
      response.end(
        JSON.stringify({ kind: 'Status', code: 403, reason: 'Forbidden', message: 'no' }),
      )
    })
    server.kube.put('pods', pod('worker'))
    await watching.until('err', /no; retrying\n/)
    expect(watching.streams.out).not.toMatch('worker')

    recover()
    server.kube.put('pods', pod('cron'))
    await watching.until('out', /cron[^]*worker/)
    expect(await watching.stop()).toBe(130)
  })

  it('ends if the cluster cannot be read at the start', async () => {
    server.scriptAlways({ path: '/pods' }, (response) => {
      response.writeHead(403, { 'content-type': 'application/json' })
      response.end(
        JSON.stringify({ kind: 'Status', code: 403, reason: 'Forbidden', message: 'no' }),
      )
    })
    const watching = start(['report', '--watch'])

    await expect(watching.until('out', /web/)).rejects.toThrow('ended with 3')
  })
})
