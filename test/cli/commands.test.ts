import { X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { painter } from '../../src/cli/output/explanation-table.ts'
import { berth, terminal } from '../support/io.ts'

const directory = () => mkdtempSync(join(tmpdir(), 'berth-test-'))
const example = (name: string) =>
  fileURLToPath(new URL(`../../webhook-config/examples/${name}.yaml`, import.meta.url))

function configWith(text: string): string {
  const file = join(directory(), 'berth.yaml')
  writeFileSync(file, `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n${text}`)
  return file
}

describe('a command line that is wrong', () => {
  it.each([
    [
      ['frobnicate'],
      2,
      'berth: usage: frobnicate is not a command of berth; `berth help` lists them',
    ],
    [['explain'], 2, 'no image is given'],
    [['explain', 'nginx', '--colour'], 2, "unknown option '--colour'"],
    [
      ['explain', 'nginx', '-o', 'xml'],
      2,
      '--output xml is not known; choose one of table, json, yaml',
    ],
    [
      ['explain', 'nginx', '--config', '/nowhere.yaml'],
      2,
      'berth: config-unreadable: cannot read the config file /nowhere.yaml (ENOENT)',
    ],
    [
      [
        'serve',
        '--port',
        '99999',
        '--config',
        example('anubis'),
        '--tls-cert',
        '/nowhere',
        '--tls-key',
        '/nowhere',
      ],
      2,
      '',
    ],
    [['certs', '--days', '0'], 2, '--days 0 is not a whole number from 1 to 825'],
    [['certs', '--url', 'http://x'], 2, '--url http://x is not an https URL'],
    [['check', 'other.yaml'], 2, 'other.yaml is not expected here; files are given by options'],
    [['constructor'], 2, 'constructor is not a command'],
    [['certs', '--url', 'https://u:p@h'], 2, 'without user, query and fragment'],
    [['dev', '--port', 'x'], 2, '--port x is not a port'],
    [[], 2, 'usage: berth COMMAND'],
  ])('%j exits with %i and says why', async (argv, code, message) => {
    const outcome = await berth(argv)

    expect(outcome).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(message) })
  })

  it('gives help on standard output when asked, in the order of docs/cli.md', async () => {
    const { code, stdout } = await berth(['help'])

    const named = [...stdout.matchAll(/^  ([a-z]+) {2}/gm)].map(([, verb]) => verb)
    const page = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8')
    expect(code).toBe(0)
    expect(named).toEqual([...page.matchAll(/^## berth ([a-z]+)$/gm)].map(([, verb]) => verb))
    expect(new Set(named).size).toBe(named.length)
    expect(stdout.split('\n').filter((line) => line.length > 100)).toEqual([])
  })

  it.each(['explain', 'check', 'serve', 'dev', 'certs', 'rewrite', 'lock', 'diff'])(
    'shows the options of %s, within a terminal',
    async (verb) => {
      const { code, stdout } = await berth([verb, '--help'])

      expect([code, stdout.includes(`usage: berth ${verb} `)]).toEqual([0, true])
      expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
      expect(await berth(['help', verb])).toMatchObject({ code, stdout })
    },
  )

  it('shows the options of a verb of nodes, or of all', async () => {
    const all = await berth(['nodes', '--help'])
    const one = await berth(['nodes', 'detect', '--help'])

    expect(all.stdout.match(/berth nodes [a-z]+/g)).toEqual([
      'berth nodes render',
      'berth nodes detect',
      'berth nodes check',
      'berth nodes apply',
    ])
    expect(one.stdout.match(/berth nodes [a-z]+/g)).toEqual(['berth nodes detect'])
  })

  it('tells its version', async () => {
    const { version } = JSON.parse(
      readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
    ) as { version: string }

    expect((await berth(['--version'])).stdout.trim()).toBe(version)
  })
})

describe('check', () => {
  it('passes the examples, with their warnings beside the result', async () => {
    const { code, stdout, stderr } = await berth(['check', '--config', example('anubis')])

    expect([code, stdout]).toEqual([
      0,
      `${example('anubis')}: 3 rows, 3 registries, 3 warnings, 3 of 3 tests pass\n`,
    ])
    expect(stderr.trim().split('\n')).toHaveLength(3)
  })

  it('exits with 2 for errors, every one of them on a line', async () => {
    const file = configWith('mode: dry\nfallbak: []\n')
    const { code, stdout, stderr } = await berth(['check', '--config', file])

    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain(`${file}:3:1: error: mode: must be one of enforce, observe`)
    expect(stderr).toContain(`${file}:4:1: error: fallbak: unknown key; did you mean "fallback"?`)
  })

  it.each([
    [
      'expect: docker.io/library/nginx:2',
      'expected docker.io/library/nginx:2, got docker.io/library/nginx:1 (row a)',
    ],
    ['expect: "docker.io/library/nginx:1", row: b', 'expected row b, got a'],
  ])('exits with 1 when a test fails: %s', async (expectation, message) => {
    const file = configWith(
      `fallback: [{ name: a, images: [quay.io/nginx], try: ["docker.io/library/{path}"] }]\ntests: [{ image: "quay.io/nginx:1", ${expectation} }]\n`,
    )
    const { code, stderr } = await berth(['check', '--config', file])

    expect(code).toBe(1)
    expect(stderr).toContain(message)
  })

  it('prints JSON of what is wrong', async () => {
    const file = configWith('mode: dry\n')
    const { code, stdout } = await berth(['check', '-o', 'json', '--config', file])

    expect(code).toBe(2)
    expect(JSON.parse(stdout)).toEqual({
      file,
      errors: [
        {
          severity: 'error',
          path: 'mode',
          line: 3,
          column: 1,
          message: 'must be one of enforce, observe',
        },
      ],
      warnings: [],
    })
  })

  it('prints JSON', async () => {
    const { stdout } = await berth(['check', '-o', 'json', '--config', example('freeipa')])

    expect(JSON.parse(stdout)).toMatchObject({
      rows: 1,
      registries: ['localhost:5000', 'quay.io'],
      warnings: [],
      tests: 1,
      failures: [],
    })
  })
})

describe('certs', () => {
  it('writes what an API server needs, keys readable by their owner alone', async () => {
    const out = join(directory(), 'certs')
    const { code } = await berth([
      'certs',
      '--out',
      out,
      '--url',
      'https://10.0.0.5:8443',
      '--names',
      'other.example',
    ])
    const read = (name: string) => readFileSync(join(out, name), 'utf8')
    const leaf = new X509Certificate(read('tls.crt'))
    const config = parse(read('mutating-webhook.yaml')) as {
      webhooks: { name: string; clientConfig: Record<string, string> }[]
    }

    expect(code).toBe(0)
    expect(leaf.checkIssued(new X509Certificate(read('ca.crt')))).toBe(true)
    expect(
      [
        leaf.checkIP('10.0.0.5'),
        leaf.checkHost('other.example'),
        leaf.checkHost('berth-webhook.berth-system.svc'),
      ].every(Boolean),
    ).toBe(true)
    expect(config.webhooks.map(({ clientConfig }) => clientConfig)).toEqual([
      {
        url: 'https://10.0.0.5:8443/mutate',
        caBundle: Buffer.from(read('ca.crt')).toString('base64'),
      },
      {
        url: 'https://10.0.0.5:8443/observe',
        caBundle: Buffer.from(read('ca.crt')).toString('base64'),
      },
    ])
    expect(parse(read('secret.yaml'))).toMatchObject({
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: { name: 'berth-webhook-tls', namespace: 'berth-system' },
    })
    expect(
      ['ca.key', 'tls.key', 'secret.yaml'].map((name) => statSync(join(out, name)).mode & 0o077),
    ).toEqual([0, 0, 0])
  })

  it('keeps the service when no URL is given', async () => {
    const out = directory()
    await berth(['certs', '--out', out, '-n', 'infra', '--service', 'b'])
    const text = readFileSync(join(out, 'mutating-webhook.yaml'), 'utf8')
    const config = parse(text) as { webhooks: { clientConfig: object }[] }
    expect([text.includes('berth-system'), text.includes('kube-node-lease, infra')]).toEqual([
      false,
      true,
    ])

    expect(config.webhooks[0]?.clientConfig).toMatchObject({
      service: { name: 'b', namespace: 'infra', port: 443, path: '/mutate' },
    })
  })

  it('says so where nothing can be written', async () => {
    const { code, stderr } = await berth(['certs', '--out', '/proc/berth/certs'])

    expect(code).toBe(2)
    expect(stderr).toContain(
      'berth: certificate-unwritable: /proc/berth/certs cannot be written: ENOENT; choose another --out',
    )
  })

  it('overwrites nothing unless told to', async () => {
    const out = directory()
    writeFileSync(join(out, 'tls.key'), 'precious')
    const refused = await berth(['certs', '--out', out])

    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('tls.key exists') })
    expect([readFileSync(join(out, 'tls.key'), 'utf8'), existsSync(join(out, 'ca.crt'))]).toEqual([
      'precious',
      false,
    ])
    expect((await berth(['certs', '--out', out, '--force'])).code).toBe(0)
  })
})

describe('colour', () => {
  it.each([
    ['a terminal', terminal(), {}, true],
    ['a terminal under NO_COLOR', terminal(), { NO_COLOR: '1' }, false],
    ['a file', Object.assign(terminal(), { isTTY: false }), {}, false],
  ])('on %s: %o', (_, stdout, env, coloured) => {
    expect(painter({ stdout, env })('red', 'x') !== 'x').toBe(coloured)
  })
})
