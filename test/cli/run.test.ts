import { readFileSync } from 'node:fs'
import { PassThrough, Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { berth } from '../support/io.ts'

const root = new URL('../../', import.meta.url)

describe('wrong usage', () => {
  it.each([
    [['frobnicate'], "unknown command 'frobnicate'"],
    [['frobnicate', '--help'], "unknown command 'frobnicate'"],
    [['constructor'], "unknown command 'constructor'"],
    [['explan'], '(Did you mean explain?)'],
    [['explain'], "missing required argument 'images'"],
    [['explain', 'nginx', '--colour'], "unknown option '--colour'"],
    [['explain', 'nginx', '--confg', 'x'], '(Did you mean --config?)'],
    [['explain', 'nginx', '-o', 'xml'], 'Allowed choices are table, json, yaml.'],
    [['explain', 'nginx', '-o'], "option '-o, --output <format>' argument missing"],
    [['explain', 'nginx', '-o', 'xml'], 'Run "berth explain --help" for usage.'],
    [['check', 'a.yaml', 'b.yaml'], 'got 2: a.yaml, b.yaml'],
    [['check', '--tests=yes'], "unknown option '--tests=yes'"],
    [['diff', 'old.yaml'], "missing required argument 'new'"],
    [['dev', '--port', 'x'], 'Give a whole number from 0 to 65535.'],
    [['dev', '--port', '65536'], 'Give a whole number from 0 to 65535.'],
    [['dev', '--once', '--register'], "option '--once' cannot be used with option '--register'"],
    [['serve', '--port', '99999'], 'Give a whole number from 0 to 65535.'],
    [
      ['serve', '--own-certificate', 'a', '--tls-key', 'b'],
      "cannot be used with option '--tls-key",
    ],
    [['certs', '--days', '0'], 'Give a whole number from 1 to 825.'],
    [['certs', '--url', 'http://x'], '--url http://x is not an https URL'],
    [['certs', '--url', 'https://u:p@h'], 'without user, query and fragment'],
    [['secrets', 'copy'], 'Allowed choices are check, plan, sync, rbac.'],
    [['nodes', 'frobnicate'], "unknown command 'frobnicate'"],
    [['nodes', 'render'], "required option '--target <name>' not specified"],
    [['completion', 'csh'], 'Allowed choices are bash, zsh, fish.'],
  ])('%j exits with 2, and says %s on standard error', async (argv, message) => {
    const outcome = await berth(argv)

    expect(outcome).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(message) })
    expect(outcome.stderr).toMatch(/^berth: usage: /)
  })

  it('escapes control characters in the message', async () => {
    const { stderr } = await berth(['explain', '--\u001B[2J'])

    expect(stderr).toContain(String.raw`unknown option '--\x1b[2J'`)
  })
})

describe('failures', () => {
  it('prints the code and the message, and exits as docs/errors.md says', async () => {
    expect(await berth(['explain', 'nginx', '--config', '/nowhere.yaml'])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining(
        'berth: config-unreadable: cannot read the config file /nowhere.yaml: it does not exist',
      ),
    })
  })
})

describe('a bug', () => {
  it('prints the stack to standard error and exits with 70', async () => {
    const stderr = new PassThrough()
    const stdout = Object.assign(new PassThrough(), {
      write: () => {
        throw new TypeError('unexpected\u001B[2J')
      },
    })
    const { signal } = new AbortController()
    const io = { stdout, stderr, stdin: Readable.from([]), env: {}, signal }

    const code = await run(['version'], io)

    expect(code).toBe(70)
    expect(String(stderr.read())).toMatch(
      /^berth: a bug in Berth: TypeError: unexpected\\x1b\[2J\n {4}at /,
    )
  })
})

describe('help', () => {
  it.each([[['help']], [['--help']], [['-h']]])('%j prints all commands', async (argv) => {
    const { code, stdout, stderr } = await berth(argv)

    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toContain('Usage: berth <command> [options]')
  })

  it('goes to standard error, with exit code 2, if there is no command', async () => {
    expect(await berth([])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('Usage: berth'),
    })
  })

  it.each([['explain'], ['nodes'], ['nodes detect']])(
    'prints the options of %s after help, before --help and -h',
    async (path) => {
      const words = path.split(' ')
      const { code, stdout } = await berth([...words, '--help'])

      expect(code).toBe(0)
      expect(stdout).toContain(`Usage: berth ${path} [options]`)
      expect(await berth(['help', ...words])).toMatchObject({ code, stdout })
      expect(await berth([...words, '-h'])).toMatchObject({ code, stdout })
    },
  )

  it('goes before missing and unknown arguments', async () => {
    expect(await berth(['diff', '--frobnicate', '--help'])).toMatchObject({ code: 0, stderr: '' })
  })
})

describe('the version', () => {
  it.each([['-v'], ['--version'], ['version']])('is printed by %s', async (argument) => {
    const { version } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
      version: string
    }

    expect(await berth([argument])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
  })
})
