import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { createControllerAccount } from '../harness/controller.ts'
import { pushImage, pushIndex } from '../harness/images.ts'
import { apply, createNamespace, kubectlOk, remove, removeNamespaces } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { berthMain } from '../harness/paths.ts'
import { getPod, waitForPodRunning, podManifest, statefulSetManifest } from '../harness/pods.ts'
import { freePorts } from '../harness/ports.ts'
import { killProcess, type ProcessRecord, startProcess, stopProcess } from '../harness/processes.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { deleteDigest, digestOfTag } from '../harness/registry-client.ts'
import { waitFor } from '../harness/wait.ts'
import { startWebhook, type Webhook } from '../harness/webhook.ts'

/** `berth mirror` copies images to the mirror, `berth drift` compares them with upstream, and pods run from the mirror. */
const cluster = currentCluster()
const binary = cluster.pauseBinary
const directory = join(cluster.runDir, 'mirror-files')

describe('one image', () => {
  const namespace = 'mirror-identity'
  const requested = 'freeipa/freeipa-server:latest'
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
    webhook = await startWebhook({ name: 'mirror-freeipa', config: text, canary: requested })
    await kubectlOk(['create', 'namespace', namespace])
  })

  afterAll(async () => {
    await webhook?.stop()
    await removeNamespaces(namespace)
    removeNodeHost(cluster, 'localhost:5000')
    await Promise.all([mirror, quay].map((registry) => registry?.stop()))
  })

  test('mirror lists the tags that exist if upstream does not have the requested one', async () => {
    await pushUpstream('first')
    const { code, stdout } = await runBerth([
      'mirror',
      'quay.io/freeipa/freeipa-server:latest',
      pair[1] ?? '',
      '--config',
      config,
    ])

    expect(code).toBe(1)
    expect(stdout).toContain('existing tags: almalinux-9')
  })

  test('mirror copies the image, and a pod runs it from the mirror', async () => {
    const upstream = await pushUpstream('first')
    const { code } = await runBerth(['mirror', ...pair, '--config', config, '--audit-log', audit])
    // The absence of the image is cached for seconds; a reload starts with an empty cache.
    await webhook.reload(`${text}# filled\n`)
    await apply(
      statefulSetManifest({
        name: 'freeipa',
        namespace,
        container: 'freeipa-server',
        image: requested,
      }),
    )
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

  test('mirror and drift find nothing to do the second time', async () => {
    const { code, stdout } = await runBerth(['mirror', ...pair, '--config', config])

    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('current') as string,
    })
    expect((await runBerth(['drift', ...pair, '--config', config])).code).toBe(0)
  })

  test('drift --update --restart copies a moved tag and restarts the workload', async () => {
    const { digest } = await pushUpstream('second')
    const drift = await runBerth(['drift', ...pair, '--config', config, '--audit-log', audit])
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
    const updated = await runBerth(['drift', ...pair, ...args])
    const image = await waitFor('the new image in freeipa-0', async () => {
      const { spec } = await waitForPodRunning('freeipa-0', namespace)
      const [container] = spec.containers
      return container?.image.endsWith(digest) === true ? container.image : undefined
    })

    expect(drift).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('upstream-moved') as string,
    })
    expect(updated).toMatchObject({
      code: 0,
      stderr: expect.stringContaining(`restart StatefulSet ${namespace}/freeipa`) as string,
    })
    expect(image).toBe(`localhost:5000/freeipa-server:almalinux-9@${digest}`)
  })

  test('drift reports an unreachable upstream with exit code 3', async () => {
    await quay.stop()
    const { code, stdout } = await runBerth(['drift', ...pair, '--config', config])
    await quay.start()

    expect({ code, stdout }).toMatchObject({
      code: 3,
      stdout: expect.stringContaining('unreachable') as string,
    })
  })
})

describe('mirror --from-cluster', () => {
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
    await createNamespace(namespace)
    await apply(pods)
  })

  afterAll(async () => {
    await webhook?.stop()
    await removeNamespaces(namespace)
    await both?.stop()
  })

  test('fills an empty mirror, and the pods run without upstream', async () => {
    const before = await imagesRunning()
    const plan = await runBerth([
      'mirror',
      '--from-cluster',
      '-n',
      namespace,
      '--config',
      config,
      '--dry-run',
    ])
    const { code, stdout } = await runBerth([
      'mirror',
      '--from-cluster',
      '-n',
      namespace,
      '--config',
      config,
    ])
    await both.upstream.stop()
    for (const index of pods.keys()) await remove('pod', `pod-${index}`, namespace)
    // The absence of the image is cached for seconds; a reload starts with an empty cache.
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

  test('mirror --prune removes an old tag, and keeps what runs and what a rollback needs', async () => {
    const repository = 'team/pruned'
    const onMirror = (tag: string) => digestOfTag({ registry: both.mirror.url, repository }, tag)
    await both.upstream.start()
    for (const tag of ['old', '1', '2']) await both.push(both.upstream, repository, tag)
    const names = ['old', '1', '2'].map((tag) => `docker.io/${repository}:${tag}`)
    expect((await runBerth(['mirror', ...names, '--config', config])).code).toBe(0)
    const labels = { app: 'pruned' }
    const deploy = async (tag: string) => {
      const container = { name: 'main', image: `docker.io/${repository}:${tag}` }
      const template = {
        metadata: { labels },
        spec: { terminationGracePeriodSeconds: 1, containers: [container] },
      }
      await apply({
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'pruned', namespace },
        spec: { selector: { matchLabels: labels }, template },
      })
      await kubectlOk(['rollout', 'status', 'deployment/pruned', '-n', namespace])
    }
    await deploy('1')
    await deploy('2')
    const args = ['mirror', '--prune', `mirror.example/${repository}`, '--from-cluster']
    const all = [...args, '--older-than', '0d', '--config', config]
    const plan = await runBerth(all)
    const planned = await onMirror('old')
    const { code, stdout } = await runBerth([...all, '--yes'])

    expect(plan).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('1 tags to remove, 2 to keep') as string,
    })
    expect(planned).toBeDefined()
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(
        / 1 .*ReplicaSet running\/pruned-\w+ in \S+ needs it/,
      ) as string,
    })
    const left = await Promise.all(['old', '1', '2'].map(onMirror))
    expect(left.map((digest) => digest !== undefined)).toEqual([false, true, true])
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
  /** Returns the sum of a metric over the running replicas. */
  const metric = async (name: string) => {
    const texts = await Promise.all(
      metricsUrls.map(async (url) => (await fetch(`${url}/metrics`)).text()),
    )
    const lines = texts.flatMap((text) => text.split('\n'))
    return lines
      .filter((line) => line.startsWith(`${name} `))
      .reduce((sum, line) => sum + Number(line.slice(name.length)), 0)
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
    const kubeconfig = await createControllerAccount(namespace, [
      { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch'] },
    ])
    const ports = await freePorts(2, cluster.address)
    metricsUrls = ports.map((port) => `http://${cluster.address}:${port}`)
    for (const [index, port] of ports.entries()) {
      const args = ['--config', config, '--kubeconfig', kubeconfig, '--namespace', namespace]
      const more = ['--host', cluster.address, '--metrics-port', String(port)]
      controllers.push(
        await startProcess(cluster.runDir, {
          name: `berth-controller-${index}`,
          command: process.execPath,
          args: [berthMain, 'controller', ...args, ...more],
        }),
      )
    }
  })

  afterAll(async () => {
    await Promise.all(controllers.map((record) => stopProcess(cluster.runDir, record)))
    await removeNamespaces(namespace)
    await both?.stop()
  })

  test('copies the images of running pods once with two replicas', async () => {
    await apply(pods)
    await waitFor('both images on the mirror', async () => {
      const found = await Promise.all(images.map(onMirror))
      return found.every((digest) => digest !== undefined)
    })
    await waitFor('the metric', async () => (await metric('berth_mirror_images_present')) === 2)
    const puts = (await both.mirror.accessLog()).filter((line) =>
      /"PUT \/v2\/\S*\/manifests\//.test(line),
    )

    expect(puts).toHaveLength(images.length)
    expect(await metric('berth_mirror_copies_total')).toBe(images.length)
    expect(await metric('berth_controller_leader')).toBe(1)
    expect(await metric('berth_mirror_backlog')).toBe(0)
  })

  test('copies an image again that was deleted from the mirror when a new pod needs it', async () => {
    const [image = ''] = images
    const { upstream, mirror } = both
    const digest = await digestOfTag({ registry: upstream.url, repository: 'team/d' }, '1')
    await deleteDigest({ registry: mirror.url, repository: 'team/d' }, digest ?? '')
    const createdAt = Date.now()
    await apply(podManifest({ name: 'again', image, namespace }))

    await waitFor('the deleted image', async () => (await onMirror(image)) !== undefined)
    expect(await onMirror(image)).toBe(digest)
    console.log(`the image was on the mirror again after ${(Date.now() - createdAt) / 1000} s`)
  })

  test('counts an image that upstream lacks, and report --mirror lists it', async () => {
    await apply(podManifest({ name: 'gone', image: 'docker.io/team/gone:1', namespace }))
    await waitFor(
      'the metric',
      async () => (await metric('berth_mirror_images{state="absent"}')) === 1,
    )
    const { stdout, code } = await runBerth([
      'report',
      '--mirror',
      '-n',
      namespace,
      '--config',
      config,
    ])

    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(
        /^absent +mirror\.example\/team\/gone:1 +docker\.io\/team\/gone:1 +1 /m,
      ) as string,
    })
  })

  test('continues with the other replica after the leader was killed', async () => {
    const isFirstLeader = (await (await fetch(`${metricsUrls[0]}/metrics`)).text())
      .split('\n')
      .includes('berth_controller_leader 1')
    const [leader, otherUrl] = isFirstLeader
      ? [controllers[0], metricsUrls[1]]
      : [controllers[1], metricsUrls[0]]
    metricsUrls = [otherUrl ?? '']
    if (leader !== undefined) await killProcess(leader)
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
    expect(await metric('berth_controller_leader')).toBe(1)
  })
})
