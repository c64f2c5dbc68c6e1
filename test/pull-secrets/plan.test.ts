import { applyPatch, type Operation } from 'fast-json-patch'
import { describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { accountPatch, copyBody } from '../../src/pull-secrets/secret-manifests.ts'
import { type Content, readContent } from '../../src/pull-secrets/content.ts'
import {
  type ExistingSecret,
  type RawAccount,
  type RawSecret,
  readAccount,
  readCopy,
  readForeign,
  readSourceSecret,
} from '../../src/pull-secrets/objects.ts'
import { planNamespace, type SecretWrite } from '../../src/pull-secrets/plan.ts'
import type { CopySettings } from '../../src/config/copy-settings.ts'

const source: RawSecret = {
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

function contentOf(secret: RawSecret | null, [copy] = settings()): Content {
  if (copy === undefined) throw new Error('no copy')
  return readContent(copy, () => (secret === null ? null : readSourceSecret(secret)))
}

interface Scene {
  namespace?: string
  labels?: Record<string, string>
  terminating?: boolean
  accounts?: Record<string, Partial<RawAccount> & { annotations?: Record<string, string> }>
  there?: ExistingSecret | null
  content?: Content | null
  copies?: readonly CopySettings[]
}

function plan({
  namespace = 'app',
  labels = {},
  terminating = false,
  accounts = {},
  there = null,
  content = contentOf(source),
  copies = settings(),
}: Scene) {
  const states = Object.entries(accounts).flatMap(([name, { annotations, metadata, ...raw }]) => {
    const meta = { name, uid: `uid-${name}`, resourceVersion: '7', ...metadata }
    const state = readAccount({ ...raw, metadata: annotations ? { ...meta, annotations } : meta })
    return state === null ? [] : [[name, state] as const]
  })
  return planNamespace(
    copies.map((copy) => ({ settings: copy, content })),
    {
      name: namespace,
      namespace: { labels, terminating, resourceVersion: '1' },
      accounts: new Map(states),
      secrets: new Map(there === null ? [] : [['pull', there]]),
    },
  )
}

/** The copy as the API server would give it back. */
function written(content = contentOf(source), more: Partial<RawSecret> = {}): ExistingSecret {
  if (content.kind !== 'good') throw new Error(content.reason)
  const body = copyBody(
    { kind: 'create', copy: 'pull', content, reason: '' },
    'app',
    new Date(0),
  ) as RawSecret
  return readCopy({
    ...body,
    ...more,
    metadata: { ...body.metadata, uid: 'copy-uid', resourceVersion: '9', ...more.metadata },
  })
}

const kinds = (writes: readonly SecretWrite[]) => writes.map(({ kind }) => kind)
const linkedBy = { 'berth.dev/linked-pull-secrets': 'pull' }

describe('a copy', () => {
  it('that is missing is made before an account names it', () => {
    const { writes } = plan({ accounts: { default: {} } })

    expect(kinds(writes)).toEqual(['create', 'link'])
  })

  it('that is as it should be is left alone', () => {
    const accounts = { default: { imagePullSecrets: [{ name: 'pull' }] } }

    expect(plan({ there: written(), accounts })).toEqual({ writes: [], findings: [] })
  })

  it('whose source only changed its white space or the order of its keys is left alone', () => {
    const respaced = {
      ...source,
      data: { '.dockerconfigjson': encode(`{ "auths" : {"x.io":{"auth":"${encode('u:p')}"}} }`) },
    }

    expect(plan({ there: written(), content: contentOf(respaced) }).writes).toEqual([])
  })

  it('that somebody changed is put right', () => {
    const there = written(undefined, { data: { '.dockerconfigjson': encode({ auths: {} }) } })
    const extra = written(undefined, { data: { ...source.data, extra: 'eA==' } })

    expect(plan({ there }).writes).toMatchObject([
      { kind: 'update', reason: 'it has been changed by somebody else' },
    ])
    expect(plan({ there: extra }).writes).toMatchObject([{ kind: 'update', surplus: ['extra'] }])
  })

  it('of a source that was made anew gets its UID', () => {
    const content = contentOf({ ...source, metadata: { ...source.metadata, uid: 'another' } })

    expect(plan({ there: written(), content }).writes).toMatchObject([{ kind: 'update' }])
  })

  it('follows its source to another type, and an immutable one to other content, by removal and creation', () => {
    const legacy = {
      ...source,
      type: 'kubernetes.io/dockercfg',
      data: { '.dockercfg': encode({ 'x.io': { auth: encode('u:p') } }) },
    }
    const rotated = {
      ...source,
      data: { '.dockerconfigjson': encode({ auths: { 'x.io': { auth: encode('u:new') } } }) },
    }

    expect(kinds(plan({ there: written(), content: contentOf(legacy) }).writes)).toEqual([
      'replace',
    ])
    expect(
      kinds(
        plan({ there: written(undefined, { immutable: true }), content: contentOf(rotated) })
          .writes,
      ),
    ).toEqual(['replace'])
    expect(kinds(plan({ there: written(), content: contentOf(rotated) }).writes)).toEqual([
      'update',
    ])
  })

  it('of a source that is gone goes after the accounts have let go of it', () => {
    const accounts = { default: { imagePullSecrets: [{ name: 'pull' }], annotations: linkedBy } }
    const { writes, findings } = plan({ there: written(), accounts, content: contentOf(null) })

    expect(writes).toMatchObject([
      { kind: 'link', take: ['pull'] },
      { kind: 'remove', was: { uid: 'copy-uid' } },
    ])
    expect(findings).toMatchObject([{ kind: 'absent' }])
  })

  it('stays, links and all, while its source cannot be used or is not known', () => {
    const accounts = { default: { imagePullSecrets: [{ name: 'pull' }], annotations: linkedBy } }
    const invalid: Content = { kind: 'invalid', reason: 'home/src is not JSON' }

    expect(plan({ there: written(), accounts, content: null }).writes).toEqual([])
    expect(plan({ there: written(), accounts, content: invalid })).toMatchObject({
      writes: [],
      findings: [{ kind: 'invalid' }],
    })
    expect(plan({ accounts: { default: {} }, content: invalid }).writes).toEqual([])
  })
})

describe('a secret of the same name that is not ours', () => {
  it('is a conflict, and nobody is made to name it', () => {
    const there = readForeign({ metadata: { name: 'pull', uid: 'f', resourceVersion: '3' } })

    expect(plan({ there, accounts: { default: {} } })).toMatchObject({
      writes: [],
      findings: [{ kind: 'conflict', copy: 'pull' }],
    })
  })

  it('is one that has only half of our marks', () => {
    const metadata = { name: 'pull', labels: { 'app.kubernetes.io/managed-by': 'berth' } }

    expect(readCopy({ ...source, metadata })).toMatchObject({ kind: 'foreign' })
  })
})

describe('a namespace', () => {
  it.each<[string, Scene]>([
    ['that the config does not choose', { namespace: 'my-app' }],
    ['that opts out', { labels: { 'berth.dev/pull-secrets': 'disabled' } }],
    [
      'of the control plane',
      {
        namespace: 'kube-system',
        copies: settings().map((copy) => ({
          ...copy,
          namespaces: { matches: () => true, literal: null, named: [] },
        })),
      },
    ],
  ])('%s gets nothing, and what it had goes', (_, scene) => {
    const accounts = { default: { imagePullSecrets: [{ name: 'pull' }], annotations: linkedBy } }

    expect(plan({ ...scene, accounts: { default: {} } }).writes).toEqual([])
    expect(kinds(plan({ ...scene, accounts, there: written() }).writes)).toEqual(['link', 'remove'])
  })

  it('that is going away is left alone', () => {
    expect(plan({ terminating: true, accounts: { default: {} } }).writes).toEqual([])
  })

  it('of the source gets no copy over the source', () => {
    const copies = settings().map((copy) => ({ ...copy, name: 'src' }))

    expect(plan({ namespace: 'home', copies }).writes).toEqual([])
  })
})

describe('service accounts', () => {
  it.each([
    ['default alone', '', ['default']],
    ['those that are named', '      serviceAccounts: [builder]', ['builder']],
    ['all', "      serviceAccounts: ['*']", ['default', 'builder', 'web']],
    ['none', '      serviceAccounts: []', []],
    [
      'those with a label',
      '      serviceAccounts: { selector: { matchLabels: { pulls: x } } }',
      ['web'],
    ],
    [
      'those without one',
      '      serviceAccounts: { names: ["*er"], selector: { matchExpressions: [{ key: pulls, operator: DoesNotExist }] } }',
      ['builder'],
    ],
  ])('are chosen: %s', (_, text, want) => {
    const accounts = {
      default: {},
      builder: {},
      web: { metadata: { name: 'web', labels: { pulls: 'x' } } },
    }
    const { writes } = plan({ copies: settings(text), accounts, there: written() })

    expect(writes.map((write) => write.kind === 'link' && write.account)).toEqual(want)
  })

  it('that are chosen no longer let go of what is ours, and of nothing else', () => {
    const list = [{ name: 'default-dockercfg-abcde' }, { name: 'pull' }, { name: 'own' }]
    const accounts = {
      default: { imagePullSecrets: list, annotations: linkedBy },
      web: { imagePullSecrets: list },
    }
    const copies = settings('      serviceAccounts: []')

    expect(plan({ copies, accounts, there: written() }).writes).toMatchObject([
      { kind: 'link', account: 'default', add: [], take: ['pull'] },
    ])
  })
})

describe('the patch of a service account', () => {
  const openshift = {
    metadata: {
      name: 'builder',
      uid: 'u',
      resourceVersion: '5',
      annotations: { 'openshift.io/internal-registry-pull-secret-ref': 'builder-dockercfg-abcde' },
    },
    secrets: [{ name: 'builder-dockercfg-abcde' }],
    imagePullSecrets: [{ name: 'builder-dockercfg-abcde' }],
  }

  function patched(account: RawAccount, add: string[], take: string[] = []): RawAccount {
    const state = readAccount(account)
    if (state === null) throw new Error('gone')
    const patch = accountPatch(state, add, take)
    return applyPatch(structuredClone(account), patch as Operation[], true).newDocument
  }

  it('appends beside what is there, and takes away only that', () => {
    const linked = patched(openshift, ['pull'])

    expect(linked).toEqual({
      ...openshift,
      metadata: {
        ...openshift.metadata,
        annotations: { ...openshift.metadata.annotations, ...linkedBy },
      },
      imagePullSecrets: [{ name: 'builder-dockercfg-abcde' }, { name: 'pull' }],
    })
    expect(patched(linked, [], ['pull'])).toEqual(openshift)
  })

  it.each<[string, RawAccount['imagePullSecrets'], { name: string }[]]>([
    ['no list', undefined, [{ name: 'pull' }]],
    ['an empty list', [], [{ name: 'pull' }]],
    [
      'an entry without a name',
      [{ name: '' }, { name: 'b' }],
      [{ name: '' }, { name: 'b' }, { name: 'pull' }],
    ],
  ])('works on an account with %s', (_, list, want) => {
    const metadata = { name: 'a', uid: 'u', resourceVersion: '5' }
    const account = list === undefined ? { metadata } : { metadata, imagePullSecrets: list }

    expect(patched(account, ['pull'])).toMatchObject({
      imagePullSecrets: want,
      metadata: { annotations: linkedBy },
    })
  })

  it('takes several away, wherever they stand, and is refused when the account has changed', () => {
    const account = {
      metadata: {
        name: 'a',
        uid: 'u',
        resourceVersion: '5',
        annotations: { 'berth.dev/linked-pull-secrets': 'p,q' },
      },
      imagePullSecrets: [{ name: 'p' }, { name: 'own' }, { name: 'q' }, { name: 'p' }],
    }
    const state = readAccount(account)
    if (state === null) throw new Error('gone')
    const changed = { ...account, metadata: { ...account.metadata, resourceVersion: '6' } }

    expect(patched(account, [], ['p', 'q'])).toMatchObject({ imagePullSecrets: [{ name: 'own' }] })
    expect(() => applyPatch(changed, accountPatch(state, ['x'], []) as Operation[], true)).toThrow(
      /Test operation failed/,
    )
  })
})
