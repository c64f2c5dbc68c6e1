import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { currentCluster } from '../harness/cluster.ts'
import { run } from '../harness/command.ts'
import { startContainerd } from '../harness/containerd-process.ts'
import { buildContainerd, newestContainerd } from '../harness/containerd-program.ts'
import { pullThroughCri } from '../harness/cri-client.ts'
import { pushImage } from '../harness/images.ts'
import { berthMain } from '../harness/paths.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'

/** The files of `berth nodes` under the newest containerd, whose transfer service pulls the images of the kubelet. */
const cluster = currentCluster()
const directory = mkdtempSync(join(cluster.runDir, 'containerd-2-'))
const configFile = join(directory, 'berth.yaml')
const version = ['--target-version', newestContainerd]

let mirror: Registry
let hub: Registry
let program: string

beforeAll(async () => {
  mirror = await startRegistry(cluster, { name: 'containerd-2-anubis' })
  hub = await startRegistry(cluster, { name: 'containerd-2-hub' })
  program = await buildContainerd(newestContainerd)
  writeFileSync(
    configFile,
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: 'anubis:32000', endpoint: http://anubis:32000, nodeEndpoint: '${mirror.url}', mirror: true }
  - { host: docker.io, nodeEndpoint: '${hub.url}' }
fallback:
  - { name: docker-hub, images: ['docker.io/**'], try: ['anubis:32000/{host}/{path}', 'docker.io/{path}'] }
`,
  )
})

afterAll(async () => {
  await Promise.all([mirror, hub].map((registry) => registry?.stop()))
  rmSync(directory, { recursive: true, force: true })
})

function nodes(...args: string[]) {
  return run(process.execPath, [berthMain, 'nodes', ...args, '--config', configFile])
}

/** Renders the files into the root of a machine whose containerd has this config_path. */
async function machine(name: string, configPath: string): Promise<string> {
  const root = join(directory, name)
  const file = join(root, 'etc/containerd/config.toml')
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(
    file,
    `version = 3\n[plugins."io.containerd.cri.v1.images".registry]\nconfig_path = "${configPath}"\n`,
  )
  const out = ['--out', dirname(file)]
  const rendered = await nodes('render', '--target', 'containerd', ...version, ...out)
  expect(rendered).toMatchObject({ code: 0 })
  return root
}

/** Pushes an image to a registry, pulls `docker.io/NAME:1`, and returns what containerd answers. */
async function pull(root: string, name: string) {
  const containerd = startContainerd(program, root)
  try {
    await containerd.ready()
    return await pullThroughCri(containerd.socket, `docker.io/${name}:1`)
  } finally {
    await containerd.stop()
  }
}

function push(registry: Registry, repository: string) {
  const content = { binary: cluster.pauseBinary, marker: `${registry.name}/${repository}` }
  return pushImage({ registry: registry.url, repository, tag: '1', ...content })
}

/** Returns containerd's requests for manifests of a repository: method, path and status. */
async function requests(registry: Registry, repository: string): Promise<string[]> {
  const lines = await registry.accessLog()
  return lines.flatMap((line) => {
    const [, request = '', status = ''] =
      /"((?:GET|HEAD) \/v2\/[^ ?]+\/manifests\/[^ ?]+)[^"]*" (\d+) .*containerd\/v2/.exec(line) ??
      []
    return request.includes(`/v2/${repository}/`) ? [`${request} ${status}`] : []
  })
}

describe('the newest containerd with rendered files', () => {
  test('pulls from the mirror, and asks upstream for what the mirror does not have', async () => {
    const root = await machine('one', '/etc/containerd/certs.d')
    await push(mirror, 'docker.io/acme/on-mirror')
    await push(hub, 'acme/only-hub')

    expect(await pull(root, 'acme/on-mirror')).toBe('ok')
    expect((await requests(mirror, 'docker.io/acme/on-mirror'))[0]).toBe(
      'HEAD /v2/docker.io/acme/on-mirror/manifests/1 200',
    )
    expect(await requests(hub, 'acme/on-mirror')).toEqual([])

    expect(await pull(root, 'acme/only-hub')).toBe('ok')
    expect((await requests(mirror, 'docker.io/acme/only-hub'))[0]).toBe(
      'HEAD /v2/docker.io/acme/only-hub/manifests/1 404',
    )
    expect((await requests(hub, 'acme/only-hub'))[0]).toBe('HEAD /v2/acme/only-hub/manifests/1 200')

    const check = ['check', 'docker.io/acme/on-mirror:1', '--root', root, ...version]
    expect(await nodes(...check)).toMatchObject({ code: 0 })
  })

  test('asks no mirror with two directories in config_path, and check says so', async () => {
    const root = await machine('two', '/etc/containerd/certs.d:/etc/docker/certs.d')
    await push(mirror, 'docker.io/acme/ignored')

    expect(await pull(root, 'acme/ignored')).toBe('failed')
    expect(await requests(mirror, 'docker.io/acme/ignored')).toEqual([])

    const check = ['check', 'docker.io/acme/ignored:1', '--root', root, ...version, '-o', 'json']
    const { code, stdout } = await nodes(...check)
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({
      images: [{ node: ['https://registry-1.docker.io/v2/acme/ignored:1'] }],
      findings: [expect.stringContaining('takes it for one directory') as string],
    })
  })
})
