import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { readConfig } from '../../../src/config/load.ts'
import { createSourceReader } from '../../../src/pull-secrets/cluster/source-reader.ts'
import type { NamespaceMeta, SourceSecret } from '../../../src/pull-secrets/objects.ts'

const auth = Buffer.from('u:p').toString('base64')
const config = JSON.stringify({ auths: { 'x.io': { auth } } })
const secret: SourceSecret = {
  uid: 'one',
  type: 'kubernetes.io/dockerconfigjson',
  data: { '.dockerconfigjson': Buffer.from(config).toString('base64') },
  expiresAt: null,
}

let stop: AbortController
let source: SourceSecret | null
let isRead: boolean
let namespaces: Map<string, NamespaceMeta>
let expirations: number
let reports: string[]
let reason: string

beforeEach(() => {
  stop = new AbortController()
  source = null
  isRead = true
  namespaces = new Map([['app', { labels: {}, isTerminating: false, resourceVersion: '1' }]])
  expirations = 0
  reports = []
})
afterEach(() => stop.abort())

function createReader(graceMs: number): () => string | null | undefined {
  const result = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullSecretCopies: { copies: [{ name: pull, from: [home/src], namespaces: ['app*'] }] }`,
    '.',
  )
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  const read = createSourceReader({
    settings: result.config.pullSecretCopies,
    cache: () => ({ isSourceRead: () => isRead, source: () => source, namespaces }),
    graceMs,
    signal: stop.signal,
    onContent: (copy, content) => {
      reports.push(`${copy} ${content.kind}`)
      reason = 'reason' in content ? content.reason : ''
    },
    onExpired: () => (expirations += 1),
  })
  return () => {
    const [copy] = read()
    return copy?.content === null ? null : copy?.content.kind
  }
}

describe('a source reader', () => {
  it('returns no content before a source is read', () => {
    isRead = false

    expect(createReader(10)()).toBeNull()
    expect(reports).toEqual([])
  })

  it('reports each change of the content once', () => {
    source = secret
    const read = createReader(10)
    expect([read(), read()]).toEqual(['valid', 'valid'])
    source = { ...secret, type: 'Opaque' }
    expect([read(), read()]).toEqual(['invalid', 'invalid'])

    expect(reports).toEqual(['pull valid', 'pull invalid'])
  })

  it('returns a missing source after the grace period, even if the timer fires early', async () => {
    // The clock of a timer may be up to a millisecond ahead of `performance.now`.
    const clock = vi.spyOn(performance, 'now').mockReturnValue(0)
    const read = createReader(10)
    expect(read()).toBeNull()
    await vi.waitFor(() => expect(expirations).toBe(1))
    const content = read()
    clock.mockRestore()

    expect(content).toBe('absent')
  })

  it('starts a new grace period after the source was back', async () => {
    const read = createReader(20)
    expect(read()).toBeNull()
    source = secret
    expect(read()).toBe('valid')
    source = null
    expect(read()).toBeNull()
    await vi.waitFor(() => expect(expirations).toBe(1))

    expect(read()).toBe('absent')
  })

  it('refuses a source that is too large for the number of its namespaces', () => {
    const auths = Object.fromEntries(
      Array.from({ length: 20_000 }, (_, index) => [`registry-${index}.example`, { auth }]),
    )
    const data = Buffer.from(JSON.stringify({ auths })).toString('base64')
    source = { ...secret, data: { '.dockerconfigjson': data } }
    const meta = { labels: {}, isTerminating: false, resourceVersion: '1' }
    const read = createReader(10)
    for (let index = 0; index < 50; index++) namespaces.set(`app-${index}`, meta)
    const few = read()
    for (let index = 0; index < 200; index++) namespaces.set(`other-${index}`, meta)
    const unselected = read()
    for (let index = 50; index < 200; index++) namespaces.set(`app-${index}`, meta)

    expect([few, unselected, read()]).toEqual(['valid', 'valid', 'invalid'])
    expect(reason).toMatch(/^the copy has \d+ bytes, and is too large for 201 namespaces/)
  })
})
