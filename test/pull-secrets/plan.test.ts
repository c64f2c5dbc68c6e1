import { describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { copyManifest } from '../../src/pull-secrets/secret-manifests.ts'
import { type CopyContent, readContent } from '../../src/pull-secrets/content.ts'
import {
  type ExistingSecret,
  type ServiceAccountObject,
  type SecretObject,
  readAccount,
  readCopy,
  readSourceSecret,
} from '../../src/pull-secrets/objects.ts'
import { planNamespace, type SecretWrite } from '../../src/pull-secrets/plan.ts'
import type { CopySettings } from '../../src/config/copy-settings.ts'

const source: SecretObject = {
  metadata: {
    name: 'src',
    namespace: 'home',
    uid: 'source-uid',
    labels: { 'berth.dev/copy': 'allowed' },
  },
  type: 'kubernetes.io/dockerconfigjson',
  data: { '.dockerconfigjson': encode({ auths: { 'x.io': { auth: encode('u:p') } } }) },
}

function encode(value: unknown): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64')
}

function settings(more = ''): readonly CopySettings[] {
  const result = readConfig(
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullSecretCopies:
  copies:
    - name: pull
      from: [home/src]
      namespaces: ['app*', home]
${more}`,
    '.',
  )
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.config.pullSecretCopies.copies
}

function contentOf(secret: SecretObject | null, [copy] = settings()): CopyContent {
  if (copy === undefined) throw new Error('no copy')
  return readContent(copy, () => (secret === null ? null : readSourceSecret(secret)))
}

interface NamespaceScene {
  namespace?: string
  labels?: Record<string, string>
  isTerminating?: boolean
  accounts?: Record<
    string,
    Partial<ServiceAccountObject> & { annotations?: Record<string, string> }
  >
  existing?: ExistingSecret | null
  content?: CopyContent | null
  copies?: readonly CopySettings[]
}

function plan({
  namespace = 'app',
  labels = {},
  isTerminating = false,
  accounts = {},
  existing = null,
  content = contentOf(source),
  copies = settings(),
}: NamespaceScene) {
  const states = Object.entries(accounts).flatMap(([name, { annotations, metadata, ...raw }]) => {
    const meta = { name, uid: `uid-${name}`, resourceVersion: '7', ...metadata }
    const state = readAccount({ ...raw, metadata: annotations ? { ...meta, annotations } : meta })
    return state === null ? [] : [[name, state] as const]
  })
  return planNamespace(
    copies.map((copy) => ({ settings: copy, content })),
    {
      name: namespace,
      namespace: { labels, isTerminating, resourceVersion: '1' },
      accounts: new Map(states),
      secrets: new Map(existing === null ? [] : [['pull', existing]]),
    },
  )
}

/** The copy as the API server returns it. */
function written(content = contentOf(source), more: Partial<SecretObject> = {}): ExistingSecret {
  if (content.kind !== 'valid') throw new Error(content.reason)
  const body = copyManifest(
    { kind: 'create', copy: 'pull', content, reason: '' },
    'app',
    new Date(0),
  ) as SecretObject
  return readCopy({
    ...body,
    ...more,
    metadata: { ...body.metadata, uid: 'copy-uid', resourceVersion: '9', ...more.metadata },
  })
}

const kinds = (writes: readonly SecretWrite[]) => writes.map(({ kind }) => kind)
const linkedBy = { 'berth.dev/linked-pull-secrets': 'pull' }

describe('a copy', () => {
  it('is created before a service account names it', () => {
    const { writes } = plan({ accounts: { default: {} } })

    expect(kinds(writes)).toEqual(['create', 'link'])
  })

  it('is not written when it is up to date', () => {
    const accounts = { default: { imagePullSecrets: [{ name: 'pull' }] } }

    expect(plan({ existing: written(), accounts })).toEqual({
      writes: [],
      findings: [],
      unread: [],
    })
  })

  it('is not written when only white space or the order of keys changes at the source', () => {
    const respaced = {
      ...source,
      data: { '.dockerconfigjson': encode(`{ "auths" : {"x.io":{"auth":"${encode('u:p')}"}} }`) },
    }

    expect(plan({ existing: written(), content: contentOf(respaced) }).writes).toEqual([])
  })

  it('is repaired when someone else has modified it', () => {
    const existing = written(undefined, { data: { '.dockerconfigjson': encode({ auths: {} }) } })
    const extra = written(undefined, { data: { ...source.data, extra: 'eA==' } })

    expect(plan({ existing }).writes).toMatchObject([
      { kind: 'update', reason: 'the copy was modified by someone else' },
    ])
    expect(plan({ existing: extra }).writes).toMatchObject([{ kind: 'update', surplus: ['extra'] }])
  })

  it('gets the new UID of a source that was recreated', () => {
    const content = contentOf({ ...source, metadata: { ...source.metadata, uid: 'another' } })

    expect(plan({ existing: written(), content }).writes).toMatchObject([{ kind: 'update' }])
  })

  it('is deleted and created again when its type changes, or its content if it is immutable', () => {
    const legacy = {
      ...source,
      type: 'kubernetes.io/dockercfg',
      data: { '.dockercfg': encode({ 'x.io': { auth: encode('u:p') } }) },
    }
    const rotated = {
      ...source,
      data: { '.dockerconfigjson': encode({ auths: { 'x.io': { auth: encode('u:new') } } }) },
    }

    expect(kinds(plan({ existing: written(), content: contentOf(legacy) }).writes)).toEqual([
      'replace',
    ])
    expect(
      kinds(
        plan({ existing: written(undefined, { immutable: true }), content: contentOf(rotated) })
          .writes,
      ),
    ).toEqual(['replace'])
    expect(kinds(plan({ existing: written(), content: contentOf(rotated) }).writes)).toEqual([
      'update',
    ])
  })

  it('is unlinked and then deleted when its source is gone', () => {
    const accounts = { default: { imagePullSecrets: [{ name: 'pull' }], annotations: linkedBy } }
    const { writes, findings } = plan({ existing: written(), accounts, content: contentOf(null) })

    expect(writes).toMatchObject([
      { kind: 'link', remove: ['pull'] },
      { kind: 'remove', was: { uid: 'copy-uid' } },
    ])
    expect(findings).toMatchObject([{ kind: 'absent' }])
  })

  it('stays with its links while its source is invalid or unread', () => {
    const accounts = { default: { imagePullSecrets: [{ name: 'pull' }], annotations: linkedBy } }
    const invalid: CopyContent = { kind: 'invalid', reason: 'home/src is not JSON' }

    expect(plan({ existing: written(), accounts, content: null }).writes).toEqual([])
    expect(plan({ existing: written(), accounts, content: invalid })).toMatchObject({
      writes: [],
      findings: [{ kind: 'invalid' }],
    })
    expect(plan({ accounts: { default: {} }, content: invalid }).writes).toEqual([])
  })
})

describe('a namespace', () => {
  it.each<[string, NamespaceScene]>([
    ['that the config does not select', { namespace: 'my-app' }],
    ['that opts out', { labels: { 'berth.dev/pull-secrets': 'disabled' } }],
    [
      'of the control plane',
      {
        namespace: 'kube-system',
        copies: settings().map((copy) => ({
          ...copy,
          namespaces: { matches: () => true, exactNames: null, literalNames: [] },
        })),
      },
    ],
  ])('%s gets no copy and loses an existing one', (_, scene) => {
    const accounts = { default: { imagePullSecrets: [{ name: 'pull' }], annotations: linkedBy } }

    expect(plan({ ...scene, accounts: { default: {} } }).writes).toEqual([])
    expect(kinds(plan({ ...scene, accounts, existing: written() }).writes)).toEqual([
      'link',
      'remove',
    ])
  })

  it('gets no writes while it is terminating', () => {
    expect(plan({ isTerminating: true, accounts: { default: {} } }).writes).toEqual([])
  })

  it('gets no copy that would overwrite the source', () => {
    const copies = settings().map((copy) => ({ ...copy, name: 'src' }))

    expect(plan({ namespace: 'home', copies }).writes).toEqual([])
  })
})

describe('service accounts', () => {
  it.each([
    ['default only', '', ['default']],
    ['named ones', '      serviceAccounts: [builder]', ['builder']],
    ['all', "      serviceAccounts: ['*']", ['default', 'builder', 'web']],
    ['none', '      serviceAccounts: []', []],
    [
      'ones with a label',
      '      serviceAccounts: { selector: { matchLabels: { pulls: x } } }',
      ['web'],
    ],
    [
      'ones without a label',
      '      serviceAccounts: { names: ["*er"], selector: { matchExpressions: [{ key: pulls, operator: DoesNotExist }] } }',
      ['builder'],
    ],
  ])('are selected: %s', (_, text, want) => {
    const accounts = {
      default: {},
      builder: {},
      web: { metadata: { name: 'web', labels: { pulls: 'x' } } },
    }
    const { writes } = plan({ copies: settings(text), accounts, existing: written() })

    expect(writes.map((write) => write.kind === 'link' && write.account)).toEqual(want)
  })

  it('that are no longer selected lose the name that Berth added, and no other', () => {
    const list = [{ name: 'default-dockercfg-abcde' }, { name: 'pull' }, { name: 'own' }]
    const accounts = {
      default: { imagePullSecrets: list, annotations: linkedBy },
      web: { imagePullSecrets: list },
    }
    const copies = settings('      serviceAccounts: []')

    expect(plan({ copies, accounts, existing: written() }).writes).toMatchObject([
      { kind: 'link', account: 'default', add: [], remove: ['pull'] },
    ])
  })
})
