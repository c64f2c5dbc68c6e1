import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { programName } from '../../src/cli/program-name.ts'

const script = fileURLToPath(new URL('../../bin/berth.js', import.meta.url))

describe('the name in the help', () => {
  it.each([
    [['/usr/bin/node', '/usr/lib/node_modules/berth/bin/berth.js'], 'berth'],
    [['node', '/root/.local/bin/kubectl-berth'], 'kubectl berth'],
    [['/root/.krew/bin/kubectl-berth', undefined], 'kubectl berth'],
    [[String.raw`C:\krew\bin\kubectl-berth.exe`], 'kubectl berth'],
    [['/usr/bin/not-kubectl-berth-either', '/src/main.ts'], 'berth'],
  ])('of %j is %s', (paths, name) => {
    expect(programName(paths)).toBe(name)
  })

  it('is that of the plugin in usage, hints and examples if kubectl starts it', () => {
    const directory = mkdtempSync(join(tmpdir(), 'berth-test-'))
    const plugin = join(directory, 'kubectl-berth')
    symlinkSync(script, plugin)
    const help = (...args: string[]) =>
      execFileSync(process.execPath, [plugin, ...args, '--help'], { encoding: 'utf8' })
    try {
      expect(help()).toMatch(/^Usage: kubectl berth <command>/)
      expect(help()).toContain('Run "kubectl berth <command> --help"')
      expect(help('rewrite')).toMatch(/^Usage: kubectl berth rewrite \[options\]/)
      expect(help('rewrite')).toContain('helm template ./chart | kubectl berth rewrite -f -')
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
