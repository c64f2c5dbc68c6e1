import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { KubeObject } from '../../../src/kube/object.ts'
import { createLogs } from '../../../src/telemetry/log.ts'
import type { KeyPair } from '../../../src/webhook/certificate/certificate-files.ts'
import {
  keepOwnCertificate,
  type OwnCertificate,
} from '../../../src/webhook/certificate/own-certificate.ts'
import {
  bundleOf,
  fromSecretData,
  isTrusted,
  type OwnCertificates,
} from '../../../src/webhook/certificate/rotation.ts'
import {
  replyStatus,
  resetConnection,
  type ScriptedApiServer,
  startScriptedApiServer,
} from '../../support/scripted-api-server.ts'

const namespace = 'berth-system'
const secret = 'berth-webhook-tls'
const webhook = 'berth'
const settleMs = 300
const configurations = 'mutatingwebhookconfigurations'
const patches = { method: 'PATCH', path: `/${configurations}/${webhook}` }
const secretReads = { method: 'GET', path: `/secrets/${secret}`, isWatch: false }

interface Replica {
  readonly keeper: OwnCertificate
  /** All pairs that it was given to serve, in order. */
  readonly pairs: KeyPair[]
  readonly logLines: { readonly level: string; readonly msg: string }[]
  readonly stop: AbortController
}

let server: ScriptedApiServer
let replicas: Replica[]

beforeEach(async () => {
  replicas = []
  server = await startScriptedApiServer()
  putConfiguration()
})

afterEach(async () => {
  for (const { stop } of replicas) stop.abort()
  await server.close()
})

/** Applies the webhook configuration as its author would; `bundles` are the caBundles of its webhooks. */
function putConfiguration(bundles: readonly [string, string] = ['', '']): void {
  server.kube.put(configurations, {
    metadata: { name: webhook },
    webhooks: ['one.berth.dev', 'two.berth.dev'].map((name, index) => ({
      name,
      clientConfig: {
        service: { name: 'berth-webhook', namespace, path: '/mutate' },
        ...(bundles[index] === '' ? {} : { caBundle: bundles[index] }),
      },
      failurePolicy: 'Ignore',
    })),
  } as KubeObject)
}

function startReplica(): Replica {
  const stop = new AbortController()
  const pairs: KeyPair[] = []
  const logLines: Replica['logLines'] = []
  const { log } = createLogs('info', {
    write: (line: string) => logLines.push(JSON.parse(line) as Replica['logLines'][number]),
  })
  const keeper = keepOwnCertificate(server.api(), {
    namespace,
    secret,
    webhook,
    names: [`berth-webhook.${namespace}.svc`],
    settleMs,
    onPair: (pair) => pairs.push(pair),
    log,
    times: { resyncMs: 50, minIntervalMs: 5 },
    signal: stop.signal,
  })
  const replica = { keeper, pairs, logLines, stop }
  replicas.push(replica)
  return replica
}

async function startReady(): Promise<Replica> {
  const replica = startReplica()
  await waitFor(() => expect(replica.keeper.notReady()).toBeNull())
  return replica
}

function waitFor(check: () => void): Promise<void> {
  return vi.waitFor(check, { timeout: 4_000, interval: 5 })
}

type Data = Readonly<Record<string, string>>

function storedSecret(): KubeObject & { readonly data?: Data } {
  return server.kube.get('secrets', secret, namespace) ?? { metadata: { name: secret } }
}

function certificates(): OwnCertificates {
  const found = fromSecretData(storedSecret().data, new Date())
  if (found === null) throw new Error('the Secret has no usable certificates')
  return found
}

function webhooks(): { name: string; clientConfig: { caBundle?: string; service: object } }[] {
  return (server.kube.get(configurations, webhook) as unknown as { webhooks: never }).webhooks
}

function bundles(): string[] {
  return webhooks().map(({ clientConfig }) => decode(clientConfig.caBundle ?? ''))
}

function decode(text: string): string {
  return Buffer.from(text, 'base64').toString()
}

function isTrustedEverywhere(leaf: string): boolean {
  return bundles().every((bundle) => isTrusted(leaf, bundle, new Date()))
}

function putSecretWith(change: Partial<KubeObject> & { readonly data?: Data }): void {
  server.kube.put('secrets', { ...storedSecret(), ...change })
}

describe('the first start', () => {
  it('creates one CA, and sets the caBundle of each webhook and nothing else', async () => {
    const { pairs, keeper, logLines } = startReplica()
    expect(keeper.notReady()).toBe('no certificate yet')
    await waitFor(() => expect(keeper.notReady()).toBeNull())

    expect(pairs).toEqual([certificates().leaf])
    expect(bundles()).toEqual([bundleOf(certificates()), bundleOf(certificates())])
    expect(webhooks()[0]).toMatchObject({
      name: 'one.berth.dev',
      clientConfig: { service: { name: 'berth-webhook', namespace, path: '/mutate' } },
      failurePolicy: 'Ignore',
    })
    expect(logLines.map(({ msg }) => msg)).toEqual(['certificate renewed', 'caBundle updated'])
  })

  it('gives all replicas the same certificate', async () => {
    for (let count = 0; count < 5; count++) startReplica()
    await waitFor(() =>
      expect(replicas.every(({ keeper }) => keeper.notReady() === null)).toBe(true),
    )

    expect(new Set(replicas.map(({ pairs }) => pairs.at(-1)?.cert))).toEqual(
      new Set([certificates().leaf.cert]),
    )
    expect(replicas.map(({ pairs }) => pairs.length)).toEqual([1, 1, 1, 1, 1])
    expect(replicas.flatMap(({ logLines }) => logLines).map(({ level }) => level)).not.toContain(
      'warn',
    )
  })

  it('reads the Secret again when another replica created it first', async () => {
    server.script({ method: 'POST', path: '/secrets' }, replyStatus(409, 'AlreadyExists'))
    const { pairs, logLines } = await startReady()

    expect(pairs).toHaveLength(1)
    expect(await server.waitForRequests({ method: 'POST', path: '/secrets' })).toHaveLength(2)
    expect(logLines.filter(({ level }) => level === 'warn')).toEqual([])
  })

  it('waits for a webhook configuration that does not exist yet', async () => {
    server.kube.drop(configurations, webhook)
    const { pairs } = await startReady()
    putConfiguration()
    await waitFor(() => expect(isTrustedEverywhere(pairs[0]?.cert ?? '')).toBe(true))
  })

  it('uses the certificate that the Secret has', async () => {
    const first = await startReady()
    first.stop.abort()
    const second = await startReady()

    expect(second.pairs).toEqual(first.pairs)
    expect(server.requests.filter(({ method }) => method === 'POST')).toHaveLength(1)
  })
})

describe('a Secret that someone deletes', () => {
  it('is created with a new CA, and the caBundles trust it', async () => {
    const { pairs, keeper } = await startReady()
    server.kube.drop('secrets', secret, namespace)
    await waitFor(() => expect(pairs).toHaveLength(2))
    await waitFor(() => expect(isTrustedEverywhere(pairs[1]?.cert ?? '')).toBe(true))
    await waitFor(() => expect(keeper.notReady()).toBeNull())

    expect(pairs[1]).toEqual(certificates().leaf)
  })
})

describe('a Secret with a certificate of someone else', () => {
  it('is never changed, and the reason is reported', async () => {
    const data = { 'tls.crt': Buffer.from('theirs').toString('base64'), 'tls.key': '' }
    server.kube.put('secrets', { metadata: { name: secret, namespace }, data } as KubeObject)
    const { keeper, logLines } = startReplica()
    await waitFor(() => expect(keeper.notReady()).toContain('that Berth did not create'))

    expect(server.kube.get('secrets', secret, namespace)).toMatchObject({ data })
    expect(server.kube.writes).toEqual([])
    expect(logLines).toContainEqual(
      expect.objectContaining({ level: 'warn', msg: 'certificate reconciliation failed' }),
    )
  })
})

describe('a caBundle that someone reverts', () => {
  it('is repaired, and the other webhooks are left alone', async () => {
    await startReady()
    const right = Buffer.from(bundleOf(certificates())).toString('base64')
    putConfiguration([right, ''])
    await waitFor(() => expect(bundles()[1]).toBe(bundleOf(certificates())))

    const requests = await server.waitForRequests(patches, 2)
    const { webhooks: patched } = JSON.parse(requests.at(-1)?.body ?? '') as { webhooks: object[] }
    expect(patched).toEqual([{ name: 'two.berth.dev', clientConfig: { caBundle: right } }])
  })

  it('is patched again after a conflict, without a warning', async () => {
    server.script(patches, replyStatus(409, 'Conflict'), replyStatus(409, 'Conflict'))
    const { logLines, pairs } = await startReady()

    expect(isTrustedEverywhere(pairs[0]?.cert ?? '')).toBe(true)
    expect(logLines.filter(({ level }) => level === 'warn')).toEqual([])
  })
})

describe('an API server that rejects or fails requests', () => {
  it.each([
    ['403', replyStatus(403, 'Forbidden'), 'scripted Forbidden'],
    ['500', replyStatus(500, 'InternalError'), 'scripted InternalError'],
  ])('keeps the replica not ready while it answers %s to reads', async (_, reply, reason) => {
    const end = server.scriptAlways(secretReads, reply)
    const { keeper, logLines, pairs } = startReplica()
    await waitFor(() => expect(keeper.notReady()).toContain(reason))
    expect(logLines[0]).toMatchObject({ level: 'warn', msg: 'certificate reconciliation failed' })
    end()
    await waitFor(() => expect(keeper.notReady()).toBeNull())

    expect(pairs).toHaveLength(1)
  })

  it('keeps the replica not ready while the caBundles must not be patched', async () => {
    const end = server.scriptAlways(patches, replyStatus(403, 'Forbidden'))
    const { keeper, pairs } = startReplica()
    await waitFor(() =>
      expect(keeper.notReady()).toBe(
        'the caBundle of webhook one.berth.dev does not trust the serving certificate',
      ),
    )
    expect(pairs).toHaveLength(1)
    end()
    await waitFor(() => expect(keeper.notReady()).toBeNull())
  })

  it('is retried when it cuts connections', async () => {
    server.script(secretReads, resetConnection(), resetConnection())
    server.script(patches, resetConnection())
    const { pairs } = await startReady()

    expect(isTrustedEverywhere(pairs[0]?.cert ?? '')).toBe(true)
  })

  it('leaves a replica ready, and is followed again after an outage', async () => {
    const { keeper, pairs } = await startReady()
    await server.pause()
    await delay(100)
    expect(keeper.notReady()).toBeNull()
    server.kube.drop('secrets', secret, namespace)
    await server.resume()
    await waitFor(() => expect(pairs).toHaveLength(2))
    await waitFor(() => expect(isTrustedEverywhere(pairs[1]?.cert ?? '')).toBe(true))
  })
})

describe('a rotation of the CA', () => {
  const requestRotation = () =>
    putSecretWith({
      metadata: {
        ...storedSecret().metadata,
        annotations: { 'berth.dev/rotate': 'now', other: 'kept' },
      },
    })

  it('publishes both CAs, waits, issues a leaf of the new CA, and later drops the old CA', async () => {
    const { pairs } = await startReady()
    const { signer: oldCa, leaf: oldLeaf } = certificates()
    requestRotation()
    await waitFor(() => expect(certificates().next).not.toBeNull())
    const newCa = certificates().next
    const both = bundleOf(certificates())
    await waitFor(() => expect(bundles()).toEqual([both, both]))
    const publishedAt = performance.now()
    expect(pairs).toEqual([oldLeaf])
    expect(server.kube.get('secrets', secret, namespace)?.metadata.annotations).toEqual({
      other: 'kept',
    })

    await waitFor(() => expect(pairs).toHaveLength(2))
    // The loop may have published a little before this test saw it.
    expect(performance.now() - publishedAt).toBeGreaterThan(settleMs / 2)
    expect(certificates()).toMatchObject({ signer: newCa, next: null, old: { cert: oldCa.cert } })
    expect(isTrusted(pairs[1]?.cert ?? '', newCa?.cert ?? '', new Date())).toBe(true)
    await waitFor(() => expect(bundles()).toEqual(Array(2).fill(bundleOf(certificates()))))
    expect(bundles()[0]).toContain(oldCa.cert.trim())

    const past = Buffer.from(new Date(0).toISOString()).toString('base64')
    putSecretWith({ data: { ...storedSecret().data, 'old.until': past } })
    await waitFor(() => expect(bundles()[0]).not.toContain(oldCa.cert.trim()))
    expect(isTrustedEverywhere(pairs[1]?.cert ?? '')).toBe(true)
  })

  it('serves only certificates that the caBundles trust at that moment, in all replicas', async () => {
    const untrusted: string[] = []
    for (let count = 0; count < 3; count++) await startReady()
    const timer = setInterval(() => {
      for (const { pairs } of replicas) {
        const leaf = pairs.at(-1)?.cert ?? ''
        if (!isTrustedEverywhere(leaf)) untrusted.push(leaf)
      }
    }, 1)
    requestRotation()
    await waitFor(() => expect(replicas.every(({ pairs }) => pairs.length === 2)).toBe(true))
    clearInterval(timer)

    expect(untrusted).toEqual([])
    expect(new Set(replicas.map(({ pairs }) => pairs.at(-1)?.cert)).size).toBe(1)
  })
})

describe('a signal that aborts', () => {
  it('ends all requests', async () => {
    const { stop } = await startReady()
    stop.abort()
    await delay(50)
    const { length } = server.requests
    await delay(150)

    expect(server.requests).toHaveLength(length)
  })
})
