import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import type { KubeObject } from '../../../src/kube/object.ts'
import { berth } from '../../support/io.ts'
import {
  type ScriptedApiServer,
  startScriptedApiServer,
} from '../../support/scripted-api-server.ts'

let server: ScriptedApiServer
let directory: string
let base: string[]

beforeEach(async () => {
  server = await startScriptedApiServer({ isHttps: true })
  directory = mkdtempSync(join(tmpdir(), 'berth-install-'))
  const config = join(directory, 'berth.yaml')
  writeFileSync(
    config,
    '# yaml-language-server: $schema=/home/me/berth.schema.json\napiVersion: berth.dev/v1alpha1\nkind: BerthConfig\nregistries: [{ host: m.corp, mirror: true, credentials: { secret: creds } }] # a line that is longer than eighty characters\n',
  )
  writeFileSync(join(directory, 'kubeconfig'), server.kubeconfig(), { mode: 0o600 })
  base = ['install', '--image', 'm.corp/berth:1', '--config', config]
})

afterEach(() => server.close())

const connection = () => ['--kubeconfig', join(directory, 'kubeconfig')]

describe('berth install', () => {
  it('prints manifests that it could apply, and which Secrets it needs', async () => {
    const { code, stdout, stderr } = await berth(base)
    const kinds = parseAllDocuments(stdout).map((each) => (each.toJS() as KubeObject).kind)

    expect(code).toBe(0)
    expect(kinds.length).toBeGreaterThan(15)
    expect(stderr).toContain(
      'create the Secret creds in the namespace berth-system, if it does not exist',
    )
    // Without the path of the schema on this machine.
    expect(stdout).toContain('  berth.yaml: |\n    apiVersion: berth.dev/v1alpha1\n')
  })

  it('names a Secret once that it needs for two reasons', async () => {
    const { stderr } = await berth([...base, '--image-pull-secret', 'creds'])

    expect(stderr.match(/create the Secret creds/g)).toHaveLength(1)
  })

  it('applies the same objects with server-side apply, and waits until they are ready', async () => {
    const printed = parseAllDocuments((await berth(base)).stdout).length
    const installing = berth([...base, '--apply', '--yes', '--timeout', '30', ...connection()])
    await server.waitForRequests({ method: 'GET', path: '/deployments/berth-webhook' }, 2)
    for (const name of ['berth-webhook', 'berth-controller']) {
      const object = server.kube.get('deployments', name, 'berth-system')
      const status = { observedGeneration: 1, updatedReplicas: 2, availableReplicas: 2 }
      server.kube.put('deployments', { ...object, status } as unknown as KubeObject)
    }
    const { code, stdout, stderr } = await installing
    const patches = server.requests.filter(({ method }) => method === 'PATCH')

    expect(code).toBe(0)
    expect(stderr).toContain('Berth is ready')
    expect(stdout.match(/^applied {2}/gm)).toHaveLength(printed)
    expect(patches).toHaveLength(printed)
    for (const { headers, query } of patches) {
      expect(headers['content-type']).toBe('application/apply-patch+yaml')
      expect(query).toMatchObject({ force: 'true', fieldManager: 'berth' })
    }
  })

  it('exits with 1 if a Deployment does not become ready in time', async () => {
    const { code, stderr } = await berth([
      ...base,
      '--apply',
      '--yes',
      '--timeout',
      '1',
      ...connection(),
    ])

    expect(code).toBe(1)
    expect(stderr).toContain('deployments berth-system/berth-webhook is not ready')
  })

  it('applies nothing without confirmation', async () => {
    const { code, stderr } = await berth([...base, '--apply', ...connection()])

    expect(code).toBe(2)
    expect(stderr).toContain('use --yes')
    expect(server.kube.writes).toEqual([])
  })

  const clusterRole = (metadata: object) =>
    server.kube.put('clusterroles', {
      metadata: { name: 'berth-webhook-certificate', ...metadata },
    })
  const helm = {
    labels: { 'app.kubernetes.io/managed-by': 'Helm' },
    annotations: { 'meta.helm.sh/release-name': 'berth' },
  }
  const applyNow = (...more: readonly string[]) =>
    berth([...base, '--apply', '--yes', '--timeout', '1', ...connection(), ...more])

  it.each([
    [helm, 'the Helm release berth'],
    [{ labels: { 'app.kubernetes.io/managed-by': 'Helm' } }, 'Helm'],
    [{ labels: { 'kustomize.toolkit.fluxcd.io/name': 'apps' } }, 'the Flux Kustomization apps'],
    [{ annotations: { 'argocd.argoproj.io/tracking-id': 'b:x' } }, 'the Argo CD application b:x'],
  ])(
    'changes nothing if an object has %j, and names the object and the tool',
    async (metadata, tool) => {
      clusterRole(metadata)
      const { code, stderr } = await applyNow()

      expect(code).toBe(2)
      expect(stderr).toContain(`clusterroles berth-webhook-certificate: ${tool}`)
      expect(stderr).toContain('--take-ownership')
      expect(server.kube.writes).toEqual([])
    },
  )

  it('escapes what an object says about its manager', async () => {
    clusterRole({ annotations: { 'meta.helm.sh/release-name': 'a\u001B[31m\nforged' } })
    const outputs = [await applyNow(), await applyNow('--take-ownership')].map(
      ({ stderr }) => stderr,
    )

    for (const output of outputs) {
      expect(output).toContain('the Helm release a')
      expect(output).not.toContain('\u001B')
      expect(output).not.toMatch(/^forged/m)
    }
  })

  it('takes over objects of Helm with --take-ownership, and names them', async () => {
    clusterRole(helm)
    const { stdout, stderr } = await applyNow('--take-ownership')

    expect(stderr).toContain(
      'takes over clusterroles berth-webhook-certificate from the Helm release berth',
    )
    expect(stdout).toContain('applied  clusterroles berth-webhook-certificate')
  })

  it('names the objects that it takes over from no tool, and not those that it has applied before', async () => {
    clusterRole({})
    server.kube.put('namespaces', { metadata: { name: 'berth-system' } })
    const applied = [{ manager: 'berth', operation: 'Apply' }]
    const own = { name: 'berth-controller', namespace: 'berth-system', managedFields: applied }
    server.kube.put('deployments', { metadata: own })
    const { stderr } = await applyNow()

    expect(stderr.match(/takes over .*/g)).toEqual([
      'takes over clusterroles berth-webhook-certificate',
    ])
  })

  it('writes a kustomization, and overwrites only its own files', async () => {
    const out = join(directory, 'out')
    const first = await berth([...base, '--kustomize', out])
    const again = await berth([...base, '--kustomize', out])
    const refused = await berth([...base, '--kustomize', directory])

    expect([first.code, again.code, refused.code]).toEqual([0, 0, 2])
    expect(refused.stderr).toContain('contains files that berth install did not write')
    expect(await berth([...base, '--kustomize', join(directory, 'kubeconfig')])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('cannot be created: it already exists'),
    })
    expect(parse(readFileSync(join(out, 'kustomization.yaml'), 'utf8'))).toMatchObject({
      resources: ['objects.yaml'],
      configMapGenerator: [{ name: 'berth-config', files: ['berth.yaml'] }],
    })
    expect(readFileSync(join(out, 'objects.yaml'), 'utf8')).not.toContain(
      'name: berth-config\n  namespace',
    )
  })

  it('prints values for the chart', async () => {
    const { stdout } = await berth([...base, '--helm-values'])

    expect(parse(stdout)).toMatchObject({
      image: { repository: 'm.corp/berth', tag: '1' },
      registrySecrets: ['creds'],
      policy: { mirrors: ['m.corp'] },
      config: { kind: 'BerthConfig' },
    })
  })

  it.each([
    [['--component', 'none-such'], 'unknown component none-such; use one of'],
    [['--image', 'Bad Image'], '--image Bad Image'],
    [['--apply', '--helm-values'], 'cannot be used with option'],
  ])('rejects %j', async (more, message) => {
    const { code, stderr } = await berth([...base, ...more])

    expect(code).toBe(2)
    expect(stderr).toContain(message)
  })
})
