/** Generates pull secrets and images, with the odd keys that users write, so that keys often match images. */
import fc from 'fast-check'

/** One line of input for the Go program in this directory. The data is plain text, not base64. */
export interface KeyringCase {
  readonly image: string
  readonly secrets: readonly {
    readonly name: string
    readonly type: string
    readonly data: Readonly<Record<string, string>>
  }[]
}

const imageHosts = [
  '',
  'docker.io/',
  'index.docker.io/',
  'registry-1.docker.io/',
  'ghcr.io/',
  'reg.example/',
  'reg.example:443/',
  'reg.example:5000/',
  'a.reg.example/',
  'Reg.example/',
  'REG/',
  'A/',
  'localhost/',
  'localhost:5000/',
  'anubis:32000/',
  '127.0.0.1:5000/',
  '[::1]/',
  '[::1]:5000/',
  '[2001:db8::1]:5000/',
  '[1:2]/',
  '123.dkr.ecr.us-east-1.amazonaws.com/',
  'v1.example/',
]
const imagePaths = [
  'nginx',
  'acme/app',
  'acme-evil/app',
  'acme/team/app',
  'v1/acme',
  'library/nginx',
]
const imageEnds = ['', ':1.27', `@sha256:${'a'.repeat(64)}`]

const hubKeys = [
  'https://index.docker.io/v1/',
  'https://index.docker.io/v1',
  'index.docker.io',
  'index.docker.io/v2/',
  'docker.io',
  'https://docker.io/v2/',
  'registry-1.docker.io',
  'https://registry-1.docker.io/v2/',
  'registry.hub.docker.com',
]
const keyHosts = [
  'docker.io|index.docker.io|ghcr.io|reg.example|a.reg.example|REG.example|Reg.example|REG',
  'localhost|anubis|127.0.0.1|[::1]|[2001:db8::1]|[2001:DB8::1]|[fe80::1%25eth0]',
  '[fe80::1%25%20]|[fe80::1%25]|[::ffff:1.2.3.4]|[1.2.3.4]|[::1|[1:2]|::1|[]|[E::R]|[::A]|*]',
  '123.dkr.ecr.us-east-1.amazonaws.com|*.dkr.ecr.*.amazonaws.com|*.amazonaws.com|*.example',
  '*.*.example|r*g.example|*e*g*.ex*e|*|*.*|*:*|re?.example|r[a-e]g.example|[r]eg.example',
  'r\\eg.example|reg.example.|.reg.example|reg..example|reg_x.example|r%65g.example',
  'r%25g.example|rég.example|r%C3%A9g.example|r%e9g.example|r g.example|r<g>.example',
  'v1.example|',
].flatMap((line) => line.split('|'))
const schemes = [
  '',
  '',
  '',
  'https://',
  'http://',
  'HTTPS://',
  'ftp://',
  'https://https://',
  '//',
  ' ',
]
const users = ['', '', '', '', '', 'me@', 'me:pw@', 'm%40e@', 'm%zz@', 'm e@', 'a@b@', 'mé@']
const ports = [
  '',
  '',
  '',
  '',
  ':443',
  ':5000',
  ':5000',
  ':32000',
  ':',
  ':abc',
  ':1:2',
  ':%31',
  ':*',
]
const paths = [
  '||||/|/v1/|/v2/|/v1|/v2|/acme|/acme/|/acme/app|/acme/app/|/v2/acme|/v1/acme/|/v1/v2/acme|/v3/acme',
  '/v1//acme|//acme|/ACME|/a*|/acme/*|/library|/library/nginx|/nginx|/ac%6de|/ac%256de|/acme%2Fapp',
  '/acme%3Fx|/acme%23x|/acme%2|/acme%25|/acme%2525|/acme%09|/acme%20|/ac me|/acmé|/@acme|/acme:5000',
].flatMap((line) => line.split('|'))
const ends = [
  '',
  '',
  '',
  '',
  '',
  '?',
  '?a=b',
  '?%zz',
  '#',
  '#top',
  '#%zz',
  '?#',
  '\n',
  '\u007f',
  ' ',
]

const pieces = fc
  .tuple(
    fc.constantFrom(...schemes),
    fc.constantFrom(...users),
    fc.constantFrom(...keyHosts),
    fc.constantFrom(...ports),
    fc.constantFrom(...paths),
    fc.constantFrom(...ends),
  )
  .map((parts) => parts.join(''))

/** Changes of one label of a host. */
const labelChanges: readonly ((label: string) => string)[] = [
  () => '*',
  (label) => `${label.slice(0, 1)}*`,
  (label) => `*${label.slice(1)}`,
  (label) => `${label.slice(0, 1)}*${label.slice(-1)}`,
  (label) => `?${label.slice(1)}`,
  (label) => `[a-z]${label.slice(1)}`,
  (label) => `\\${label}`,
  (label) => label.toUpperCase(),
  (label) => `${label}.`,
]

/** Picks an odd value one time in eleven. */
function mostly(usual: readonly string[], odd: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 10, arbitrary: fc.constantFrom(...usual) },
    { weight: 1, arbitrary: fc.constantFrom(...odd) },
  )
}

/** Generates a key for the image, often with one part added, removed or changed. */
function keySimilarTo(host: string, path: string): fc.Arbitrary<string> {
  const name = host.slice(0, -1) || 'docker.io'
  const changed = fc
    .tuple(fc.nat({ max: 5 }), fc.constantFrom(...labelChanges))
    .map(([at, change]) =>
      name
        .split('.')
        .map((text, index) => (index === at ? change(text) : text))
        .join('.'),
    )
  return fc
    .tuple(
      mostly(['', 'https://', 'http://'], schemes),
      mostly([''], users),
      fc.oneof({ arbitrary: fc.constant(name), weight: 4 }, changed),
      fc.oneof(
        fc.nat({ max: path.length }).map((end) => `/${path.slice(0, end)}`),
        fc.constantFrom(...paths),
      ),
      mostly([''], ends),
    )
    .map((parts) => parts.join(''))
}

const words = fc.constantFrom('u', 'AWS', '<token>', 'ü', '', 'robot$x')
const passwords = fc.constantFrom('p', 'p:q', 'ß', '', 'long-'.repeat(5))

const goodAuth = fc
  .tuple(words, passwords, fc.constantFrom('', '', '', 'bare', 'broken'))
  .map(([user, password, way]) => {
    const text = Buffer.from(`${user}:${password}`).toString('base64')
    if (way === 'bare') return text.replace(/=+$/, '')
    return way === 'broken' ? `${text.slice(0, 2)}\r\n${text.slice(2)}\n` : text
  })
const badAuth = fc.oneof(
  fc.constantFrom(
    'dXNlcg==',
    'dTpw=',
    'dTpwd',
    'dTpw ',
    ' dTpw',
    'dTo= ',
    'dTo=\t',
    'dTo=dTo=',
    'dT=o',
    'dTo\n=\n',
  ),
  fc.constantFrom(
    '_-_-',
    '=',
    '==',
    '====',
    '\n',
    ':',
    'u:p',
    'dTpx====',
    'dTp4/+A',
    'dTr/',
    'dTp',
    'dTo',
    'YQ=\n=',
  ),
  fc.string({ maxLength: 6 }),
)

const entry = fc.oneof(
  { weight: 12, arbitrary: goodAuth.map((auth): Record<string, unknown> => ({ auth })) },
  { weight: 8, arbitrary: fc.record({ username: words, password: passwords }) },
  { weight: 3, arbitrary: fc.record({ username: words, password: passwords, auth: goodAuth }) },
  {
    weight: 2,
    arbitrary: fc.record({ username: words, password: passwords, auth: fc.constant('') }),
  },
  { weight: 2, arbitrary: fc.constantFrom({}, { identitytoken: 't' }, { registrytoken: 't' }) },
  { weight: 2, arbitrary: goodAuth.map((auth) => ({ AUTH: auth, identitytoken: 't' })) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      { username: 'a', Username: 'b', PASSWORD: 'c' },
      { username: 'a', USERNAME: null, paſſword: 'c' },
      { username: null, password: null, auth: null },
      { auth: 'dTpw', Auth: '' },
      { username: '\ud800', password: '\\' },
    ),
  },
)
const badEntry = fc.oneof(
  badAuth.map((auth) => ({ auth })),
  badAuth.map((auth) => ({ auth })),
  fc.constantFrom<unknown>(
    'text',
    5,
    [],
    true,
    { username: 5 },
    { auth: 5 },
    { password: {} },
    { auth: [] },
  ),
)

/** Each entry repeats its key in `email`, because the kubelet returns that field with a credential. */
function auths(key: fc.Arbitrary<string>): fc.Arbitrary<Record<string, unknown>> {
  const one = fc.oneof({ weight: 80, arbitrary: entry }, { weight: 1, arbitrary: badEntry })
  const withKey = fc.tuple(key, one).map(([name, value]): [string, unknown] => {
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return [name, isObject ? { ...value, email: name } : value]
  })
  return fc
    .array(withKey, { minLength: 0, maxLength: 4 })
    .map((entries) => Object.fromEntries(entries))
}

const oddConfigs = [
  '',
  ' ',
  '{',
  '[]',
  'null',
  '5',
  '"x"',
  '{}',
  '{"auths":null}',
  '{"auths":[]}',
  '\ufeff{}',
  '{} x',
]

function config(key: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const plain = auths(key).map((value) => JSON.stringify({ auths: value }))
  const extras = fc.constantFrom<Record<string, unknown>>(
    { credsStore: 'desktop' },
    { HttpHeaders: { a: 'b' } },
    { httpheaders: { a: null } },
    { HttpHeaders: { a: 5 } },
    { HttpHeaders: null },
    { AUTHS: null },
    { AUTHS: 'x' },
  )
  return fc.oneof(
    { weight: 40, arbitrary: plain },
    { weight: 3, arbitrary: auths(key).map((value) => JSON.stringify({ AuthS: value })) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(auths(key), auths(key))
        .map(([a, b]) => JSON.stringify({ auths: a, Auths: b })),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(auths(key), extras).map(([a, b]) => JSON.stringify({ auths: a, ...b })),
    },
    { weight: 1, arbitrary: fc.constantFrom(...oddConfigs) },
  )
}

const newType = 'kubernetes.io/dockerconfigjson'
const oldType = 'kubernetes.io/dockercfg'

function secret(key: fc.Arbitrary<string>) {
  const legacy = auths(key).map((value) => JSON.stringify(value))
  const kinds = fc.oneof(
    {
      weight: 16,
      arbitrary: config(key).map((text) => ({
        type: newType,
        data: { '.dockerconfigjson': text },
      })),
    },
    {
      weight: 4,
      arbitrary: legacy.map((text) => ({ type: oldType, data: { '.dockercfg': text } })),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(
          fc.constantFrom(newType, oldType, 'Opaque', '', 'kubernetes.io/tls', 'constructor'),
          fc.constantFrom('.dockerconfigjson', '.dockercfg', 'config.json'),
          fc.oneof(config(key), legacy),
        )
        .map(([type, member, text]) => ({ type, data: { [member]: text } })),
    },
  )
  return fc
    .tuple(fc.constantFrom('one', 'two', 'three'), kinds)
    .map(([name, kind]) => ({ name, ...kind }))
}

/** Gives secrets with the same name the same content: a pod refers to secrets by name. */
function sameByName(secrets: KeyringCase['secrets']): KeyringCase['secrets'] {
  return secrets.map(({ name }) => secrets.find((one) => one.name === name) ?? secrets[0]!)
}

const keyringCase: fc.Arbitrary<KeyringCase> = fc
  .tuple(
    fc.constantFrom(...imageHosts),
    fc.constantFrom(...imagePaths),
    fc.constantFrom(...imageEnds),
  )
  .chain(([host, path, end]) => {
    const key = fc.oneof(
      { weight: 5, arbitrary: keySimilarTo(host, path) },
      { weight: 2, arbitrary: fc.constantFrom(...hubKeys) },
      { weight: 4, arbitrary: pieces },
      { weight: 1, arbitrary: fc.string({ maxLength: 8 }) },
    )
    return fc
      .array(secret(key), { minLength: 1, maxLength: 3 })
      .map((secrets) => ({ image: `${host}${path}${end}`, secrets: sameByName(secrets) }))
  })

/** Returns `count` cases. The same seed and version of fast-check give the same cases. */
export function makeCases(count: number, seed: number): KeyringCase[] {
  return fc.sample(keyringCase, { seed, numRuns: count })
}
