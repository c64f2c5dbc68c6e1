import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Webhook, startWebhook } from '../harness/webhook.ts'
import { currentCluster } from '../harness/cluster.ts'
import { type CommandResult, run } from '../harness/command.ts'
import { pushImage, pushIndex } from '../harness/images.ts'
import { apply, kubectlOk, remove } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { getPod, waitForPodRunning, podManifest } from '../harness/pods.ts'
import { freePorts } from '../harness/ports.ts'
import { killProcess, type ProcessRecord, startProcess, stopProcess } from '../harness/processes.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { digestOfTag } from '../harness/registry-client.ts'
import { waitFor } from '../harness/wait.ts'

/** Images are brought to the mirror by `berth mirror`, are told of by `berth drift`, and run from the mirror alone. */
const cluster = currentCluster()
const binary = cluster.pauseBinary
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const directory = join(cluster.runDir, 'mirror-files')

function berthCli(...args: string[]): Promise<CommandResult> {
  return run(process.execPath, [main, ...args, '--kubeconfig', cluster.kubeconfig])
}

describe('an image that Docker Hub does not give', () => {
  const namespace = 'identity'
  const asked = 'freeipa/freeipa-server:latest'
  const pair = [
    'quay.io/freeipa/freeipa-server:almalinux-9',
    'localhost:5000/freeipa-server:almalinux-9',
  ]
  const config = join(directory, 'freeipa.yaml')
  const audit = join(directory, 'audit.log')
  let mirror: Registry
  let quay: Registry
  let webhook: Webhook
  let text: string

  const pushUpstream = async (marker: string) => {
    const platforms = ['linux/amd64', 'linux/arm64']
    const repository = 'freeipa/freeipa-server'
    return pushIndex({
      registry: quay.url,
      repository,
      tag: 'almalinux-9',
      binary,
      marker,
      platforms,
    })
  }

  beforeAll(async () => {
    mkdirSync(directory, { recursive: true })
    mirror = await startRegistry(cluster, { name: 'mirror-node-local' })
    quay = await startRegistry(cluster, { name: 'mirror-quay' })
    setNodeHost(cluster, 'localhost:5000', [mirror.url])
    text = `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: 'localhost:5000', endpoint: '${mirror.url}', mirror: true }
  - { host: quay.io, endpoint: '${quay.url}' }
fallback:
  - name: freeipa
    images: [docker.io/freeipa/freeipa-server]
    tags: { latest: almalinux-9 }
    try: ['localhost:5000/{name}']
    otherwise: first
pin: { tags: ['*'] }
`
    writeFileSync(config, text)
    webhook = await startWebhook({ name: 'mirror-freeipa', config: text, canary: asked })
    await kubectlOk(['create', 'namespace', namespace])
  })

  afterAll(async () => {
    await webhook?.stop()
    await remove('namespace', namespace)
    removeNodeHost(cluster, 'localhost:5000')
    await Promise.all([mirror, quay].map((registry) => registry?.stop()))
  })

  test('a tag that upstream does not have brings the tags that it has', async () => {
    await pushUpstream('first')
    const { code, stdout } = await berthCli(
      'mirror',
      'quay.io/freeipa/freeipa-server:latest',
      pair[1] ?? '',
      '--config',
      config,
    )

    expect(code).toBe(1)
    expect(stdout).toContain('tags that are there: almalinux-9')
  })

  test('from `berth mirror` to a running pod', async () => {
    const upstream = await pushUpstream('first')
    const { code } = await berthCli('mirror', ...pair, '--config', config, '--audit-log', audit)
    // That the mirror has nothing is remembered for seconds; a new config starts with nothing remembered.
    await webhook.reload(`${text}# filled\n`)
    await apply({
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'freeipa', namespace },
      spec: {
        serviceName: 'freeipa',
        selector: { matchLabels: { app: 'freeipa' } },
        template: {
          metadata: { labels: { app: 'freeipa' } },
          spec: {
            terminationGracePeriodSeconds: 1,
            containers: [{ name: 'freeipa-server', image: asked }],
          },
        },
      },
    })
    await waitFor('freeipa-0', () => getPod('freeipa-0', namespace))
    const { spec } = await waitForPodRunning('freeipa-0', namespace)

    expect(code).toBe(0)
    expect(
      await digestOfTag({ registry: mirror.url, repository: 'freeipa-server' }, 'almalinux-9'),
    ).toBe(upstream.digest)
    expect(spec.containers[0]?.image).toBe(
      `localhost:5000/freeipa-server:almalinux-9@${upstream.digest}`,
    )
    expect(JSON.parse(readFileSync(audit, 'utf8'))).toMatchObject({
      status: 'copied',
      sourceDigest: upstream.digest,
      mirrorDigest: upstream.digest,
      platforms: ['linux/amd64', 'linux/arm64'],
    })
  })

  test('nothing to do is nothing done', async () => {
    const { code, stdout } = await berthCli('mirror', ...pair, '--config', config)

    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('current') as string,
    })
    expect((await berthCli('drift', ...pair, '--config', config)).code).toBe(0)
  })

  test('upstream moves: drift says so, and the update brings the new image to the pod', async () => {
    const { digest } = await pushUpstream('second')
    const told = await berthCli('drift', ...pair, '--config', config, '--audit-log', audit)
    const args = [
      '--config',
      config,
      '--audit-log',
      audit,
      '-n',
      namespace,
      '--update',
      '--restart',
    ]
    const updated = await berthCli('drift', ...pair, ...args)
    const image = await waitFor('the new image in freeipa-0', async () => {
      const { spec } = await waitForPodRunning('freeipa-0', namespace)
      const [container] = spec.containers
      return container?.image.endsWith(digest) === true ? container.image : undefined
    })

    expect(told).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('upstream-moved') as string,
    })
    expect(updated).toMatchObject({
      code: 0,
      stderr: expect.stringContaining(`restart StatefulSet ${namespace}/freeipa`) as string,
    })
    expect(image).toBe(`localhost:5000/freeipa-server:almalinux-9@${digest}`)
  })

  test('upstream that is away is neither the same nor missing', async () => {
    await quay.stop()
    const { code, stdout } = await berthCli('drift', ...pair, '--config', config)
    await quay.start()

    expect({ code, stdout }).toMatchObject({
      code: 3,
      stdout: expect.stringContaining('unreachable') as string,
    })
  })
})

describe('what a cluster runs', () => {
  const namespace = 'running'
  const images = ['docker.io/team/a:1', 'docker.io/team/b:1', 'docker.io/team/c:1']
  const config = join(directory, 'running.yaml')
  let both: MirrorAndUpstream
  let webhook: Webhook

  const pods = images.map((image, index) => ({
    ...podManifest({ name: `pod-${index}`, image, namespace }),
  }))

  const imagesRunning = async () => {
    const running = await Promise.all(
      pods.map((_, index) => waitForPodRunning(`pod-${index}`, namespace)),
    )
    return running.map(({ spec }) => spec.containers[0]?.image)
  }

  beforeAll(async () => {
    mkdirSync(directory, { recursive: true })
    both = await startMirrorAndUpstream('running')
    for (const image of images) {
      const [, repository = '', tag = ''] = /^docker\.io\/(.*):(.*)$/.exec(image) ?? []
      await pushImage({ registry: both.upstream.url, repository, tag, binary, marker: image })
    }
    writeFileSync(config, both.config)
    webhook = await startWebhook({
      name: 'mirror-running',
      config: both.config,
      canary: images[0] ?? '',
    })
    await kubectlOk(['create', 'namespace', namespace])
    await apply(pods)
  })

  afterAll(async () => {
    await webhook?.stop()
    await remove('namespace', namespace)
    await both?.stop()
  })

  test('fills an empty mirror, and runs from it alone once upstream is gone', async () => {
    const before = await imagesRunning()
    const plan = await berthCli(
      'mirror',
      '--from-cluster',
      '-n',
      namespace,
      '--config',
      config,
      '--dry-run',
    )
    const { code, stdout } = await berthCli(
      'mirror',
      '--from-cluster',
      '-n',
      namespace,
      '--config',
      config,
    )
    await both.upstream.stop()
    for (const index of pods.keys()) await remove('pod', `pod-${index}`, namespace)
    // That the mirror has nothing is remembered for seconds; a new config starts with nothing remembered.
    await webhook.reload(`${both.config}# filled\n`)
    await apply(pods)

    expect(before).toEqual(images)
    expect(plan.stdout.match(/planned/g)).toHaveLength(images.length)
    expect({ code, copied: stdout.match(/copied/g)?.length }).toEqual({
      code: 0,
      copied: images.length,
    })
    expect(await imagesRunning()).toEqual(
      images.map((image) => image.replace('docker.io', 'mirror.example')),
    )
  })
})

describe('the controller', () => {
  const namespace = 'in-the-background'
  const images = ['docker.io/team/d:1', 'docker.io/team/e:1']
  const config = join(directory, 'controller.yaml')
  let both: MirrorAndUpstream
  const controllers: ProcessRecord[] = []
  let metricsUrls: string[] = []

  const pods = images.map((image, index) => podManifest({ name: `pod-${index}`, image, namespace }))
  const onMirror = (image: string) => {
    const [, repository = '', tag = ''] = /^docker\.io\/(.*):(.*)$/.exec(image) ?? []
    return digestOfTag({ registry: both.mirror.url, repository }, tag)
  }
  const figure = async (name: string) => {
    const texts = await Promise.all(
      metricsUrls.map(async (url) => (await fetch(`${url}/metrics`)).text()),
    )
    const pattern = new RegExp(`^${name} (.+)$`, 'm')
    return texts.reduce((sum, text) => sum + Number(pattern.exec(text)?.[1] ?? 0), 0)
  }

  beforeAll(async () => {
    mkdirSync(directory, { recursive: true })
    both = await startMirrorAndUpstream('background')
    for (const image of images) {
      const [, repository = '', tag = ''] = /^docker\.io\/(.*):(.*)$/.exec(image) ?? []
      await pushImage({ registry: both.upstream.url, repository, tag, binary, marker: image })
    }
    writeFileSync(config, `${both.config}mirror: { running: true, namespaces: [${namespace}] }\n`)
    await kubectlOk(['create', 'namespace', namespace])
    const kubeconfig = await controllerAccount(namespace)
    const ports = await freePorts(2, cluster.address)
    metricsUrls = ports.map((port) => `http://${cluster.address}:${port}`)
    for (const [index, port] of ports.entries()) {
      const args = ['--config', config, '--kubeconfig', kubeconfig, '--namespace', namespace]
      const more = ['--host', cluster.address, '--metrics-port', String(port)]
      controllers.push(
        await startProcess(cluster.runDir, {
          name: `berth-controller-${index}`,
          command: process.execPath,
          args: [main, 'controller', ...args, ...more],
        }),
      )
    }
  })

  afterAll(async () => {
    await Promise.all(controllers.map((record) => stopProcess(cluster.runDir, record)))
    await remove('namespace', namespace)
    await both?.stop()
  })

  test('two replicas bring what pods run to the mirror, each image once', async () => {
    await apply(pods)
    await waitFor('both images on the mirror', async () => {
      const found = await Promise.all(images.map(onMirror))
      return found.every((digest) => digest !== undefined)
    })
    await waitFor('the figures', async () => (await figure('berth_mirror_images_present')) === 2)
    const puts = (await both.mirror.accessLog()).filter((line) =>
      /"PUT \/v2\/\S*\/manifests\//.test(line),
    )

    expect(puts).toHaveLength(images.length)
    expect(await figure('berth_mirror_copies_total')).toBe(images.length)
    expect(await figure('berth_controller_leader')).toBe(1)
    expect(await figure('berth_mirror_backlog')).toBe(0)
  })

  test('the other replica goes on where the first one died', async () => {
    const leading = (await fetch(`${metricsUrls[0]}/metrics`).then((answer) => answer.text()))
      .split('\n')
      .includes('berth_controller_leader 1')
    const [dead, url] = leading
      ? [controllers[0], metricsUrls[1]]
      : [controllers[1], metricsUrls[0]]
    metricsUrls = [url ?? '']
    if (dead !== undefined) await killProcess(dead)
    const late = {
      registry: both.upstream.url,
      repository: 'team/late',
      tag: '1',
      binary,
      marker: 'late',
    }
    const digest = await pushImage(late)
    await apply(podManifest({ name: 'late', image: 'docker.io/team/late:1', namespace }))

    await waitFor(
      'the late image',
      async () => (await onMirror('docker.io/team/late:1')) === digest,
    )
    expect(await figure('berth_controller_leader')).toBe(1)
  })
})

/** A kubeconfig for an account that may see the pods of one namespace, and take the lease in it. */
async function controllerAccount(namespace: string): Promise<string> {
  const name = 'berth-controller'
  const metadata = { name, namespace }
  await apply([
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata,
      rules: [
        { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch'] },
        {
          apiGroups: ['coordination.k8s.io'],
          resources: ['leases'],
          verbs: ['get', 'create', 'update'],
        },
      ],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
      subjects: [{ kind: 'ServiceAccount', name, namespace }],
    },
  ])
  const token = (await kubectlOk(['create', 'token', name, '-n', namespace])).trim()
  const admin = JSON.parse(
    await kubectlOk(['config', 'view', '--raw', '--flatten', '--output=json']),
  ) as { clusters: [{ name: string }] }
  const file = join(directory, 'controller-kubeconfig.json')
  const contexts = [{ name, context: { cluster: admin.clusters[0].name, user: name } }]
  const users = [{ name, user: { token } }]
  const text = JSON.stringify({ ...admin, users, contexts, 'current-context': name })
  writeFileSync(file, text, { mode: 0o600 })
  return file
}
