import { describe, expect, it } from 'vitest'
import { berth } from '../support/io.ts'

/** The words that complete a command line, whose last word may be empty. */
async function complete(...words: string[]): Promise<string[]> {
  const { stdout } = await berth(['complete', '--', ...words])
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t')[0] ?? '')
}

describe('berth complete', () => {
  it('offers the commands that help lists', async () => {
    const words = await complete('')

    expect(words).toEqual(expect.arrayContaining(['explain', 'nodes', 'completion', 'help']))
    expect(words).not.toContain('complete')
  })

  it.each([
    ['a command', ['expl'], ['explain']],
    ['a command after help', ['help', 'expl'], ['explain']],
    ['a subcommand', ['nodes', 'a'], ['apply']],
    ['an option', ['explain', 'nginx', '--no'], ['--no-probe']],
    ['an option of a subcommand', ['nodes', 'render', '--ai'], ['--air-gap']],
    ['the values of a short option', ['explain', '-o', ''], ['table', 'json', 'yaml']],
    ['the values of a long option', ['explain', '--output', 'j'], ['json']],
    ['the values after an equals sign', ['explain', '--output=y'], ['--output=yaml']],
    [
      'the values after an equals sign, as bash splits words',
      ['explain', '--output', '=', 'y'],
      ['yaml'],
    ],
    [
      'all values after an equals sign in bash',
      ['explain', '--output', '='],
      ['table', 'json', 'yaml'],
    ],
    ['the values of an argument', ['secrets', '-n', 'web', 's'], ['sync']],
    ['an argument after the value of an option', ['nodes', 'render', '--target', 'k'], ['k3s']],
  ])('completes %s', async (_, words, expected) => {
    expect(await complete(...words)).toEqual(expected)
  })

  it('offers nothing where a file or a name has to follow', async () => {
    expect(await complete('check', '--config', '')).toEqual([])
    expect(await complete('explain', 'ngi')).toEqual([])
    expect(await complete('explain', '--', '--no')).toEqual([])
    expect(await complete('frobnicate', '')).toEqual([])
  })

  it('adds the meaning of each word', async () => {
    const { stdout } = await berth(['complete', '--', 'ser'])

    expect(stdout).toBe('serve\tRun the webhook\n')
  })
})
