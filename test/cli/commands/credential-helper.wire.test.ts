import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { KubeObject } from '../../../src/kube/object.ts'
import { berth } from '../../support/io.ts'
import { type FakeRegistry, startFakeRegistry } from '../../support/registry.ts'
import {
  type ScriptedApiServer,
  startScriptedApiServer,
} from '../../support/scripted-api-server.ts'

let server: ScriptedApiServer
let registry: FakeRegistry
let directory: string
let options: string[]

beforeEach(async () => {
  server = await startScriptedApiServer({ isHttps: true })
  registry = await startFakeRegistry()
  directory = mkdtempSync(join(tmpdir(), 'berth-helper-'))
  const [kubeconfig, docker, config] = ['kubeconfig', 'config.json', 'berth.yaml'].map((name) =>
    join(directory, name),
  ) as [string, string, string]
  writeFileSync(kubeconfig, server.kubeconfig(), { mode: 0o600 })
  writeFileSync(docker, JSON.stringify({ auths: {}, credsStore: 'test' }))
  const entry = {
    host: registry.host,
    endpoint: registry.url,
    credentials: { dockerConfig: docker },
    allowPlainHttpAuth: true,
  }
  const row = {
    name: 'own',
    images: [`${registry.host}/**`],
    try: [`${registry.host}/mirror/{path}`, `${registry.host}/{path}`],
  }
  const kind = { apiVersion: 'berth.dev/v1alpha1', kind: 'BerthConfig' }
  writeFileSync(config, JSON.stringify({ ...kind, registries: [entry], fallback: [row] }))
  options = ['--kubeconfig', kubeconfig, '--config', config, '-n', 'shop']
})

afterEach(async () => {
  await Promise.all([server.close(), registry.close()])
  rmSync(directory, { recursive: true })
})

function putPod(status: object): void {
  const image = `${registry.host}/team/app:1`
  server.kube.put('pods', {
    metadata: { name: 'one', namespace: 'shop', uid: 'one' },
    spec: { containers: [{ name: 'web', image }] },
    status: { phase: 'Running', containerStatuses: [{ name: 'web', image, ...status }] },
  } as unknown as KubeObject)
}

const isRunning = { imageID: 'sha256:0', state: { running: {} } }
const isWaiting = {
  imageID: '',
  state: {
    waiting: {
      reason: 'ErrImagePull',
      message: 'failed to authorize: failed to fetch anonymous token: 401 Unauthorized',
    },
  },
}

it.each([
  [['report', '--at-risk'], isRunning],
  [['report', '--unprocessed'], isRunning],
  [['diagnose'], isWaiting],
])(
  'berth %j runs the credential helper, and names one that fails once',
  async (command, status) => {
    putPod(status)
    const { stderr } = await berth([...command, ...options])

    expect(stderr.split('docker-credential-test is not in PATH')).toHaveLength(2)
  },
)
