import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'

const plugin = fileURLToPath(new URL('../../deploy/helm-plugin/', import.meta.url))
const script = join(plugin, 'post-render.sh')

describe('the Helm plugin', () => {
  it('is a post-renderer of Helm 4 that starts an executable script', () => {
    expect(parse(readFileSync(join(plugin, 'plugin.yaml'), 'utf8'))).toEqual({
      apiVersion: 'v1',
      type: 'postrenderer/v1',
      name: 'berth',
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      runtime: 'subprocess',
      runtimeConfig: { platformCommand: [{ command: '${HELM_PLUGIN_DIR}/post-render.sh' }] },
    })
    expect(statSync(script).mode & 0o111).toBe(0o111)
  })

  it('starts berth rewrite with the config file and further options', () => {
    const berth = join(mkdtempSync(join(tmpdir(), 'berth-test-')), 'berth')
    writeFileSync(berth, '#!/bin/sh\nprintf "%s\\n" "$@"\ncat\n')
    chmodSync(berth, 0o755)
    const run = (env: Readonly<Record<string, string>>, ...args: string[]) =>
      execFileSync(script, args, {
        env: { PATH: process.env['PATH'], BERTH: berth, ...env },
        input: 'a: b\n',
      })
        .toString()
        .split('\n')

    expect(run({})).toEqual(['rewrite', '--filename', '-', 'a: b', ''])
    expect(run({ BERTH_CONFIG: '/a b.yaml' }, '--no-probe')).toEqual([
      'rewrite',
      '--filename',
      '-',
      '--config',
      '/a b.yaml',
      '--no-probe',
      'a: b',
      '',
    ])
  })
})
