import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { readConfig } from '../../../src/config/load.ts'
import { createSourceReader } from '../../../src/pull-secrets/cluster/source-reader.ts'
import type { SourceSecret } from '../../../src/pull-secrets/objects.ts'

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
let expirations: number
let reports: string[]

beforeEach(() => {
  stop = new AbortController()
  source = null
  isRead = true
  expirations = 0
  reports = []
})
afterEach(() => stop.abort())

function createReader(graceMs: number): () => string | null | undefined {
  const result = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullSecretCopies: { copies: [{ name: pull, from: [home/src], namespaces: [app] }] }`,
    '.',
  )
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  const read = createSourceReader({
    settings: result.config.pullSecretCopies,
    cache: () => ({ isSourceRead: () => isRead, source: () => source }),
    graceMs,
    signal: stop.signal,
    onContent: (copy, { kind }) => reports.push(`${copy} ${kind}`),
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
})
