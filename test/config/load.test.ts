import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fromData, toData } from '../../src/config/config-data.ts'
import { loadConfig, loadValidConfig, readConfig } from '../../src/config/load.ts'
import { formatProblem } from '../../src/config/problem.ts'
import { jsonSchema } from '../../src/config/schema.ts'
import { type FallbackTable, selectRow } from '../../src/decision/fallback/table.ts'
import { barePod, referenceOf } from '../support/tables.ts'

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

describe('the host of a pattern, for a registry over plain HTTP', () => {
  const yaml = (pattern: string) =>
    `registries: [{ host: p.example, endpoint: "http://p.example" }]\nfallback: [{ name: own, images: ["${pattern}"], try: ["p.example/{path}"], otherwise: deny }]`
  const rowOf = (table: FallbackTable, image: string) =>
    selectRow(table, referenceOf(image), barePod).row?.name ?? null

  it.each([
    ['p.example:80/**', 'p.example/x/y', 'own'],
    ['p.example:80/**', 'p.example:80/x/y', 'own'],
    ['P.EXAMPLE:080/x/y', 'p.example/x/y', 'own'],
    ['p.example:443/**', 'p.example/x/y', null],
    ['p.example:443/**', 'p.example:443/x/y', 'own'],
    ['p.example:443/x/y', 'p.example:443/x/y', 'own'],
  ])('has the default port 80: %s for %s', async (pattern, image, row) => {
    const directory = mkdtempSync(join(tmpdir(), 'berth-'))
    const file = join(directory, 'berth.yaml')
    writeFileSync(file, head + yaml(pattern))
    const loaded = loadValidConfig(file)
    const copied = await fromData(toData(loaded), directory)

    expect(rowOf(loaded.config.table, image)).toBe(row)
    expect(rowOf(copied.table, image)).toBe(row)
  })
})

describe('defaults', () => {
  it('complete an empty config', () => {
    const config = configOf('')

    expect(config).toMatchObject({
      mode: 'enforce',
      pin: { unresolved: 'keep' },
      tests: [],
      warnings: [],
    })
    expect([config.registries.size, config.table.rows.length]).toEqual([0, 0])
  })

  it('use https, and registry-1.docker.io for docker.io', () => {
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

  it('do not allow to contact the host of {host}', () => {
    expect([
      ...configOf('fallback: [{ name: a, images: ["**"], try: ["{host}/{path}"] }]').registries,
    ]).toEqual([])
  })

  it('are the same for a registry in `try` as for a listed one', () => {
    const row = 'fallback: [{ name: a, images: [quay.io/x], try: ["ghcr.io/{path}"] }]'
    const inTry = configOf(row).registries.get('ghcr.io')
    const listed = configOf(`registries: [{ host: ghcr.io }]\n${row}`).registries.get('ghcr.io')

    expect(inTry).toEqual(listed)
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

describe('problems', () => {
  it.each([
    [
      'registries: [{ hots: a.example }]',
      [
        'f:3:14: error: registries[0].host: the key is missing; it must be text',
        'f:3:16: error: registries[0].hots: unknown key; did you mean "host"?',
      ],
    ],
    ['fallbak: []', ['f:3:1: error: fallbak: unknown key; did you mean "fallback"?']],
    [
      'rules: []',
      [
        'f:3:1: error: rules: unknown key; the keys here are apiVersion, kind, registries, fallback, knownConflicts, pin, pullPolicy, pullSecrets, ecrTokens, conflicts, pullFailures, stuckPods, unprocessed, availability, reports, workloads, mirror, pullSecretCopies, mode, tests',
      ],
    ],
    [
      'pin: { tag: [latest], unresolvd: deny }',
      [
        'f:3:8: error: pin.tag: unknown key; did you mean "tags"?',
        'f:3:23: error: pin.unresolvd: unknown key; did you mean "unresolved"?',
      ],
    ],
    ['mode: dry', ['f:3:1: error: mode: must be one of enforce, observe']],
    [
      'mode: observer',
      ['f:3:1: error: mode: must be one of enforce, observe; did you mean "observe"?'],
    ],
    ['pin: { tags: latest }', ['f:3:8: error: pin.tags: must be a list, not text']],
    ['mirror: { atOnce: 33 }', ['f:3:11: error: mirror.atOnce: must be at most 32']],
    ['mirror: { atOnce: 0 }', ['f:3:11: error: mirror.atOnce: must be at least 1']],
    ['mirror: { quotaFloor: 1.5 }', ['f:3:11: error: mirror.quotaFloor: must be a whole number']],
    [
      'fallback:\n  - name: a\n    images: [docker.io/x]\n    tags: { latest: 1.10 }\n    try: [quay.io/x]',
      [
        'f:6:13: error: fallback[0].tags.latest: the tag is not text; write it in quotes, for example "1.10"',
      ],
    ],
    [
      'fallback:\n  - name: a\n    images: [anubis/**]\n    try: ["quay.io/{pth}"]',
      [
        'f:5:14: error: fallback[0].images[0]: the pattern can never match: `anubis` has neither a dot nor a port, so it is a Docker Hub user and not a host; write docker.io/anubis/**, or anubis:PORT/**',
        'f:6:11: error: fallback[0].try[0]: unknown variable {pth}; templates support {host}, {path}, {rest}, {flat}, {name} and {namespace}',
      ],
    ],
    [
      'fallback: [{ name: a, images: [x.io/a], try: [y.io/a] }, { name: a, images: [x.io/b], try: [y.io/b] }]',
      [
        'f:3:60: error: fallback[1].name: an earlier row has the name a; give each row its own name',
      ],
    ],
    [
      'registries: [{ host: m.io, mirror: true }]\nfallback: [{ name: a, images: ["m.io/**"], try: ["m.io/{host}/{path}"] }]',
      [
        expect.stringMatching(
          /^f:4:50: error: fallback\[0\]\.try\[0\]: the template makes images that row a rewrites again/,
        ),
      ],
    ],
    [
      'registries: [{ host: a.io }, { host: a.io }]',
      ['f:3:32: error: registries[1].host: a.io is in the list twice; merge the two entries'],
    ],
    [
      'registries: [{ host: 0x7f.1 }]',
      ['f:3:16: error: registries[0].host: 0x7f.1 is the address 127.0.0.1; write 127.0.0.1'],
    ],
    [
      'registries: [{ host: a.io, endpoint: "http://2130706433" }]',
      [
        'f:3:28: error: registries[0].endpoint: 2130706433 is the address 127.0.0.1; write 127.0.0.1',
      ],
    ],
    [
      'registries: [{ host: a.io/x }]',
      [
        'f:3:16: error: registries[0].host: … is not a host; write it as in images, for example anubis:32000',
      ],
    ],
    [
      'registries: [{ host: a.io, endpoint: "ftp://a.io" }]',
      [expect.stringContaining('endpoint: … is not a URL; write http://HOST:PORT')],
    ],
    [
      'registries: [{ host: a.io, endpoint: "https://u:p@a.io" }]',
      [expect.stringContaining('must not have a user')],
    ],
    [
      'registries: [{ host: a.io, endpoint: "http://a.io", credentials: { secret: s } }]',
      [expect.stringContaining('credentials: the credentials would be sent over plain HTTP')],
    ],
    [
      'registries: [{ host: a.io, credentials: { secret: S_ } }]',
      [expect.stringContaining('credentials.secret: not a valid name of a Secret')],
    ],
    [
      'registries: [{ host: a.io, ca: missing.pem }]',
      [expect.stringContaining('cannot read a PEM certificate from /nowhere/missing.pem')],
    ],
    [
      'registries: [{ host: a.io, proxy: "socks5://user:CANARY@proxy:1080" }]',
      [
        expect.stringMatching(
          /proxy: not the URL of an HTTP proxy; write http:\/\/HOST:PORT, or none$/,
        ),
      ],
    ],
    [
      'registries: [{ host: a.io, endpoint: "http://a.io", clientCertificate: { secret: s } }]',
      [expect.stringContaining('clientCertificate: plain HTTP has no TLS handshake')],
    ],
    [
      'registries: [{ host: a.io, clientCertificate: { cert: a.pem, key: "-----BEGIN PRIVATE KEY-----\\nCANARY" } }]',
      [expect.stringMatching(/`cert` and `key` are the paths of files, not their content$/)],
    ],
    [
      'registries: [{ host: a.io, clientCertificate: { cert: a.pem } }]',
      [expect.stringContaining('clientCertificate: must be `secret: NAME`, or `cert: FILE`')],
    ],
    [
      'pin: { tags: ["{a,b}"] }',
      [expect.stringContaining('pin.tags[0]: "{a,b}" is not a glob for tags')],
    ],
    [
      'pullSecrets: [{ registries: [a.io], secret: Bad_Name }]',
      [expect.stringContaining('pullSecrets[0].secret: not a valid name of a Secret')],
    ],
    [
      'registries: [{ host: a.io, endpoint: "https:anubis:32000" }]',
      [expect.stringContaining('is not a URL')],
    ],
    [
      'registries: [{ host: a.io, authHosts: ["https://b.io/token"] }]',
      [expect.stringContaining('authHosts: … is not a host')],
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
        [expect.stringContaining('registries[0]: … is not a registry')],
      ],
    ),
    [
      'fallback:\n  - name: a\n    images: [quay.io/x]\n    tags: { 1.20: "1.20-bookworm" }\n    try: [m.io/x]',
      ['f:6:13: error: the key 1.20 is not text; write it in quotes: "1.20"'],
    ],
    [
      'fallback: [{ name: a, images: [], try: [m.io/x] }]',
      [expect.stringContaining('images: must not be empty; add at least one item')],
    ],
    [
      'availability: { interval: 6 hours, perMinute: 0 }',
      [
        expect.stringContaining('availability.interval: not a time; write a number with s, m or h'),
        expect.stringContaining('availability.perMinute'),
      ],
    ],
    ['a: b: c', [expect.stringMatching(/^f:3:\d+: error: invalid YAML: /)]],
    [
      'mirror: { images: [{ image: "oci:layout" }] }',
      [expect.stringMatching(/oci:layout is not a valid image: `oci:` is a prefix of skopeo/)],
    ],
    [
      'mode: enforce\nmode: observe',
      [expect.stringMatching(/^f:4:1: error: invalid YAML: Map keys must be unique/)],
    ],
  ])('are reported: %s', (yaml, expected) => {
    expect(problems(yaml)).toEqual(expected)
  })

  it.each([
    ['', /the file is empty; begin with apiVersion/],
    ['kind: BerthConfig', /apiVersion: the key is missing; write berth.dev\/v1alpha1/],
    ['apiVersion: v1', /apiVersion: must be berth.dev\/v1alpha1/],
    ['[]', /must be a map/],
    ['x', /must be a map/],
    [
      `a: &a [1]\n${Array.from({ length: 200 }, (_, i) => `b${i}: &b${i} [*a, *a]`).join('\n')}\nc: [${Array.from({ length: 200 }, (_, i) => `*b${i}`).join(',')}]`,
      /alias|unknown key/,
    ],
    ['\u0000', /YAML|must be a map/],
    ['x'.repeat(5_000_000), /more than/],
  ])('are reported for a file that is not a config: %.40s', (text, expected) => {
    const result = readConfig(text, '/nowhere')

    expect(
      result.ok ? '' : result.problems.map((problem) => formatProblem('f', problem)).join('\n'),
    ).toMatch(expected)
  })

  it('do not include a byte order mark', () => {
    expect(readConfig(`\uFEFF${head}`, '/nowhere').ok).toBe(true)
  })

  it.each([
    [
      'fallback: [{ name: a, images: [nginx], try: [quay.io/x] }]',
      'nginx means docker.io/library/nginx; write the full form',
    ],
    [
      'fallback: [{ name: a, images: ["registry-1.docker.io/**"], try: ["docker.io/{path}"] }]',
      'registry-1.docker.io/** means docker.io/**; write the full form',
    ],
    [
      'registries: [{ host: "anubis:32000" }]\nfallback: [{ name: a, images: [anubis/app], try: [quay.io/x] }]',
      'did you mean anubis:32000/app?',
    ],
    [
      'registries: [{ host: a.io, credentials: { dockerConfig: missing.json } }]',
      'credentials: the file /nowhere/missing.json does not exist',
    ],
    ['registries: [{ host: index.docker.io }]', 'index.docker.io means docker.io; write docker.io'],
    ['registries: [{ host: GHCR.IO }]', 'GHCR.IO has upper-case letters'],
    ['registries: [{ host: a.io, copy: false }]', '`copy` has no effect without `mirror: true`'],
    [
      "registries: [{ host: m.io, mirror: true }, { host: 'r.io:5000' }, { host: r.io-5000 }]\nfallback: [{ name: all, images: ['**'], try: ['m.io/{host}/{path}'] }]",
      'images of r.io:5000 and r.io-5000 the same name',
    ],
  ])('are warnings: %s', (yaml, expected) => {
    expect(
      problems(yaml)
        .filter((each) => each.includes('warning'))
        .join('\n'),
    ).toContain(expected)
  })
})

describe('a large file', () => {
  const rows = (count: number) =>
    Array.from({ length: count }, (_, index) => `  - { name: r${index}, images: [x.io/${index}] }`)

  it('has at most 100 errors, and says how many more there are', () => {
    const found = problems(`fallback:\n${rows(8_000).join('\n')}`)

    expect(found).toHaveLength(101)
    expect([found[0], found.at(-1)]).toEqual([
      'f:4:5: error: fallback[0]: the row has neither `try` nor `leave: true`; add one of them',
      'f: error: 7900 more errors are not shown',
    ])
  })

  it('has at most 100 warnings in addition', () => {
    const images = Array.from({ length: 300 }, (_, index) => `nginx${index}`)
    const row = `fallback: [{ name: a, images: [${images.join(', ')}], try: [quay.io/x] }]`
    const found = problems(row).filter((each) => each.includes('write the full form'))

    expect(found).toHaveLength(100)
    expect(problems(row).at(-1)).toMatch(/^f: warning: \d+ more warnings are not shown$/)
  })

  it.each([
    ['invalid tags', (index: number) => `"!${index}": a`],
    ['keys that are not text', (index: number) => `${index}: a`],
  ])('may have 20,000 %s in one map', (_, key) => {
    const tags = Array.from({ length: 20_000 }, (__, index) => key(index)).join(', ')
    const row = `fallback: [{ name: a, images: [x.io/a], try: [y.io/a], tags: { ${tags} } }]`

    expect(problems(row).length).toBeLessThan(102)
  })

  it('is rejected if it is deep', () => {
    expect(problems(`fallback: ${'['.repeat(300_000)}`)).toEqual([
      'f:3:210: error: maps and lists are nested more than 200 levels deep; flatten them',
    ])
  })

  it('is not read beyond the limit', () => {
    expect(() => loadConfig('/dev/zero')).toThrow(
      expect.objectContaining({
        code: 'config-invalid',
        message: expect.stringContaining('/dev/zero has more than 1048576 bytes, which is what a'),
      }),
    )
  })

  it('shows the place of a value behind an alias', () => {
    expect(problems('fallback: [{ name: a, images: &a ["{"], try: *a }]')).toEqual([
      expect.stringMatching(/^f:3:35: error: fallback\[0\]\.images\[0\]: the pattern/),
      expect.stringMatching(/^f:3:35: error: fallback\[0\]\.try\[0\]: the template/),
    ])
  })
})

describe('files', () => {
  it.each(['anubis', 'freeipa'])('include the valid example %s', (name) => {
    const file = new URL(`../../webhook-config/examples/${name}.yaml`, import.meta.url).pathname

    expect(loadConfig(file).table.rows.length).toBeGreaterThan(0)
  })

  it('are named in the error if they are missing', () => {
    expect(() => loadConfig('/nowhere/berth.yaml')).toThrow(
      expect.objectContaining({
        code: 'config-unreadable',
        message: expect.stringContaining('/nowhere/berth.yaml'),
      }),
    )
  })

  it('with errors are rejected with all problems', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'berth-test-')), 'berth.yaml')
    writeFileSync(file, `${head}registries: [{ host: "a b" }, { host: "c d" }]`)

    expect(() => loadConfig(file)).toThrow(
      expect.objectContaining({
        code: 'config-invalid',
        message: expect.stringMatching(
          /registries\[0\]\.host: … is not a host[^]*registries\[1\]\.host: … is not a host/,
        ),
      }),
    )
  })

  it('include a JSON Schema with a description for every key', () => {
    const undescribed: string[] = []
    JSON.stringify(jsonSchema(), (key, value: unknown) => {
      if (key === 'properties' && typeof value === 'object' && value !== null)
        for (const [name, property] of Object.entries(value as Record<string, object>))
          if (!('description' in property)) undescribed.push(name)
      return value
    })

    expect(undescribed).toEqual([])
  })

  it('include the JSON Schema of the code (npm run schema)', () => {
    const file = new URL('../../webhook-config/berth.schema.json', import.meta.url)

    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(JSON.parse(JSON.stringify(jsonSchema())))
  })
})
