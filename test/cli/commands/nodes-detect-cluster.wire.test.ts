import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { berth } from '../../support/io.ts'
import {
  type ScriptedApiServer,
  startScriptedApiServer,
} from '../../support/scripted-api-server.ts'

let server: ScriptedApiServer
let directory: string
let connection: string[]

beforeEach(async () => {
  server = await startScriptedApiServer({ isHttps: true })
  directory = mkdtempSync(join(tmpdir(), 'berth-detect-'))
  const file = join(directory, 'kubeconfig')
  writeFileSync(file, server.kubeconfig(), { mode: 0o600 })
  connection = ['--cluster', '--kubeconfig', file]
})

afterEach(async () => {
  await server.close()
  rmSync(directory, { recursive: true })
})

function putNode(name: string, osImage: string, kubeletVersion: string): void {
  const nodeInfo = { osImage, kubeletVersion, containerRuntimeVersion: 'containerd://2.1.6' }
  const node = { metadata: { name }, status: { nodeInfo } }
  server.kube.put('nodes', node)
}

describe('berth nodes detect --cluster', () => {
  it('prints once for each kind of node how to configure it', async () => {
    putNode('a', 'Talos (v1.12.4)', 'v1.34.4')
    putNode('b', 'Talos (v1.12.4)', 'v1.34.4')
    putNode('c', 'Ubuntu 24.04.3 LTS', 'v1.34.1')
    const { code, stdout, stderr } = await berth(['nodes', 'detect', ...connection])

    expect(code).toBe(0)
    expect(stdout).toMatch(/^a +talos +containerd:\/\/2\.1\.6 +v1\.34\.4 +Talos \(v1\.12\.4\)$/m)
    expect(stdout).toMatch(/^c +containerd /m)
    expect(stderr).toBe(
      'berth: a and 1 more: berth nodes apply cannot configure this node; Talos has no files to edit: apply `berth nodes render --target talos` with `talosctl patch machineconfig`\n',
    )
  })

  it('exits with 1 for a node without a target, and prints how to configure it', async () => {
    putNode('a', 'Debian GNU/Linux 13 (trixie)', 'v1.34.1+k0s')
    const { code, stdout } = await berth(['nodes', 'detect', ...connection, '-o', 'json'])

    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toEqual([
      {
        node: 'a',
        target: null,
        runtime: 'containerd://2.1.6',
        kubelet: 'v1.34.1+k0s',
        os: 'Debian GNU/Linux 13 (trixie)',
        instead: expect.stringContaining('/etc/k0s/containerd.d') as string,
      },
    ])
  })
})
