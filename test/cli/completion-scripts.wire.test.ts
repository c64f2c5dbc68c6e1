import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { completionScripts, type Shell } from '../../src/cli/completion-scripts.ts'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'berth-completion-'))
const bin = join(directory, 'bin')
mkdirSync(bin)
writeFileSync(join(bin, 'berth'), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`, {
  mode: 0o755,
})
for (const [shell, script] of Object.entries(completionScripts))
  writeFileSync(join(directory, `berth.${shell}`), script)
writeFileSync(join(directory, 'some-config.yaml'), '')

/** Programs that complete the line $1 with the script $2 and print the result. The zsh one waits for each word of $3. */
const drivers: Readonly<Record<Shell, string>> = {
  // Sources the script twice, as a shell does that reads its start-up file again.
  bash: `source "$2"; source "$2"
read -ra COMP_WORDS <<< "$1"
[[ $1 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
_berth
printf '%s\\n' "\${COMPREPLY[@]}"`,
  // An interactive shell in a pseudo-terminal: the line, two tabs, and the matches that it lists.
  zsh: `zmodload zsh/zpty
zpty -b shell zsh -f -i
zpty -w shell "PROMPT=REA''DY; autoload -Uz compinit; compinit -u -d $TMPDIR/zcompdump; source $2; LISTMAX=0"
zpty -r shell output '*READY*'
zpty -w -n shell "$1"$'\\t\\t'
output=
for word in \${=3}; do
  while [[ $output != *$word* ]]; do zpty -r shell line "*$word*" || break 2; output+=$line; done
done
print -rn -- "$output"
zpty -d shell`,
  fish: `source $argv[2]; complete --do-complete "$argv[1]"`,
}

/** How each shell runs a driver without the user's own configuration; bash and zsh take $0 first. */
const commandLines: Readonly<Record<Shell, readonly string[]>> = {
  bash: ['--norc', '-c', drivers.bash, 'driver'],
  zsh: ['-f', '-c', drivers.zsh, 'driver'],
  fish: ['--no-config', '-c', drivers.fish],
}

async function complete(shell: Shell, line: string, expected: string): Promise<string> {
  const path = `${bin}:${process.env['PATH']}`
  const env = { ...process.env, PATH: path, TMPDIR: directory, HOME: directory, TERM: 'dumb' }
  const given = [...commandLines[shell], line, join(directory, `berth.${shell}`), expected]
  const { stdout, stderr } = await promisify(execFile)(shell, given, {
    cwd: directory,
    env,
    timeout: 20_000,
  })
  expect(stderr).toBe('')
  return stdout
}

const isInstalled = (shell: string) =>
  (process.env['PATH'] ?? '').split(':').some((each) => existsSync(join(each, shell)))

const shells: readonly Shell[] = ['bash', 'zsh', 'fish']

describe.each(shells.filter(isInstalled))('in %s', (shell) => {
  it.each([
    ['a command', 'berth expl', ['explain']],
    ['an option', 'berth explain --no-p', ['--no-probe']],
    ['the values of an option', 'berth explain -o ', ['table', 'json', 'yaml']],
    ['the values of an argument', 'berth secrets ', ['check', 'plan', 'sync', 'rbac']],
  ])('completes %s', async (_, line, expected) => {
    const output = await complete(shell, line, expected.join(' '))

    for (const word of expected) expect(output).toContain(word)
  })
})

describe('in bash', () => {
  it('leaves the completion of file names to the shell', async () => {
    expect((await complete('bash', 'berth check --config ', '')).trim()).toBe('')
    expect(completionScripts.bash).toContain('complete -o bashdefault -o default')
  })
})

describe.each((['zsh', 'fish'] as const).filter(isInstalled))('in %s', (shell) => {
  it('completes file names after --config', async () => {
    const file = 'some-config.yaml'

    expect(await complete(shell, 'berth check --config some', file)).toContain(file)
  })
})
