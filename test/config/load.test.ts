import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig, readConfig } from '../../src/config/load.ts'
import { formatProblem } from '../../src/config/problem.ts'
import { jsonSchema } from '../../src/config/schema.ts'
import { referenceOf } from '../support/tables.ts'

const head = 'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n'

function problems(yaml: string): string[] {
  const result = readConfig(head + yaml, '/nowhere')
  const found = result.ok ? result.config.warnings : result.problems
  return found.map((problem) => formatProblem('f', problem))
}

function configOf(yaml: string) {
  const result = readConfig(head + yaml, '/nowhere')
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join('\n'))
  return result.config
}

describe('defaults', () => {
  it('fill in what a config leaves out', () => {
    const config = configOf('')

    expect(config).toMatchObject({
      mode: 'enforce',
      pin: { unresolved: 'keep' },
      tests: [],
      warnings: [],
    })
    expect([config.registries.size, config.table.rows.length]).toEqual([0, 0])
  })

  it('reach Docker Hub where it answers, and any other registry over https', () => {
    const { registries } = configOf(
      'registries: [{ host: docker.io }, { host: "anubis:32000", endpoint: "http://anubis:32000", mirror: true }]\nfallback: [{ name: a, images: [quay.io/x], try: ["ghcr.io/{path}"] }]',
    )

    expect(
      [...registries].map(([host, { endpoint, mirror }]) => [host, endpoint.href, mirror]),
    ).toEqual([
      ['docker.io', 'https://registry-1.docker.io/', false],
      ['anubis:32000', 'http://anubis:32000/', true],
      ['ghcr.io', 'https://ghcr.io/', false],
    ])
  })

  it('let no host be contacted that a template takes from the pod', () => {
    expect([
      ...configOf('fallback: [{ name: a, images: ["**"], try: ["{host}/{path}"] }]').registries,
    ]).toEqual([])
  })

  it('match pull secrets as a kubelet does', () => {
    const { pullSecrets } = configOf(
      'pullSecrets: [{ registries: [docker.io, "https://index.docker.io/v1/", ghcr.io/acme/], secret: s }]',
    )

    expect(
      ['nginx', 'ghcr.io/acme/x', 'ghcr.io/acme-evil/x', 'quay.io/x'].map((image) =>
        pullSecrets[0]?.matches(referenceOf(image)),
      ),
    ).toEqual([true, true, false, false])
  })
})

describe('problems have a place, a rule and a fix', () => {
  it.each([
    [
      'registries: [{ hots: a.example }]',
      [
        'f:3:14: error: registries[0].host is missing; it is text',
        'f:3:16: error: registries[0].hots is not known here; known: host, endpoint, nodeEndpoint, mirror, probe, credentials, ca, authHosts, allowPlainHttpAuth',
      ],
    ],
    [
      'fallbak: []',
      [
        'f:3:1: error: fallbak is not known here; known: apiVersion, kind, registries, fallback, pin, pullPolicy, pullSecrets, ecrTokens, pullFailures, workloads, mirror, pullSecretCopies, mode, tests',
      ],
    ],
    ['mode: dry', ['f:3:1: error: mode is not one of enforce, observe']],
    ['pin: { tags: latest }', ['f:3:8: error: pin.tags is text, and should be a list']],
    [
      'fallback:\n  - name: a\n    images: [docker.io/x]\n    tags: { latest: 1.10 }\n    try: [quay.io/x]',
      ['f:6:13: error: fallback[0].tags.latest is not text; write a tag in quotes: "1.10"'],
    ],
    [
      'fallback:\n  - name: a\n    images: [anubis/**]\n    try: ["quay.io/{pth}"]',
      [
        'f:6:11: error: fallback[0].try[0] has {pth}; templates know {host}, {path}, {name} and {namespace}',
        'f:5:14: error: fallback[0].images[0] can never match: `anubis` has no dot and no port, so it is a Docker Hub user and not a host; write docker.io/anubis/**, or anubis:PORT/**',
      ],
    ],
    [
      'fallback: [{ name: a, images: [x.io/a], try: [y.io/a] }, { name: a, images: [x.io/b], try: [y.io/b] }]',
      [
        'f:3:60: error: fallback[1].name a is the name of an earlier row; rows are told apart by it',
      ],
    ],
    [
      'registries: [{ host: m.io, mirror: true }]\nfallback: [{ name: a, images: ["m.io/**"], try: ["m.io/{host}/{path}"] }]',
      [
        expect.stringMatching(
          /^f:4:50: error: fallback\[0\]\.try\[0\] makes names that row a rewrites again/,
        ),
      ],
    ],
    [
      'registries: [{ host: a.io }, { host: a.io }]',
      ['f:3:32: error: registries[1].host a.io is listed twice; join the two entries'],
    ],
    [
      'registries: [{ host: 0x7f.1 }]',
      ['f:3:16: error: registries[0].host 0x7f.1 would be contacted as 127.0.0.1; write that'],
    ],
    [
      'registries: [{ host: a.io, endpoint: "http://2130706433" }]',
      [
        'f:3:28: error: registries[0].endpoint 2130706433 would be contacted as 127.0.0.1; write that',
      ],
    ],
    [
      'registries: [{ host: a.io/x }]',
      [
        'f:3:16: error: registries[0].host a.io/x is not a host; write it as images do, for example anubis:32000',
      ],
    ],
    [
      'registries: [{ host: a.io, endpoint: "ftp://a.io" }]',
      [expect.stringContaining('endpoint ftp://a.io is not a URL; write http://HOST:PORT')],
    ],
    [
      'registries: [{ host: a.io, endpoint: "https://u:p@a.io" }]',
      [expect.stringContaining('without user')],
    ],
    [
      'registries: [{ host: a.io, endpoint: "http://a.io", credentials: { secret: s } }]',
      [expect.stringContaining('credentials would be sent over plain HTTP')],
    ],
    [
      'registries: [{ host: a.io, credentials: { secret: S_ } }]',
      [expect.stringContaining('credentials.secret is no name')],
    ],
    [
      'registries: [{ host: a.io, ca: missing.pem }]',
      [expect.stringContaining('/nowhere/missing.pem cannot be read as a PEM certificate')],
    ],
    ['pin: { tags: ["{a,b}"] }', [expect.stringContaining('pin.tags[0] is no glob over tags')]],
    [
      'pullSecrets: [{ registries: [a.io], secret: Bad_Name }]',
      [expect.stringContaining('pullSecrets[0].secret is no name for a Secret')],
    ],
    [
      'registries: [{ host: a.io, endpoint: "https:anubis:32000" }]',
      [expect.stringContaining('is not a URL')],
    ],
    [
      'registries: [{ host: a.io, authHosts: ["https://b.io/token"] }]',
      [expect.stringContaining('authHosts has https://b.io/token, which is not a host')],
    ],
    [
      'pullSecrets: [{ registries: [anubis], secret: s }]',
      [expect.stringContaining('write anubis:PORT')],
    ],
    [
      'pullSecrets: [{ registries: [registry-1.docker.io], secret: s }]',
      [expect.stringContaining('write docker.io')],
    ],
    ...['anubis:port', 'reg.exampl?', 'r[a-f]g.example', 'ghcr.io/%zz', '[1:2]:5000', 'a:1:2'].map(
      (key): [string, unknown[]] => [
        `pullSecrets: [{ registries: ["${key}"], secret: s }]`,
        [expect.stringContaining(`${key} is no registry`)],
      ],
    ),
    [
      'fallback:\n  - name: a\n    images: [quay.io/x]\n    tags: { 1.20: "1.20-bookworm" }\n    try: [m.io/x]',
      ['f:6:13: error: the key 1.20 is not text: write it in quotes'],
    ],
    [
      'fallback: [{ name: a, images: [], try: [m.io/x] }]',
      [expect.stringContaining('images is empty; it needs at least one')],
    ],
    ['a: b: c', [expect.stringMatching(/^f:3:\d+: error: .*mend the YAML here$/)]],
    [
      'mode: enforce\nmode: observe',
      [expect.stringMatching(/^f:4:1: error: Map keys must be unique/)],
    ],
  ])('%s', (yaml, want) => {
    expect(problems(yaml)).toEqual(want)
  })

  it.each([
    ['', /the file is empty; begin with apiVersion/],
    ['kind: BerthConfig', /apiVersion is missing; write berth.dev\/v1alpha1/],
    ['apiVersion: v1', /apiVersion is not berth.dev\/v1alpha1/],
    ['[]', /should be a map/],
    ['x', /should be a map/],
    [
      `a: &a [1]\n${Array.from({ length: 200 }, (_, i) => `b${i}: &b${i} [*a, *a]`).join('\n')}\nc: [${Array.from({ length: 200 }, (_, i) => `*b${i}`).join(',')}]`,
      /alias|not known/,
    ],
    ['\u0000', /YAML|should be a map/],
    ['x'.repeat(5_000_000), /longer than/],
  ])('a file that is no config at all: %.40s', (text, want) => {
    const result = readConfig(text, '/nowhere')

    expect(
      result.ok ? '' : result.problems.map((problem) => formatProblem('f', problem)).join('\n'),
    ).toMatch(want)
  })

  it('take a byte order mark for what it is', () => {
    expect(readConfig(`\uFEFF${head}`, '/nowhere').ok).toBe(true)
  })

  it.each([
    [
      'fallback: [{ name: a, images: [nginx], try: [quay.io/x] }]',
      'means docker.io/library/nginx; write it in full',
    ],
    [
      'fallback: [{ name: a, images: ["registry-1.docker.io/**"], try: ["docker.io/{path}"] }]',
      'means docker.io/**; write it in full',
    ],
    [
      'registries: [{ host: "anubis:32000" }]\nfallback: [{ name: a, images: [anubis/app], try: [quay.io/x] }]',
      'did you mean anubis:32000/app?',
    ],
    [
      'registries: [{ host: a.io, credentials: { dockerConfig: missing.json } }]',
      'credentials names /nowhere/missing.json, which is not there',
    ],
    ['registries: [{ host: index.docker.io }]', 'means docker.io; write that'],
    ['registries: [{ host: GHCR.IO }]', 'GHCR.IO has upper-case letters'],
  ])('doubts are warnings: %s', (yaml, want) => {
    expect(
      problems(yaml)
        .filter((each) => each.includes('warning'))
        .join('\n'),
    ).toContain(want)
  })
})

describe('files', () => {
  it.each(['anubis', 'freeipa'])('the example %s is valid', (name) => {
    const file = new URL(`../../webhook-config/examples/${name}.yaml`, import.meta.url).pathname

    expect(loadConfig(file).table.rows.length).toBeGreaterThan(0)
  })

  it('that is missing is named', () => {
    expect(() => loadConfig('/nowhere/berth.yaml')).toThrow(
      expect.objectContaining({
        code: 'config-unreadable',
        message: expect.stringContaining('/nowhere/berth.yaml'),
      }),
    )
  })

  it('that is wrong has every problem in the message', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'berth-test-')), 'berth.yaml')
    writeFileSync(file, `${head}registries: [{ host: "a b" }, { host: "c d" }]`)

    expect(() => loadConfig(file)).toThrow(
      expect.objectContaining({
        code: 'config-invalid',
        message: expect.stringMatching(/a b is not a host[^]*c d is not a host/),
      }),
    )
  })

  it('the JSON Schema is the one that the code makes', () => {
    const file = new URL('../../webhook-config/berth.schema.json', import.meta.url)

    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(JSON.parse(JSON.stringify(jsonSchema())))
  })
})
