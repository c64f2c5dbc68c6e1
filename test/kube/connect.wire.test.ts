import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connect } from '../../src/kube/connect.ts'
import { type ScriptedApiServer, startScriptedApiServer } from '../support/scripted-api-server.ts'

let server: ScriptedApiServer
let directory: string

beforeEach(async () => {
  server = await startScriptedApiServer({ isHttps: true })
  directory = mkdtempSync(join(tmpdir(), 'berth-kubeconfig-'))
})

afterEach(async () => {
  rmSync(directory, { recursive: true })
  await server.close()
})

function write(name: string, text: string): string {
  const file = join(directory, name)
  writeFileSync(file, text)
  return file
}

const configMap = { apiVersion: 'v1', resource: 'configmaps', namespace: 'shop', name: 'one' }

describe('connect', () => {
  it('uses the server, CA and token of a kubeconfig', async () => {
    const kubeconfig = write('config', server.kubeconfig('from-the-file'))
    const cluster = await connect({ kubeconfig, env: {} })

    expect(await cluster.api.get(configMap)).toBeNull()
    expect(server.requests[0]?.headers.authorization).toBe('Bearer from-the-file')
    expect(cluster).toMatchObject({
      context: 'scripted',
      namespace: 'default',
      server: server.url,
    })
    await cluster.close()
  })

  it('reads a token file again after a 401', async () => {
    const tokenFile = write('token', 'expired')
    const config = JSON.parse(server.kubeconfig()) as { users: { user: object }[] }
    // As client-node describes the service account of a pod.
    const provider = { name: 'tokenFile', config: { tokenFile } }
    for (const each of config.users) each.user = { 'auth-provider': provider }
    const kubeconfig = write('config', JSON.stringify(config))
    const cluster = await connect({ kubeconfig, env: {} })
    server.script({}, (response) => {
      writeFileSync(tokenFile, 'fresh')
      response.writeHead(401).end('{}')
    })
    await cluster.api.get(configMap)

    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer expired',
      'Bearer fresh',
    ])
    await cluster.close()
  })

  it('finds the files in KUBECONFIG, and skips those that do not exist', async () => {
    const files = [join(directory, 'missing'), write('config', server.kubeconfig())]
    const cluster = await connect({ env: { KUBECONFIG: files.join(delimiter), HOME: directory } })

    expect(cluster.server).toBe(server.url)
    await cluster.close()
  })

  it("uses the pod's service account, and reads its token again after a 401", async () => {
    const { hostname, port } = new URL(server.url)
    write('token', 'expired\n')
    write('ca.crt', server.ca ?? '')
    write('namespace', 'berth-system')
    const env = {
      HOME: directory,
      KUBERNETES_SERVICE_HOST: hostname,
      KUBERNETES_SERVICE_PORT: port,
    }
    const cluster = await connect({ env, serviceAccountDirectory: directory })
    server.script({}, (response) => {
      write('token', 'fresh')
      response.writeHead(401).end('{}')
    })

    expect(await cluster.api.get(configMap)).toBeNull()
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer expired',
      'Bearer fresh',
    ])
    expect(cluster).toMatchObject({
      context: 'inClusterContext',
      namespace: 'berth-system',
      server: server.url,
    })
    await cluster.close()
  })

  it('connects in a pod without a token, whose requests then fail', async () => {
    const env = { HOME: directory, KUBERNETES_SERVICE_HOST: '10.0.0.1' }
    const cluster = await connect({ env, serviceAccountDirectory: directory })

    expect(cluster.namespace).toBe('default')
    await expect(cluster.api.get(configMap)).rejects.toMatchObject({
      code: 'kubeconfig-invalid',
      message: expect.stringContaining("cannot read the pod's service account") as unknown,
    })
    await cluster.close()
  })

  it.each<[string, () => Parameters<typeof connect>[0], RegExp]>([
    [
      'a file that is not a kubeconfig',
      () => ({ kubeconfig: write('config', ': not yaml: ['), env: {} }),
      /cannot read .*config as a kubeconfig; choose another one with --kubeconfig FILE/,
    ],
    [
      'an unknown context',
      () => ({ kubeconfig: write('config', server.kubeconfig()), context: 'other', env: {} }),
      /no cluster for context "other"; choose one of: scripted/,
    ],
    [
      'no kubeconfig at all',
      () => ({ env: { HOME: directory } }),
      /no kubeconfig found: KUBECONFIG is not set, .*config does not exist/,
    ],
    [
      'a variable that names files that do not exist',
      () => ({ env: { HOME: directory, KUBECONFIG: '/nonexistent/a:/nonexistent/b' } }),
      /no file of KUBECONFIG \(\/nonexistent\/a:\/nonexistent\/b\) exists, .*config does not exist/,
    ],
  ])('throws kubeconfig-invalid for %s', async (_, createOptions, message) => {
    const error: unknown = await connect(createOptions()).catch((thrown: unknown) => thrown)

    expect(error).toMatchObject({ code: 'kubeconfig-invalid' })
    expect(String(error)).toMatch(message)
  })
})
