import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { indexType } from '../../support/registry.ts'

let server: Server

afterEach(() => {
  server.closeAllConnections()
  server.close()
})

const run = promisify(execFile)
const script = fileURLToPath(new URL('../../support/registry-attack.ts', import.meta.url))

/** Starts a registry that sends no digest with HEAD, and this body with GET. */
async function startRegistry(body: Buffer): Promise<string> {
  server = createServer(({ method }, response) => {
    response.setHeader('content-type', indexType)
    response.setHeader('content-length', body.length)
    response.end(method === 'HEAD' ? undefined : body)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return String((server.address() as AddressInfo).port)
}

/** Asks for 64 images in a new process. Returns the memory that it took in MiB, and the distinct outcomes. */
async function attack(body: Buffer) {
  // The flag of the image.
  const flags = ['--max-semi-space-size=4']
  const { stdout } = await run(process.execPath, [
    ...flags,
    script,
    await startRegistry(body),
    '64',
  ])
  const { bytes, outcomes } = JSON.parse(stdout) as { bytes: number; outcomes: string[] }
  return { megabytes: bytes / 2 ** 20, outcomes: [...new Set(outcomes)] }
}

/** A manifest of 4 MiB that contains `filler` as often as it fits. */
function manifest(filler: string, end: string): Buffer {
  const start = `{"schemaVersion":2,"mediaType":"${indexType}","manifests":[`
  const count = Math.floor((4 * 1024 * 1024 - start.length - end.length) / filler.length)
  return Buffer.from(start + filler.repeat(count) + end)
}

describe('64 manifests of 4 MiB', () => {
  // If they were kept, they would take 240 MiB, and with JSON.parse 650 MiB.
  it.each([
    ['spaces', manifest(' ', ']}'), 'found'],
    ['empty objects', manifest('{},', '{}]}'), 'invalid'],
    ['nested lists', manifest('[', ''), 'invalid'],
  ])('take less than 128 MiB if they contain %s', async (_, body, outcome) => {
    const { megabytes, outcomes } = await attack(body)

    expect(outcomes).toEqual([outcome])
    expect(megabytes).toBeLessThan(128)
  })
})
