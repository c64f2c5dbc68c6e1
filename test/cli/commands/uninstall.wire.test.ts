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
  directory = mkdtempSync(join(tmpdir(), 'berth-uninstall-'))
  const file = join(directory, 'kubeconfig')
  writeFileSync(file, server.kubeconfig(), { mode: 0o600 })
  connection = ['--kubeconfig', file]
  const labels = { 'app.kubernetes.io/name': 'berth' }
  server.kube.put('clusterroles', { metadata: { name: 'berth-pull-secrets', labels } })
})

afterEach(async () => {
  await server.close()
  rmSync(directory, { recursive: true })
})

describe('berth uninstall', () => {
  it('lists what it would remove with --plan, and removes nothing', async () => {
    const { code, stdout } = await berth(['uninstall', '--plan', ...connection])

    expect(code).toBe(0)
    expect(stdout).toMatch(/delete +ClusterRole +- +berth-pull-secrets/)
    expect(server.kube.writes).toEqual([])
  })

  it('prints the plan as JSON', async () => {
    const { stdout } = await berth(['uninstall', '--plan', '-o', 'json', ...connection])

    expect(JSON.parse(stdout)).toEqual([
      {
        action: 'delete',
        kind: 'ClusterRole',
        namespace: '',
        name: 'berth-pull-secrets',
        reason: 'label app.kubernetes.io/name=berth',
      },
    ])
  })

  it('removes nothing without a confirmation', async () => {
    const { code, stderr } = await berth(['uninstall', ...connection])

    expect(code).toBe(2)
    expect(stderr).toContain('use --yes')
    expect(server.kube.writes).toEqual([])
  })

  it('removes what it has listed with --yes, and then finds nothing', async () => {
    const { code, stderr } = await berth(['uninstall', '--yes', ...connection])
    const again = await berth(['uninstall', '--yes', ...connection])

    expect(code).toBe(0)
    expect(stderr).toContain('done  delete clusterroles berth-pull-secrets')
    expect(again).toMatchObject({ code: 0, stdout: '' })
    expect(again.stderr).toContain('the cluster has nothing with the labels of Berth')
  })
})
