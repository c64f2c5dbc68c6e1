import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runBerth } from '../harness/berth-cli.ts'
import { berthImage } from '../harness/berth-image.ts'
import { currentCluster } from '../harness/cluster.ts'
import { pushImage } from '../harness/images.ts'
import { apply, kubectlOk, remove } from '../harness/kubectl.ts'
import { log } from '../harness/log.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { namespace } from '../harness/overlay.ts'
import { getPod, podManifest, waitForPodRunning } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { waitUntilRewritten } from '../harness/webhook.ts'

/** The first steps of a new user: init, check, mirror, install, and a pod from the mirror. No file is edited in between. */
const cluster = currentCluster()
const directory = mkdtempSync(join(tmpdir(), 'berth-first-steps-'))
const config = join(directory, 'berth.yaml')
/** The name under which the nodes find the image of Berth. */
let mirror: Registry
let upstream: Registry
let image: string

beforeAll(async () => {
  const home = { ...cluster, address: cluster.podAddress }
  mirror = await startRegistry(home, { name: 'first-steps-mirror' })
  upstream = await startRegistry(home, { name: 'first-steps-upstream' })
  // Both are plain registries without TLS. The administrator has told the nodes so.
  for (const { host, url } of [mirror, upstream]) setNodeHost(cluster, host, [url])
  image = `${upstream.host}/team/app:1`
  await pushImage({
    registry: upstream.url,
    repository: 'team/app',
    tag: '1',
    binary: cluster.pauseBinary,
    marker: 'first-steps',
  })
  await apply(podManifest({ name: 'before', image }))
  await waitForPodRunning('before')
})

afterAll(async () => {
  for (const name of ['before', 'after']) await remove('pod', name)
  await runBerth(['uninstall', '--yes'])
  // The next installation has the same namespace.
  await remove('namespace', namespace)
  for (const registry of [mirror, upstream]) {
    if (registry === undefined) continue
    removeNodeHost(cluster, registry.host)
    await registry.stop()
  }
})

/** Runs berth; throws with its output if it fails. Returns the output. */
async function berth(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runBerth(args)
  if (code !== 0) throw new Error(`berth ${args.join(' ')} exits with ${code}: ${stdout}${stderr}`)
  return `${stdout}${stderr}`
}

/**
 * Copies the images of all pods and returns the output. kind's own pods have images of registry.k8s.io, which the tests do not
 * reach; throws if the copy of another one fails.
 */
async function copyAll(): Promise<string> {
  const args = ['mirror', '--from-cluster', '-A', '--config', config]
  const { code, stdout, stderr } = await runBerth(args)
  const failed = [...stdout.matchAll(/^(\S+) {2}→ .*\n {2}failed: .*$/gm)].map(
    ([, name = '']) => name,
  )
  expect(failed.filter((name) => !name.startsWith('registry.k8s.io/'))).toEqual([])
  if (failed.length === 0) expect(code).toBe(0)
  return `${stdout}${stderr}`
}

/** Returns how many replicas of the controller and of the webhook are available. */
const availableReplicas = () => {
  const path = 'jsonpath={.items[*].status.availableReplicas}'
  return kubectlOk(['get', 'deployments', '-n', namespace, '-o', path])
}

test('berth init, check, mirror and install lead to a pod from the mirror', async () => {
  const began = performance.now()
  const written = await berth('init', '--from-cluster', '--mirror', mirror.host, '--out', config)
  const checked = await berth('check', config)
  const copied = await copyAll()
  await berth('install', '--image', berthImage, '--config', config, '--apply', '--yes')
  const available = await availableReplicas()
  // kube-proxy may see the ready pods later than the Deployment does, and Berth fails open.
  await waitUntilRewritten(image)
  await apply(podManifest({ name: 'after', image }))
  const pod = await waitForPodRunning('after')
  const seconds = (performance.now() - began) / 1000

  expect(available).toBe('1 2')
  expect(written).toContain('is a plain registry')
  expect(checked).toContain('0 warnings')
  expect(copied).toContain(`${mirror.host}/${upstream.host.replace(':', '-')}/team/app:1`)
  expect(pod.spec.containers[0]?.image).toBe(
    `${mirror.host}/${upstream.host.replace(':', '-')}/team/app:1`,
  )
  expect((await getPod('before')).spec.containers[0]?.image).toBe(image)
  expect(readFileSync(config, 'utf8')).toContain('platforms: [linux/')
  log(`${seconds.toFixed(1)} s from berth init to a running pod`)
})

test('installing again changes no object, and keeps the caBundle', async () => {
  const state = () =>
    kubectlOk([
      'get',
      'mutatingwebhookconfiguration,deployment',
      '-n',
      namespace,
      '-l',
      'app.kubernetes.io/name=berth',
      '-o',
      'jsonpath={range .items[*]}{.metadata.name} {.metadata.generation} {.webhooks[*].clientConfig.caBundle}{"\\n"}{end}',
    ])
  const before = await state()
  await berth('install', '--image', berthImage, '--config', config, '--apply', '--yes')

  expect(before).toMatch(/^berth \d+ \S{100}/m)
  expect(await state()).toBe(before)
})
