import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Webhook, startWebhook } from '../harness/webhook.ts'
import { currentCluster } from '../harness/cluster.ts'
import { type FaultyRegistry, startFaultyRegistry } from '../harness/faulty-registry.ts'
import { pushImage } from '../harness/images.ts'
import { apply, createNamespace, kubectl, kubectlOk, removeNamespaces } from '../harness/kubectl.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { type Pod, podManifest, waitForPodRunning } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { waitFor } from '../harness/wait.ts'

/** A mirror is tried before ghcr.io and Docker Hub. Whenever the mirror fails, the pod runs from the next registry. */
const cluster = currentCluster()
const namespace = 'mirror-fallback'

let mirror: Registry
let ghcr: Registry
let hub: Registry
let faulty: FaultyRegistry
let webhook: Webhook

beforeAll(async () => {
  mirror = await startRegistry(cluster, { name: 'anubis' })
  ghcr = await startRegistry(cluster, { name: 'ghcr' })
  hub = await startRegistry(cluster, { name: 'hub' })
  faulty = await startFaultyRegistry(cluster.address)
  setNodeHost(cluster, 'anubis:32000', [mirror.url])
  setNodeHost(cluster, 'ghcr.io', [ghcr.url])
  setNodeHost(cluster, 'docker.io', [hub.url])
  await push(mirror, 'ushadow-backend', 'latest')
  await push(mirror, 'library/nginx', '1.27')
  await push(ghcr, 'your-org/only-ghcr', 'latest')
  await push(hub, 'library/only-hub', '1')
  await push(hub, 'library/other-architecture', '1')
  await push(mirror, 'library/other-architecture', '1', 'linux/s390x')
  await push(hub, 'library/nginx', '1.27')
  webhook = await startWebhook({ name: 'anubis', config: config(mirror.url), canary: 'nginx:1.27' })
  await createNamespace(namespace)
})

afterAll(async () => {
  await webhook?.stop()
  await removeNamespaces(namespace)
  for (const host of ['anubis:32000', 'ghcr.io', 'docker.io']) removeNodeHost(cluster, host)
  await Promise.all([mirror, ghcr, hub].map((registry) => registry?.stop()))
  await faulty?.close()
})

function config(mirrorUrl: string): string {
  return `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - { host: 'anubis:32000', endpoint: '${mirrorUrl}', mirror: true }
  - { host: ghcr.io, endpoint: '${ghcr.url}' }
  - { host: docker.io, endpoint: '${hub.url}' }
fallback:
  - name: local-builds
    images: ['anubis:32000/**']
    try: ['anubis:32000/{path}', 'ghcr.io/your-org/{path}', 'docker.io/{path}']
  - name: docker-hub
    images: ['docker.io/**']
    try: ['anubis:32000/{path}', 'docker.io/{path}']
  - name: ghcr
    images: ['ghcr.io/**']
    try: ['anubis:32000/{path}', 'ghcr.io/{path}']
pin: { tags: [latest] }
pullPolicy: [{ images: ['anubis:32000/**'], set: IfNotPresent }]
`
}

const digests = new Map<string, string>()

async function push(
  to: Registry,
  repository: string,
  tag: string,
  platform?: string,
): Promise<void> {
  const marker = `${to.name}/${repository}:${tag}`
  const image = { registry: to.url, repository, tag, binary: cluster.pauseBinary, marker }
  digests.set(marker, await pushImage(platform === undefined ? image : { ...image, platform }))
}

function digestOf(marker: string): string {
  const digest = digests.get(marker)
  if (digest === undefined) throw new Error(`${marker} was not pushed`)
  return digest
}

const template = (app: string, image: string, restartPolicy: 'Always' | 'Never' = 'Always') => ({
  metadata: { labels: { app } },
  spec: { terminationGracePeriodSeconds: 1, restartPolicy, containers: [{ name: 'main', image }] },
})

async function runningPodOf(app: string): Promise<Pod> {
  const name = await waitFor(`a pod of ${app}`, async () => {
    const names = await kubectlOk([
      'get',
      'pods',
      '-n',
      namespace,
      '-l',
      `app=${app}`,
      '-o',
      'jsonpath={.items[*].metadata.name}',
    ])
    return names.split(' ').find((each) => each !== '')
  })
  return waitForPodRunning(name, namespace)
}

function whyOf(pod: Pod): string {
  const [record] = JSON.parse(pod.metadata.annotations?.['berth.dev/images'] ?? '[]') as {
    why: string
  }[]
  return record?.why ?? ''
}

describe('a pod that names the architecture of its node', () => {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch
  const podFor = (name: string, image: string) => {
    const pod = podManifest({ name, namespace, image })
    return {
      ...pod,
      spec: { ...(pod['spec'] as object), nodeSelector: { 'kubernetes.io/arch': architecture } },
    }
  }

  test('runs from the next registry if the mirror has the image for another one only', async () => {
    await apply(podFor('other-architecture', 'other-architecture:1'))
    const pod = await waitForPodRunning('other-architecture', namespace)

    expect(pod.spec.containers[0]?.image).toBe('other-architecture:1')
    expect(whyOf(pod)).toBe(
      `anubis:32000 absent (linux/${architecture} is not in it); the original on docker.io`,
    )
  })

  test('runs from the mirror if that has it', async () => {
    await apply(podFor('own-architecture', 'nginx:1.27'))
    const pod = await waitForPodRunning('own-architecture', namespace)

    expect(pod.spec.containers[0]?.image).toBe('anubis:32000/library/nginx:1.27')
  })
})

describe('workloads', () => {
  test('a Deployment runs from the mirror, with a digest and with the configured pull policy', async () => {
    const spec = {
      selector: { matchLabels: { app: 'backend' } },
      template: template('backend', 'anubis:32000/ushadow-backend:latest'),
    }
    await apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'backend', namespace },
      spec,
    })
    const { spec: pod } = await runningPodOf('backend')

    // The image names the mirror already; Berth adds the digest.
    expect(pod.containers[0]).toMatchObject({
      image: `anubis:32000/ushadow-backend:latest@${digestOf('anubis/ushadow-backend:latest')}`,
      imagePullPolicy: 'IfNotPresent',
    })
  })

  test('the pod of a CronJob runs from the mirror', async () => {
    const jobTemplate = { spec: { template: template('cron', 'nginx:1.27', 'Never') } }
    await apply({
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { name: 'cron', namespace },
      spec: { schedule: '0 0 1 1 *', jobTemplate },
    })
    await kubectlOk(['create', 'job', 'cron-now', '-n', namespace, '--from=cronjob/cron'])

    expect((await runningPodOf('cron')).spec.containers[0]?.image).toBe(
      'anubis:32000/library/nginx:1.27',
    )
  })

  test('a DaemonSet runs from ghcr.io, with a digest, if its image is only there', async () => {
    const spec = {
      selector: { matchLabels: { app: 'agent' } },
      template: template('agent', 'anubis:32000/only-ghcr:latest'),
    }
    await apply({
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'agent', namespace },
      spec,
    })
    const pod = await runningPodOf('agent')

    expect(pod.spec.containers[0]?.image).toBe(
      `ghcr.io/your-org/only-ghcr:latest@${digestOf('ghcr/your-org/only-ghcr:latest')}`,
    )
    expect(whyOf(pod)).toMatch(
      /^anubis:32000 absent \(404.*\); found on ghcr\.io, another publisher's copy; then anubis:32000 absent \(404.*\); the image on ghcr\.io stays$/,
    )
  })
})

async function applyPod(name: string, image: string): Promise<{ pod: Pod; warning: string }> {
  const { code, stderr } = await kubectl(['apply', '-f', '-'], {
    input: JSON.stringify(podManifest({ name, image, namespace })),
  })
  expect(code).toBe(0)
  return { pod: await waitForPodRunning(name, namespace), warning: stderr }
}

describe('an image that the mirror does not have', () => {
  test('runs from Docker Hub; the warning, the annotation and the metrics say why', async () => {
    const { pod, warning } = await applyPod('only-hub', 'only-hub:1')

    expect(pod.spec.containers[0]?.image).toBe('only-hub:1')
    expect(whyOf(pod)).toMatch(/^anubis:32000 absent \(404.*\); the original on docker\.io$/)
    expect(warning).toMatch(/^Warning: berth: only-hub:1: anubis:32000 absent/m)
    expect(await webhook.metrics()).toMatch(
      /berth_candidates_total\{registry="anubis:32000",outcome="absent"\} [1-9]/,
    )
  })

  test('runs from Docker Hub with a digest if ghcr.io does not have it either', async () => {
    const { pod } = await applyPod('past-ghcr', 'anubis:32000/only-hub:1')

    expect(pod.spec.containers[0]?.image).toBe(
      `docker.io/library/only-hub:1@${digestOf('hub/library/only-hub:1')}`,
    )
    expect(whyOf(pod)).toMatch(
      /^anubis:32000 absent \(404.*\), ghcr\.io absent \(404.*\); found on docker\.io, another publisher's copy; then anubis:32000 absent \(404.*\); the image on docker\.io stays$/,
    )
  })
})

describe('a failing mirror', () => {
  test.each([
    [500, 'unreachable'],
    [401, 'denied'],
    [429, 'limited'],
  ])('that responds with %i is skipped with the outcome %s', async (status, outcome) => {
    faulty.respondWith(status)
    await webhook.reload(`${config(faulty.url)}# ${status}\n`)
    const { pod, warning } = await applyPod(`faulty-${status}`, 'nginx:1.27')

    expect(pod.spec.containers[0]?.image).toBe('nginx:1.27')
    expect(pod.status.containerStatuses?.[0]?.imageID).toContain(digestOf('hub/library/nginx:1.27'))
    expect(whyOf(pod)).toContain(`anubis:32000 ${outcome}`)
    expect(warning).toContain(`anubis:32000 ${outcome}`)
    expect(await webhook.metrics()).toMatch(
      new RegExp(`berth_candidates_total\\{registry="anubis:32000",outcome="${outcome}"\\} [1-9]`),
    )
  })

  test('that is stopped is skipped as unreachable', async () => {
    await mirror.stop()
    await webhook.reload(config(mirror.url))
    const { pod, warning } = await applyPod('stopped', 'nginx:1.27')
    await mirror.start()

    expect(pod.spec.containers[0]?.image).toBe('nginx:1.27')
    expect(warning).toContain('anubis:32000 unreachable (ECONNREFUSED')
  })
})
