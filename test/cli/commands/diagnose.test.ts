import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { berth } from '../../support/io.ts'

const missing =
  'Failed to pull image "r.example/a:1": rpc error: code = Unknown desc = Error response from daemon: manifest for r.example/a:1 not found: manifest unknown: manifest unknown'

describe('berth diagnose --message', () => {
  it('prints the cause, its certainty and the fix', async () => {
    const { code, stdout } = await berth(['diagnose', '--message', missing])

    expect(code).toBe(0)
    expect(stdout).toBe(
      [
        'tag-missing  likely  D37',
        '  the repository exists, but the tag or digest does not',
        '  fix   use a tag that exists, or push this one',
        '  says  manifest for r.example/a:1 not found: manifest unknown: manifest unknown',
        '',
      ].join('\n'),
    )
  })

  it('prints an array with one element for each line of standard input with -o json', async () => {
    const lines = [missing, '', 'toomanyrequests: retry-after: 1ms', 'pull access denied']
    const { code, stdout } = await berth(
      ['diagnose', '--message', '-', '-o', 'json'],
      `${lines.join('\r\n')}\r\n`,
    )

    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toEqual([
      {
        message: missing,
        rule: 'D37',
        cause: 'tag-missing',
        certainty: 'likely',
        leaves: ['manifest for r.example/a:1 not found: manifest unknown: manifest unknown'],
      },
      { message: '', rule: 'D99', cause: 'unknown', certainty: 'unknown', leaves: [''] },
      {
        message: 'toomanyrequests: retry-after: 1ms',
        rule: 'D20',
        cause: 'rate-limited',
        certainty: 'likely',
        leaves: ['toomanyrequests: retry-after: 1ms'],
      },
      {
        message: 'pull access denied',
        rule: 'D28',
        cause: 'private-or-missing',
        certainty: 'ambiguous',
        leaves: ['pull access denied'],
      },
    ])
  })

  it('prints the same with -o yaml', async () => {
    const json = await berth(['diagnose', '--message', missing, '-o', 'json'])
    const yaml = await berth(['diagnose', '--message', missing, '-o', 'yaml'])

    expect(parse(yaml.stdout)).toEqual(JSON.parse(json.stdout))
  })

  it('only counts lines that report no failed pull or repeat one', async () => {
    const lines = ['Readiness probe failed: Get "http://10.0.0.1:80/": dial tcp 10.0.0.1:80: connect: connection refused', 'Back-off pulling image "r.example/a:1"', 'Error: ErrImagePull'] // prettier-ignore
    const only = await berth(['diagnose', '--message', '-'], lines.join('\n'))
    const probe = await berth(['diagnose', '--message', '-'], lines[0])
    const all = await berth(['diagnose', '--message', '-'], [...lines, missing].join('\n'))

    expect(only.code).toBe(1)
    expect(only.stdout).toBe(
      'lines that repeat a failure: 2\nlines that report no failed pull: 1\n',
    )
    expect([probe.code, probe.stdout.split('\n')[0]]).toEqual([0, 'no-pull-failure  likely  D97'])
    expect(all.code).toBe(0)
    expect(all.stdout).toMatch(
      /^tag-missing {2}likely {2}D37\n[^]*\n\nlines that repeat a failure: 2\n/,
    )
  })

  it('prints what docs/diagnose.md shows', async () => {
    const page = readFileSync(new URL('../../../docs/diagnose.md', import.meta.url), 'utf8')
    const [, message = '', shown] =
      /^\$ berth diagnose --message '([^']+)'\n([^]*?)```$/m.exec(page) ?? []

    expect((await berth(['diagnose', '--message', message])).stdout).toBe(shown)
  })

  it('rejects pods, because it connects to no cluster', async () => {
    const { code, stderr } = await berth(['diagnose', 'pod/web', '--message', missing])

    expect(code).toBe(2)
    expect(stderr).toContain('--message reads no cluster; leave pod/web out')
  })
})

describe('berth diagnose --fix', () => {
  it.each([
    [['--yes'], '--yes needs --fix'],
    [['--fix', '--secret', 'pull'], 'Write NAMESPACE/NAME.'],
    [['--fix', '--message', 'x'], "'--fix' cannot be used with option '--message <text>'"],
  ])('rejects %j', async (args, said) => {
    const { code, stderr } = await berth(['diagnose', ...args])

    expect(code).toBe(2)
    expect(stderr).toContain(said)
  })
})
