import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseAllDocuments, stringify } from 'yaml'
import { fileURLToPath } from 'node:url'
import { berthImage } from '../harness/berth-image.ts'
import { type ClusterNode, currentCluster } from '../harness/cluster.ts'
import { run } from '../harness/command.ts'
import { pushImage } from '../harness/images.ts'
import { apply, kubectlOk, remove } from '../harness/kubectl.ts'
import { removeNodeHost } from '../harness/node-hosts.ts'
import { freePort } from '../harness/ports.ts'
import { exitReason, startProcess, stopProcess } from '../harness/processes.ts'
import { waitFor } from '../harness/wait.ts'
import { podManifest, waitForPullFailure, waitForPodRunning } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'

/** The table without a webhook: `berth nodes` writes files that containerd on the node reads. */
const cluster = currentCluster()
const [node] = cluster.nodes as [ClusterNode]
const berth = fileURLToPath(new URL('../../bin/berth.js', import.meta.url))
const pods: string[] = []
const directory = mkdtempSync(join(cluster.runDir, 'nodes-'))
const configFile = join(directory, 'berth.yaml')

let mirror: Registry
let ghcr: Registry
let hub: Registry

beforeAll(async () => {
  mirror = await startRegistry(cluster, { name: 'nodes-anubis' })
  ghcr = await startRegistry(cluster, { name: 'nodes-ghcr' })
  hub = await startRegistry(cluster, { name: 'nodes-hub' })
})

afterAll(async () => {
  await Promise.all(pods.map((name) => remove('pod', name)))
  for (const host of ['anubis:32000', 'ghcr.io', 'docker.io']) removeNodeHost(cluster, host)
  await Promise.all([mirror, ghcr, hub].map((registry) => registry?.stop()))
  rmSync(directory, { recursive: true, force: true })
})

/** Returns the config of the documentation with a layout on the mirror: upstreams apart, or flat. */
function config(layout: '{host}/{path}' | '{path}'): string {
  return `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: 'anubis:32000', endpoint: http://anubis:32000, nodeEndpoint: '${mirror.url}', mirror: true }
  - { host: ghcr.io, nodeEndpoint: '${ghcr.url}' }
  - { host: docker.io, nodeEndpoint: '${hub.url}' }
fallback:
  - name: local-builds
    images: ['anubis:32000/**']
    try: ['anubis:32000/{path}', 'ghcr.io/your-org/{path}', 'docker.io/{path}']
  - name: docker-hub
    images: ['docker.io/**']
    try: ['anubis:32000/${layout}', 'docker.io/{path}']
  - name: ghcr
    images: ['ghcr.io/**']
    try: ['anubis:32000/${layout}', 'ghcr.io/{path}']
`
}

async function nodes(verb: string, ...args: string[]) {
  return run(process.execPath, [berth, 'nodes', verb, '--config', configFile, ...args])
}

async function renderToNode(layout: '{host}/{path}' | '{path}', ...options: string[]) {
  writeFileSync(configFile, config(layout))
  for (const { certsDir } of cluster.nodes) {
    const out = ['--out', dirname(certsDir)]
    const outcome = await nodes('render', '--target', 'containerd', ...out, ...options)
    expect(outcome).toMatchObject({ code: 0 })
  }
}

function push(to: Registry, repository: string, marker = `${to.name}/${repository}`) {
  const content = { binary: cluster.pauseBinary, marker }
  return pushImage({ registry: to.url, repository, tag: '1', ...content })
}

async function runPod(name: string, image: string): Promise<string> {
  pods.push(name)
  await apply(podManifest({ name, image }))
  return (await waitForPodRunning(name)).status.containerStatuses?.[0]?.imageID ?? ''
}

/** Returns containerd's requests for a repository: method, path without the query, and status. */
async function requests(registry: Registry, repository: string): Promise<string[]> {
  const lines = await registry.accessLog()
  return lines.flatMap((line) => {
    const [, request = '', status = ''] =
      /"((?:GET|HEAD) \/v2\/[^ ?]+)[^"]*" (\d+) .*containerd/.exec(line) ?? []
    return request.includes(`/v2/${repository}/`) ? [`${request} ${status}`] : []
  })
}

describe('a pod without a webhook', () => {
  test('runs from the mirror without a request to upstream', async () => {
    await renderToNode('{host}/{path}')
    const digest = await push(mirror, 'docker.io/library/on-mirror')
    await push(hub, 'library/on-mirror')

    expect(await runPod('on-mirror', 'on-mirror:1')).toContain(digest)
    expect((await requests(mirror, 'docker.io/library/on-mirror'))[0]).toBe(
      'HEAD /v2/docker.io/library/on-mirror/manifests/1 200',
    )
    expect(await requests(hub, 'library/on-mirror')).toEqual([])
  })

  test('runs from upstream if the mirror does not have the image', async () => {
    await renderToNode('{host}/{path}')
    const digest = await push(ghcr, 'acme/only-ghcr')

    expect(await runPod('only-ghcr', 'ghcr.io/acme/only-ghcr:1')).toContain(digest)
    expect((await requests(mirror, 'ghcr.io/acme/only-ghcr'))[0]).toBe(
      'HEAD /v2/ghcr.io/acme/only-ghcr/manifests/1 404',
    )
    expect((await requests(ghcr, 'acme/only-ghcr'))[0]).toBe(
      'HEAD /v2/acme/only-ghcr/manifests/1 200',
    )
    expect(await requests(hub, 'acme/only-ghcr')).toEqual([])
  })

  test('runs from upstream if the mirror is stopped', async () => {
    await renderToNode('{host}/{path}')
    await push(mirror, 'docker.io/library/stopped')
    const digest = await push(hub, 'library/stopped', 'upstream')
    await mirror.stop()
    const imageId = await runPod('stopped', 'stopped:1')
    await mirror.start()

    expect(imageId).toContain(digest)
    expect(await requests(mirror, 'docker.io/library/stopped')).toEqual([])
    expect((await requests(hub, 'library/stopped'))[0]).toBe(
      'HEAD /v2/library/stopped/manifests/1 200',
    )
  })

  test('runs an image that names the mirror, and never an alternate', async () => {
    await renderToNode('{host}/{path}')
    await push(mirror, 'ushadow-backend')
    await push(ghcr, 'your-org/alternate')
    await runPod('own-build', 'anubis:32000/ushadow-backend:1')
    pods.push('alternate')
    await apply(podManifest({ name: 'alternate', image: 'anubis:32000/alternate:1' }))

    expect(await waitForPullFailure('alternate')).toContain('not found')
    expect((await requests(mirror, 'ushadow-backend')).length).toBeGreaterThan(0)
    expect(await requests(ghcr, 'your-org/alternate')).toEqual([])
    expect(await requests(hub, 'alternate')).toEqual([])
  })

  test('runs from a mirror with the flat layout', async () => {
    await renderToNode('{path}')
    const digest = await push(mirror, 'library/flat')

    expect(await runPod('flat', 'flat:1')).toContain(digest)
    expect(await requests(hub, 'library/flat')).toEqual([])
  })

  test('pulls nothing from upstream with --air-gap', async () => {
    await renderToNode('{host}/{path}', '--air-gap')
    await push(hub, 'library/outside')
    const digest = await push(mirror, 'docker.io/library/inside')
    pods.push('outside')
    await apply(podManifest({ name: 'outside', image: 'outside:1' }))

    expect(await waitForPullFailure('outside')).toContain('not found')
    expect(await runPod('inside', 'inside:1')).toContain(digest)
    expect(await requests(hub, 'library/outside')).toEqual([])
    expect(await requests(hub, 'library/inside')).toEqual([])
  })
})

/** With the local provider, nodes are processes of this machine, so the host paths lead to the directories of the run. */
function onTheNodes(manifest: string): string {
  if (cluster.provider === 'kind') return manifest
  const documents = parseAllDocuments(manifest).map(
    (each) => each.toJS() as Record<string, unknown>,
  )
  const set = documents.find(({ kind }) => kind === 'DaemonSet') as {
    spec: { template: { spec: PodSpec } }
  }
  for (const { name, hostPath } of set.spec.template.spec.volumes) {
    if (hostPath !== undefined && name === 'files') hostPath.path = node.certsDir
    if (hostPath !== undefined && name === 'state') hostPath.path = node.stateDir
  }
  return documents.map((each) => stringify(each)).join('---\n')
}

type PodSpec = { volumes: { name: string; hostPath?: { path: string } }[] }

type Report = { node: string; changes: { file: string; what: string }[] }

describe('a DaemonSet', () => {
  const manifest = async (...options: string[]) => {
    const outcome = await nodes(
      'apply',
      '--manifest',
      '--target',
      'containerd',
      '--image',
      berthImage,
      '-n',
      'default',
      ...options,
    )
    expect(outcome).toMatchObject({ code: 0 })
    return onTheNodes(outcome.stdout)
  }
  const rolledOut = () =>
    kubectlOk(['rollout', 'status', 'daemonset/berth-nodes', '--timeout=300s'])
  const reports = async () => {
    const selector = ['-l', 'app.kubernetes.io/name=berth-nodes']
    const pods = await waitFor('one pod on each node', async () => {
      const names = await kubectlOk(['get', 'pods', ...selector, '-o', 'name'])
      const list = names.trim().split('\n')
      return list.length === cluster.nodes.length && list
    })
    // A container is ready when its process starts, which is before it has done anything.
    const found = await waitFor('a report of each pod', async () => {
      const logs = await Promise.all(pods.map((pod) => kubectlOk(['logs', pod])))
      return logs.map((log) => JSON.parse(log) as Report)
    })
    return found.sort((a, b) => (a.node < b.node ? -1 : 1))
  }

  test('applies the files on each node, reports the changes, and rolls them back', async () => {
    for (const host of ['anubis:32000', 'ghcr.io', 'docker.io']) removeNodeHost(cluster, host)
    writeFileSync(configFile, config('{host}/{path}'))
    const digest = await push(mirror, 'docker.io/library/by-daemon-set')
    await apply(await manifest())
    await rolledOut()

    expect(await reports()).toEqual(
      cluster.nodes.map(({ name }) =>
        expect.objectContaining({
          node: name,
          changes: ['anubis:32000', 'docker.io', 'ghcr.io'].map((host) =>
            expect.objectContaining({
              what: 'created',
              file: `/etc/containerd/certs.d/${host}/hosts.toml`,
            }),
          ),
        }),
      ),
    )
    expect(await runPod('by-daemon-set', 'by-daemon-set:1')).toContain(digest)

    await apply(await manifest('--rollback'))
    await rolledOut()

    for (const { changes } of await reports())
      expect(changes.map(({ what }) => what)).toEqual(['removed', 'removed', 'removed'])
    for (const { certsDir, stateDir } of cluster.nodes) {
      for (const host of ['anubis:32000', 'ghcr.io', 'docker.io'])
        expect(existsSync(join(certsDir, host))).toBe(false)
      expect(readdirSync(join(stateDir, 'nodes'))).toEqual([])
    }
    await remove('daemonset', 'berth-nodes')
    await remove('configmap', 'berth-nodes')
  })
})

describe('berth nodes detect --cluster', () => {
  test("reads the runtime from the node's status", async () => {
    const outcome = await run(process.execPath, [
      berth,
      'nodes',
      'detect',
      '--cluster',
      '--kubeconfig',
      cluster.kubeconfig,
      '-o',
      'json',
    ])

    expect(outcome).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(outcome.stdout)).toEqual(
      cluster.nodes.map(({ name }) =>
        expect.objectContaining({
          node: name,
          target: 'containerd',
          runtime: expect.stringMatching(/^containerd:/) as string,
        }),
      ),
    )
  })
})

describe('a pull-through cache with the rendered file', () => {
  test('serves images of upstream and rejects a push', async () => {
    writeFileSync(configFile, config('{host}/{path}'))
    const outcome = await nodes('render', '--target', 'registry-proxy', '--out', directory)
    expect(outcome).toMatchObject({ code: 0 })
    const digest = await push(hub, 'library/through')
    const port = await freePort(cluster.address)
    const record = await startProcess(cluster.runDir, {
      name: 'registry-nodes-proxy',
      command: 'docker-registry',
      args: ['serve', join(directory, 'docker.io.yml')],
      env: {
        REGISTRY_HTTP_ADDR: `${cluster.address}:${port}`,
        REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: join(directory, 'proxy'),
      },
    })
    const url = `http://${cluster.address}:${port}`
    await waitFor('the proxy', async () => (await fetch(`${url}/v2/`)).ok, {
      stopReason: exitReason(cluster.runDir, record),
    })
    const accept = 'application/vnd.oci.image.manifest.v1+json'
    const manifest = await fetch(`${url}/v2/library/through/manifests/1`, { headers: { accept } })
    const pushed = await fetch(`${url}/v2/library/mine/blobs/uploads/`, { method: 'POST' })
    await stopProcess(cluster.runDir, record)

    expect(manifest.headers.get('docker-content-digest')).toBe(digest)
    expect(pushed.status).toBe(405)
    expect(readFileSync(join(directory, 'docker.io.yml'), 'utf8')).toContain(hub.url)
  })
})
