import { fc, runs } from '../support/fast-check.ts'
import { describe, expect, it } from 'vitest'
import type { CopySettings } from '../../src/config/copy-settings.ts'
import { readConfig } from '../../src/config/load.ts'
import type { ObjectMeta } from '../../src/kube/object.ts'
import { contentHash } from '../../src/pull-secrets/content-hash.ts'
import type { CopyContent } from '../../src/pull-secrets/content.ts'
import {
  readCopy,
  readForeign,
  readForeignContent,
  type SecretObject,
} from '../../src/pull-secrets/objects.ts'
import { planNamespace } from '../../src/pull-secrets/plan.ts'
import { copyPatch } from '../../src/pull-secrets/secret-manifests.ts'

const dockerConfig = '{"auths":{"x.io":{"auth":"dTpw"}}}'
const modern = 'kubernetes.io/dockerconfigjson'

const wanted: CopyContent = {
  kind: 'valid',
  type: modern,
  member: '.dockerconfigjson',
  data: encode(dockerConfig),
  hash: contentHash(dockerConfig),
  from: ['home/src'],
  uids: ['source-uid'],
  keys: ['x.io'],
  expiresAt: null,
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64')
}

function foreign(
  metadata: Partial<ObjectMeta> = {},
  more: Partial<SecretObject> = {},
): SecretObject {
  return {
    type: modern,
    data: { '.dockerconfigjson': encode(dockerConfig) },
    ...more,
    metadata: { name: 'pull', namespace: 'app', uid: 'f', resourceVersion: '3', ...metadata },
  }
}

const otherData = { data: { '.dockerconfigjson': encode('{"auths":{}}') } }
const offered = { labels: { 'berth.dev/adopt': 'allowed' } }

function copies(): readonly CopySettings[] {
  const result = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullSecretCopies: { copies: [{ name: pull, from: [home/src], namespaces: [app] }] }`,
    '.',
  )
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.config.pullSecretCopies.copies
}

const settings = copies()

interface Scene {
  readonly content?: CopyContent | null
  readonly labels?: Record<string, string>
  readonly namespace?: string
  readonly isRead?: boolean
}

function plan(
  secret: SecretObject,
  { content = wanted, labels = {}, namespace = 'app', isRead = true }: Scene = {},
) {
  const existing = isRead ? readForeignContent(secret) : readForeign(secret)
  const account = { uid: 'a', resourceVersion: '1', labels: {}, linked: [], hasAnnotations: false }
  return planNamespace(
    settings.map((each) => ({ settings: each, content })),
    {
      name: namespace,
      namespace: { labels, isTerminating: false, resourceVersion: '1' },
      accounts: new Map([['default', { ...account, pullSecrets: null }]]),
      secrets: new Map([['pull', existing]]),
    },
  )
}

function patchOf(secret: SecretObject): unknown {
  const [write] = plan(secret).writes
  if (write?.kind !== 'update') throw new Error('no update')
  return copyPatch(write, new Date(0))
}

describe('a secret with the name of a copy and without its labels', () => {
  it('is read before anything is decided, and only where the copy belongs', () => {
    expect(plan(foreign(), { isRead: false })).toEqual({
      writes: [],
      findings: [],
      unread: ['pull'],
    })
    for (const scene of [
      { namespace: 'elsewhere' },
      { labels: { 'berth.dev/pull-secrets': 'disabled' } },
      { content: null },
    ])
      expect(plan(foreign(), { ...scene, isRead: false })).toEqual({
        writes: [],
        findings: [],
        unread: [],
      })
  })

  it('is not read while the source is absent or invalid, and is a conflict then', () => {
    for (const kind of ['absent', 'invalid'] as const)
      expect(plan(foreign(), { content: { kind, reason: '' }, isRead: false })).toMatchObject({
        writes: [],
        findings: [{ kind: 'conflict' }],
        unread: [],
      })
  })

  it('is adopted and linked if its content is the same, and keeps its data', () => {
    const { writes, findings } = plan(foreign())

    expect(findings).toEqual([])
    expect(writes).toMatchObject([
      { kind: 'update', reason: 'adopts a secret with the content of the copy' },
      { kind: 'link', add: ['pull'] },
    ])
    expect(patchOf(foreign())).toEqual({
      metadata: {
        uid: 'f',
        resourceVersion: '3',
        labels: { 'app.kubernetes.io/managed-by': 'berth', 'berth.dev/copied': 'true' },
        annotations: {
          'berth.dev/copied-from': 'home/src',
          'berth.dev/source-uid': 'source-uid',
          'berth.dev/content-hash': contentHash(dockerConfig),
          'berth.dev/expires-at': null,
        },
      },
    })
  })

  it('is adopted if only white space differs', () => {
    const data = { '.dockerconfigjson': encode(`{ "auths": {"x.io":{"auth":"dTpw"}} }\n`) }

    expect(plan(foreign({}, { data })).writes).toMatchObject([{ kind: 'update' }, { kind: 'link' }])
  })

  it.each([
    ['with other credentials', otherData],
    ['with one more key', { data: { ...foreign().data, extra: 'eA==' } }],
    ['without data', { data: {} }],
  ])('%s is a conflict without the label, and the message says how', (_, more) => {
    expect(plan(foreign({}, more))).toMatchObject({
      writes: [],
      findings: [
        {
          kind: 'conflict',
          reason: expect.stringContaining(
            'kubectl label secret pull -n app berth.dev/adopt=allowed',
          ) as unknown,
          object: { kind: 'Secret', name: 'pull', uid: 'f' },
        },
      ],
    })
    expect(plan(foreign(offered, more)).writes).toMatchObject([
      { kind: 'update' },
      { kind: 'link' },
    ])
  })

  it('is overwritten with the label, so that only the content of the source is left', () => {
    const secret = foreign(offered, { data: { ...otherData.data, extra: 'eA==' } })

    expect(patchOf(secret)).toMatchObject({
      metadata: { annotations: { 'berth.dev/written-at': '1970-01-01T00:00:00.000Z' } },
      data: { '.dockerconfigjson': encode(dockerConfig), extra: null },
    })
  })

  it('is not adopted with another value of the label', () => {
    const metadata = { labels: { 'berth.dev/adopt': 'no' } }

    expect(plan(foreign(metadata, otherData)).writes).toEqual([])
  })

  it.each<[string, Partial<ObjectMeta>, Partial<SecretObject>, string]>([
    ['immutable', {}, { immutable: true }, 'is immutable'],
    ['of another type', {}, { type: 'Opaque' }, 'has the type Opaque'],
    [
      'with an owner',
      { ownerReferences: [{ apiVersion: 'x/v1', kind: 'ExternalSecret', name: 'es', uid: 'o' }] },
      {},
      'belongs to ExternalSecret es',
    ],
    ['a source', { labels: { 'berth.dev/copy': 'allowed' } }, {}, 'is itself a source of copies'],
  ])('is a conflict if it is %s, even with the label', (_, metadata, more, message) => {
    const labels = { ...metadata.labels, ...offered.labels }
    const { writes, findings } = plan(foreign({ ...metadata, labels }, more))

    expect(writes).toEqual([])
    expect(findings).toMatchObject([{ reason: expect.stringContaining(message) as unknown }])
  })

  it('is adopted if it has only one of the two labels of a copy', () => {
    const metadata = { name: 'pull', labels: { 'app.kubernetes.io/managed-by': 'berth' } }

    expect(readCopy(foreign(metadata))).toMatchObject({ kind: 'foreign' })
    expect(plan(foreign(metadata)).writes).toMatchObject([{ kind: 'update' }, { kind: 'link' }])
  })
})

describe('a secret that another tool maintains', () => {
  const byTool: [string, Partial<ObjectMeta>][] = [
    ['Reflector', { annotations: { 'reflector.v1.k8s.emberstack.com/reflects': 'home/src' } }],
    [
      'kubernetes-replicator',
      { annotations: { 'replicator.v1.mittwald.de/replicated-from-version': '12' } },
    ],
    [
      'imagepullsecret-patcher',
      { annotations: { 'app.kubernetes.io/managed-by': 'imagepullsecret-patcher' } },
    ],
    ['Helm', { labels: { 'app.kubernetes.io/managed-by': 'Helm' } }],
    ['Argo CD', { annotations: { 'argocd.argoproj.io/tracking-id': 'app:/Secret:app/pull' } }],
  ]

  it.each(byTool)(
    'is a conflict that names %s, also if its content is the same',
    (tool, metadata) => {
      const { writes, findings, unread } = plan(foreign(metadata), { isRead: false })

      expect({ writes, unread }).toEqual({ writes: [], unread: [] })
      expect(findings[0]?.reason).toContain(`is maintained by ${tool}`)
      expect(findings[0]?.reason).toContain('berth.dev/adopt=allowed')
    },
  )

  it.each(byTool)(
    'is handed over from %s with the label',
    (_, { labels = {}, annotations = {} }) => {
      const secret = foreign({ labels: { ...labels, ...offered.labels }, annotations })
      const removed = Object.fromEntries(Object.keys(annotations).map((key) => [key, null]))

      expect(patchOf(secret)).toMatchObject({
        metadata: { labels: { 'app.kubernetes.io/managed-by': 'berth' }, annotations: removed },
      })
    },
  )
})

it('writes other data only with the label, and never to a secret that was not read', () => {
  // Obstacles are rare, so that many secrets have none.
  const rarely = fc.nat({ max: 7 }).map((number) => number === 0)
  const secrets = fc.record({
    isOffered: fc.boolean(),
    isManaged: rarely,
    isOwned: rarely,
    isRead: rarely.map((isUnread) => !isUnread),
    immutable: rarely,
    type: fc.constantFrom(modern, modern, modern, 'Opaque', 'kubernetes.io/dockercfg'),
    data: fc.dictionary(
      fc.constantFrom('.dockerconfigjson', '.dockercfg', 'extra'),
      fc.constantFrom(dockerConfig, '{"auths":{}}', 'x').map(encode),
    ),
    namespace: fc.constantFrom('app', 'app', 'app', 'elsewhere'),
  })
  fc.assert(
    fc.property(secrets, (given) => {
      const secret = foreign(
        {
          labels: {
            ...(given.isOffered ? offered.labels : {}),
            ...(given.isManaged ? { 'app.kubernetes.io/managed-by': 'Helm' } : {}),
          },
          ...(given.isOwned
            ? { ownerReferences: [{ apiVersion: 'v1', kind: 'X', name: 'x', uid: 'x' }] }
            : {}),
        },
        { immutable: given.immutable, type: given.type, data: given.data },
      )
      const { writes, findings, unread } = plan(secret, given)
      const outcomes = writes.length + findings.length + unread.length
      expect(outcomes > 0).toBe(given.namespace === 'app')
      for (const write of writes) {
        if (write.kind === 'link') continue
        if (write.kind !== 'update') throw new Error(`unexpected ${write.kind}`)
        expect(given.isRead && given.namespace === 'app').toBe(true)
        expect(given.isOwned || given.immutable || given.type !== modern).toBe(false)
        expect(given.isOffered || (write.hasSameData && !given.isManaged)).toBe(true)
        if (write.hasSameData) expect(given.data).toEqual({ '.dockerconfigjson': wanted.data })
      }
    }),
    runs(500),
  )
})
