import { describe, expect, it } from 'vitest'
import {
  type PullSecret,
  readKeyring,
  type PullSecretState,
} from '../../src/credentials/keyring.ts'
import { candidateCredentials, credentialOrder } from '../../src/credentials/credential-order.ts'

const canary = 'canary-secret'
const nginx = { domain: 'docker.io', path: 'library/nginx' }
const tool = { domain: 'ghcr.io', path: 'acme/tool' }

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

function login(username: string, password = canary) {
  return { auth: base64(`${username}:${password}`) }
}

function secretOf(document: unknown): PullSecret {
  return {
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': base64(JSON.stringify(document)) },
  }
}

/** Reads a secret for each name, in the order of the pod's list. */
function keyringOf(states: Readonly<Record<string, PullSecretState>>, names = Object.keys(states)) {
  return readKeyring(names, (name) => states[name] ?? 'missing')
}

/** Reads secrets with only `auths`. */
function withAuths(secrets: Readonly<Record<string, unknown>>) {
  return keyringOf(
    Object.fromEntries(Object.entries(secrets).map(([name, auths]) => [name, secretOf({ auths })])),
  )
}

describe('the order of credentials', () => {
  it('is by key over all secrets, then by the position of the secret in the pod', () => {
    const keyring = withAuths({
      first: { 'ghcr.io': login('a'), 'quay.io': login('x') },
      second: { 'ghcr.io/acme/': login('b'), 'https://ghcr.io': login('c') },
      third: { '*.io': login('d') },
    })

    expect(credentialOrder(keyring, tool)).toEqual({
      outcome: 'credentials',
      isComplete: true,
      candidates: [
        candidate('second', 'ghcr.io/acme/', 'b'),
        candidate('first', 'ghcr.io', 'a'),
        candidate('second', 'https://ghcr.io', 'c'),
        candidate('third', '*.io', 'd'),
      ],
      faults: [],
      ignoredSecrets: [],
      ignoredKeys: [{ secret: 'first', key: 'quay.io', reason: 'other-host' }],
      wantedKey: 'ghcr.io',
    })
  })

  it('is the same in candidateCredentials, which has the passwords', () => {
    const keyring = withAuths({
      first: { 'ghcr.io': login('a', 'p') },
      second: { 'ghcr.io/acme/': login('b', 'q:r') },
    })

    expect(candidateCredentials(keyring, tool)).toEqual([
      { username: 'b', password: 'q:r', source: 'secret second, key ghcr.io/acme/' },
      { username: 'a', password: 'p', source: 'secret first, key ghcr.io' },
    ])
  })

  it('marks a credential that repeats an earlier one', () => {
    const keyring = withAuths({
      first: { 'ghcr.io': login('a') },
      second: { 'ghcr.io': login('a') },
      third: { 'ghcr.io': login('a', 'another') },
    })

    expect(credentialOrder(keyring, tool).candidates.map(({ repeats }) => repeats)).toEqual([
      null,
      0,
      null,
    ])
  })

  it('contains a secret twice that the pod names twice', () => {
    const keyring = keyringOf({ one: secretOf({ auths: { 'ghcr.io': login('a') } }) }, [
      'one',
      'one',
    ])

    expect(credentialOrder(keyring, tool).candidates).toEqual([
      candidate('one', 'ghcr.io', 'a'),
      { ...candidate('one', 'ghcr.io', 'a'), repeats: 0 },
    ])
  })

  it('is random for two forms of one key in one secret', () => {
    const hub = 'https://index.docker.io/v1/'
    const keyring = withAuths({ one: { [hub]: login('a'), 'index.docker.io': login('b') } })

    expect(credentialOrder(keyring, nginx).candidates).toEqual([
      { ...candidate('one', hub, 'a'), isOrderRandom: true },
      { ...candidate('one', 'index.docker.io', 'b'), isOrderRandom: true },
    ])
  })

  it.each([
    ['no members', {}, '', false],
    ['only an identitytoken', { identitytoken: canary }, '', true],
    ['a password without a user', { auth: base64(`:${canary}`) }, '', false],
  ])('contains an entry with %s as an anonymous request', (_, entry, username, token) => {
    expect(credentialOrder(withAuths({ one: { 'ghcr.io': entry } }), tool)).toMatchObject({
      outcome: 'credentials',
      candidates: [{ username, isAnonymous: true, hasIdentityToken: token }],
    })
  })

  it('is empty if no key matches', () => {
    expect(credentialOrder(withAuths({ one: { 'quay.io': login('a') } }), tool)).toMatchObject({
      outcome: 'no-credentials',
      candidates: [],
    })
  })
})

describe('an ignored key', () => {
  it.each([
    ['registry-1.docker.io', nginx, 'hub-name'],
    ['https://index.docker.io/v1', nginx, 'hub-name'],
    ['registry.hub.docker.com', nginx, 'hub-name'],
    ['docker.io/acme', nginx, 'other-path'],
    ['docker.io:443', nginx, 'other-port'],
    ['ghcr.io', nginx, 'other-host'],
    ['GHCR.io', tool, 'other-host'],
    ['*', tool, 'label-count'],
    ['*.*.io', tool, 'label-count'],
    ['*.com', tool, 'other-host'],
    ['ghcr.io:443', tool, 'other-port'],
    ['ghcr.io/acme/tools', tool, 'other-path'],
    ['ghcr.io:port', tool, 'not-a-url'],
    ['ghcr.io/%25zz', tool, 'not-a-url'],
    ['gh[a-c]r.io', tool, 'not-a-url'],
  ])('%s for %j has the reason %s', (key, repository, reason) => {
    const order = credentialOrder(withAuths({ one: { [key]: login('a') } }), repository)

    expect(order.candidates).toEqual([])
    expect(order.ignoredKeys).toEqual([{ secret: 'one', key, reason }])
  })

  it('is the fallback for Docker Hub if another key matches', () => {
    const order = credentialOrder(
      withAuths({ one: { 'index.docker.io': login('a') }, two: { 'docker.io': login('b') } }),
      nginx,
    )

    expect(order.candidates.map(({ key }) => key)).toEqual(['docker.io'])
    expect(order.ignoredKeys).toEqual([
      { secret: 'one', key: 'index.docker.io', reason: 'last-resort' },
    ])
    expect(order.wantedKey).toBe('https://index.docker.io/v1/')
  })
})

describe('an ignored secret', () => {
  const text = base64(JSON.stringify({ auths: { 'ghcr.io': login('a') } }))
  const legacy = base64(JSON.stringify({ 'ghcr.io': login('a') }))
  const json = 'kubernetes.io/dockerconfigjson'
  const cfg = 'kubernetes.io/dockercfg'

  it.each<[string, PullSecretState, string, string | null]>([
    ['is missing', 'missing', 'missing', null],
    ['is unreadable', 'unreadable', 'unreadable', null],
    ['is Opaque', { type: 'Opaque', data: { '.dockerconfigjson': text } }, 'wrong-type', 'Opaque'],
    ['has no type', { data: { '.dockerconfigjson': text } }, 'wrong-type', ''],
    ['has an inherited type', { type: 'constructor' }, 'wrong-type', 'constructor'],
    ['has the other member', { type: json, data: { '.dockercfg': legacy } }, 'no-data', json],
    ['has an empty member', { type: cfg, data: { '.dockercfg': '' } }, 'no-data', cfg],
    ['has no data', { type: json }, 'no-data', json],
    ['has no auths', secretOf({ 'ghcr.io': login('a') }), 'no-entries', json],
    [
      'names a credential helper',
      secretOf({ auths: {}, credsStore: 'desktop' }),
      'helpers-only',
      json,
    ],
  ])('has a reason if it %s', (_, state, reason, type) => {
    const order = credentialOrder(keyringOf({ one: state }), tool)

    expect(order).toMatchObject({ outcome: 'no-credentials', candidates: [], faults: [] })
    expect(order.ignoredSecrets).toEqual([{ secret: 'one', reason, type }])
    expect(order.isComplete).toBe(state !== 'unreadable')
  })

  it('has a reason if its name is empty', () => {
    expect(credentialOrder(keyringOf({}, ['']), tool).ignoredSecrets).toEqual([
      { secret: '', reason: 'no-name', type: null },
    ])
  })

  it('does not affect other secrets, including one of the legacy type', () => {
    const keyring = keyringOf({
      one: 'missing',
      two: { type: cfg, data: { '.dockercfg': legacy } },
    })

    expect(credentialOrder(keyring, tool).candidates).toEqual([candidate('two', 'ghcr.io', 'a')])
  })
})

describe('an entry with a fault', () => {
  const keyring = keyringOf({
    good: secretOf({ auths: { 'ghcr.io': login('a') } }),
    bad: secretOf({
      auths: { 'quay.io': { auth: base64(canary) }, 'a.example': { auth: '%' }, 'ghcr.io': {} },
    }),
    worse: {
      type: 'kubernetes.io/dockerconfigjson',
      data: { '.dockerconfigjson': base64(`{${canary}`) },
    },
  })

  it('fails every image of the pod, from any registry', () => {
    expect(credentialOrder(keyring, tool)).toMatchObject({
      outcome: 'fails',
      candidates: [],
      faults: [
        { secret: 'bad', key: 'quay.io', fault: 'auth-without-colon' },
        { secret: 'bad', key: 'a.example', fault: 'auth-not-base64' },
        { secret: 'worse', key: null, fault: 'not-json' },
      ],
    })
    expect(candidateCredentials(keyring, tool)).toEqual([])
  })

  it.each([
    `https://u:${canary}@ghcr.io`,
    `https://u:${canary}@quay.io`,
    `u:${canary}@ghcr.io:port`,
    `u:p/${canary}@ghcr.io`,
    `u:p?${canary}\n${canary}@ghcr.io`,
  ])('is reported without the password in its key: %j', (key) => {
    for (const entry of [login('a', 'p'), { auth: '%' }]) {
      const keyring = withAuths({ one: { [key]: entry } })
      const text = JSON.stringify([
        credentialOrder(keyring, tool),
        candidateCredentials(keyring, tool),
      ])

      expect(text).not.toContain(canary)
      expect(text).toMatch(/(?:ghcr|quay)\.io/)
    }
  })

  it('is reported without its value', () => {
    const orders = [nginx, tool].map((repository) => credentialOrder(keyring, repository))
    const fine = credentialOrder(withAuths({ one: { 'ghcr.io': login('a') } }), tool)

    for (const text of [canary, base64(canary), login('a').auth]) {
      expect(JSON.stringify([...orders, fine])).not.toContain(text)
    }
  })
})

function candidate(secret: string, key: string, username: string) {
  return {
    secret,
    key,
    username,
    isAnonymous: false,
    hasIdentityToken: false,
    repeats: null,
    isOrderRandom: false,
  }
}
