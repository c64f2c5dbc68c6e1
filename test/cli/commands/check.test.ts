import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { packageVersion } from '../../../src/cli/package-version.ts'
import { run } from '../../../src/cli/run.ts'
import { berth, terminal } from '../../support/io.ts'

const example = (name: string) =>
  fileURLToPath(new URL(`../../../webhook-config/examples/${name}.yaml`, import.meta.url))

function configOf(text: string): string {
  const file = join(mkdtempSync(join(tmpdir(), 'berth-test-')), 'berth.yaml')
  writeFileSync(file, `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n${text}`)
  return file
}

const rows = `registries: [{ host: anubis:32000, mirror: true }]
fallback: [{ name: hub, images: ['docker.io/**'], try: ['anubis:32000/{host}/{path}', 'docker.io/{path}'] }]
pullSecrets: [{ registries: ['anubis:32000'], secret: creds }]
`
const failing = configOf(`${rows}tests:
  - { image: nginx, expect: 'anubis:32000/docker.io/library/nginx:latest', row: hub, secrets: [creds] }
  - image: quay.io/a/b
    expect: quay.io/a/b
    secrets: [creds]
`)

describe('berth check', () => {
  it('passes an example, given as an argument', async () => {
    expect(await berth(['check', example('anubis')])).toEqual({
      code: 0,
      stdout: `${example('anubis')}: 3 rows, 3 registries, 0 warnings, 3 of 3 tests pass\n`,
      stderr: '',
    })
  })

  it('prints warnings to standard error', async () => {
    const file = configOf(
      'fallback: [{ name: a, images: [docker.io/a/*], try: ["m.example/{flat}"] }, { name: b, images: [docker.io/a/*], try: ["m.example/{path}"] }]\n',
    )
    const { code, stdout, stderr } = await berth(['check', '--config', file])

    expect([code, stdout]).toEqual([0, expect.stringContaining('1 warning, no tests')])
    expect(stderr).toContain('warning: fallback[1].images[0]: the pattern is never used')
  })

  it('reports keys that an older version rejects, with --for-version', async () => {
    const file = configOf(`${rows}stuckPods: report\n`)
    const { code, stdout, stderr } = await berth(['check', file, '--for-version', '0.1.0'])

    expect(code).toBe(2)
    expect(stdout).toContain('1 error, 0 warnings')
    expect(stderr).toContain(':6:1: error: stuckPods: Berth 0.1.0 does not know this key; ')
    expect((await berth(['check', file])).code).toBe(0)
  })

  it('says that an older version accepts the config', async () => {
    const { code, stdout } = await berth(['check', configOf(rows), '--for-version', '0.1.0'])

    expect(code).toBe(0)
    expect(stdout).toContain('0 warnings, no tests, nothing that Berth 0.1.0 rejects\n')
  })

  it('takes the running version too, which rejects nothing, and names the versions that it knows', async () => {
    const file = configOf(`${rows}stuckPods: report\n`)
    const version = packageVersion()
    const running = await berth(['check', file, '--for-version', version])
    const unknown = await berth(['check', file, '--for-version', '9.0.0'])

    expect(running.code).toBe(0)
    expect(running.stdout).toContain(`nothing that Berth ${version} rejects`)
    expect(unknown.code).toBe(2)
    expect(unknown.stderr).toContain(`Allowed choices are 0.1.0, ${version}.`)
  })

  it('prints the errors for an older version with -o json', async () => {
    const file = configOf(`${rows}stuckPods: report\n`)
    const newer = await berth(['check', file, '--for-version', '0.1.0', '-o', 'json'])
    const older = await berth(['check', configOf(rows), '--for-version', '0.1.0', '-o', 'json'])

    expect([newer.code, older.code]).toEqual([2, 0])
    expect(JSON.parse(newer.stdout)).toMatchObject({ rows: 1, errors: [{ line: 6, column: 1 }] })
    expect(JSON.parse(older.stdout)).toMatchObject({ rows: 1, errors: [] })
  })

  it('rejects two configs, and manifests without policies', async () => {
    const two = await berth(['check', failing, '--config', failing])
    const manifests = await berth(['check', '-f', failing])

    expect([two.code, manifests.code]).toEqual([2, 2])
    expect(two.stderr).toContain('two configs')
    expect(manifests.stderr).toContain('name the config alone: berth check FILE')
  })

  it('exits with 2 for errors, and prints one line for each', async () => {
    const file = configOf('mode: dry\nfallbak: []\n')
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
    const file = configOf(
      `fallback: [{ name: a, images: [quay.io/nginx], try: ["docker.io/library/{path}"] }]\ntests: [{ image: "quay.io/nginx:1", ${expectation} }]\n`,
    )
    const { code, stderr } = await berth(['check', '--config', file])

    expect(code).toBe(1)
    expect(stderr).toContain(message)
  })

  it('decides each test for its namespace, labels and owners', async () => {
    const file = configOf(`registries: [{ host: anubis:32000, mirror: true }]
fallback:
  - name: databases
    when: { namespaces: ['db-*'], pods: { matchLabels: { app: db } }, owners: ['db.example/*'] }
    leave: true
  - { name: hub, images: ['docker.io/**'], try: ['anubis:32000/{path}'] }
tests:
  - { image: 'a:1', namespace: db-1, labels: { app: db }, owners: [db.example/Cluster], expect: 'a:1', row: databases }
  - { image: 'a:1', namespace: db-1, labels: { app: db }, expect: 'anubis:32000/library/a:1', row: hub }
  - { image: 'a:1', namespace: db-1, owners: [db.example/Cluster], expect: 'anubis:32000/library/a:1', row: hub }
  - { image: 'a:1', labels: { app: db }, owners: [db.example/Cluster], expect: 'anubis:32000/library/a:1', row: hub }
`)

    expect(await berth(['check', '--config', file])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('4 of 4 tests pass'),
    })
  })

  it('moves rows that only keep the name of an image to `leave`', async () => {
    const file = configOf("fallback: [{ name: a, images: [quay.io/**], try: ['{host}/{path}'] }]\n")
    const { code, stderr } = await berth(['check', '--config', file])

    expect(code).toBe(0)
    expect(stderr).toContain('write `leave: true` in place of `try`')
  })

  it('prints the errors as JSON', async () => {
    const file = configOf('mode: dry\n')
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

  it('prints the summary as JSON', async () => {
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

describe('berth check --tests', () => {
  it('prints each test, and the place of the failing one', async () => {
    const { code, stdout, stderr } = await berth(['check', '--tests', '--config', failing])

    expect(code).toBe(1)
    expect(stdout).toBe(`ok      nginx → anubis:32000/docker.io/library/nginx:latest
FAILED  quay.io/a/b → quay.io/a/b
${failing}: 1 row, 2 registries, 0 warnings, 1 of 2 tests pass
`)
    expect(stderr).toBe(
      `${failing}:8:5: test of quay.io/a/b: expected pull secrets creds, got none\n`,
    )
  })

  it('exits with 1 if the config has no tests', async () => {
    const file = configOf(rows)

    expect(await berth(['check', '--config', file])).toMatchObject({ code: 0 })
    expect(await berth(['check', '--tests', '--config', file])).toMatchObject({ code: 1 })
  })
})

const broken = configOf('fallback: [{ name: a, images: [docker.io/a/x], try: ["x/{pth},%"] }]\n')

describe('berth check -o github', () => {
  it('annotates the line of a failing test', async () => {
    const { code, stdout } = await berth(['check', '-o', 'github', '--config', failing])

    expect(code).toBe(1)
    expect(stdout).toBe(
      `::error file=${failing},line=8,col=5,title=berth config-test::test of quay.io/a/b: expected pull secrets creds, got none\n`,
    )
  })

  it('annotates an error, and escapes it as workflow commands require', async () => {
    const { code, stdout } = await berth(['check', '-o', 'github', '--config', broken])

    expect(code).toBe(2)
    expect(stdout).toMatch(
      /^::error file=[^:,]+,line=3,col=\d+,title=berth config-error::fallback\[0\]\.try\[0\]: unknown variable \{pth\}/,
    )
  })
})

describe('berth check -o sarif', () => {
  it.each([
    [failing, 1, 'config-test', 8],
    [broken, 2, 'config-error', 3],
  ])(
    'reports problems of %s with exit code %i, rule %s and line %i',
    async (file, want, rule, line) => {
      const { code, stdout } = await berth(['check', '-o', 'sarif', '--config', file])
      const log = JSON.parse(stdout) as {
        version: string
        runs: {
          tool: { driver: { name: string; rules: { id: string }[] } }
          results: { ruleId: string }[]
        }[]
      }

      expect(code).toBe(want)
      expect(log.version).toBe('2.1.0')
      expect(log.runs[0]?.tool.driver.rules.map(({ id }) => id)).toContain(rule)
      expect(log.runs[0]?.results).toMatchObject([
        {
          ruleId: rule,
          level: 'error',
          message: { text: expect.any(String) },
          locations: [
            { physicalLocation: { artifactLocation: { uri: file }, region: { startLine: line } } },
          ],
        },
      ])
    },
  )

  it('has no results for a valid config', async () => {
    const { code, stdout } = await berth(['check', '-o', 'sarif', '--config', configOf(rows)])

    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ runs: [{ results: [] }] })
  })
})

it('colours severities on terminals', async () => {
  const [stdout, stderr] = [terminal(), terminal()]
  const written: string[] = []
  for (const stream of [stdout, stderr]) stream.on('pipe', () => undefined)
  ;(stderr as unknown as NodeJS.ReadableStream).on('data', (chunk: Buffer) =>
    written.push(chunk.toString()),
  )
  const { signal } = new AbortController()

  await run(['check', '--config', failing], {
    stdout,
    stderr,
    stdin: Readable.from([]),
    env: {},
    signal,
  })

  expect(written.join('')).toContain('\u001B[31mtest\u001B[39m of quay.io/a/b')
})
