import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { check } from '../../../src/cli/commands/check.ts'
import { Readable } from 'node:stream'
import { berth, terminal } from '../../support/io.ts'

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

describe('check --tests', () => {
  it('shows each test, and where the failing one stands', async () => {
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

  it('wants some', async () => {
    const file = configOf(rows)

    expect(await berth(['check', '--config', file])).toMatchObject({ code: 0 })
    expect(await berth(['check', '--tests', '--config', file])).toMatchObject({ code: 1 })
  })
})

const broken = configOf('fallback: [{ name: a, images: [docker.io/a/x], try: ["x/{pth},%"] }]\n')

describe('check -o github', () => {
  it('annotates the line of a failing test', async () => {
    const { code, stdout } = await berth(['check', '-o', 'github', '--config', failing])

    expect(code).toBe(1)
    expect(stdout).toBe(
      `::error file=${failing},line=8,col=5,title=berth config-test::test of quay.io/a/b: expected pull secrets creds, got none\n`,
    )
  })

  it('annotates an error, escaped as a workflow command has to be', async () => {
    const { code, stdout } = await berth(['check', '-o', 'github', '--config', broken])

    expect(code).toBe(2)
    expect(stdout).toMatch(
      /^::error file=[^:,]+,line=3,col=\d+,title=berth config-error::fallback\[0\]\.try\[0\]: unknown variable \{pth\}/,
    )
  })
})

describe('check -o sarif', () => {
  it.each([
    [failing, 1, 'config-test', 8],
    [broken, 2, 'config-error', 3],
  ])('%s: exit code %i, rule %s, line %i', async (file, want, rule, line) => {
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
  })

  it('has no results for a config that is fine', async () => {
    const { code, stdout } = await berth(['check', '-o', 'sarif', '--config', configOf(rows)])

    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ runs: [{ results: [] }] })
  })
})

it('check colours its words on terminals', async () => {
  const [stdout, stderr] = [terminal(), terminal()]
  const written: string[] = []
  for (const stream of [stdout, stderr]) stream.on('pipe', () => undefined)
  ;(stderr as unknown as NodeJS.ReadableStream).on('data', (chunk: Buffer) =>
    written.push(chunk.toString()),
  )
  const { signal } = new AbortController()

  await check(['--config', failing], { stdout, stderr, stdin: Readable.from([]), env: {}, signal })

  expect(written.join('')).toContain('\u001B[31mtest\u001B[39m of quay.io/a/b')
})
