import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { type Berth, dryRunPod, startBerth } from '../harness/berth.ts'
import { currentCluster } from '../harness/cluster.ts'
import { type CommandResult, run } from '../harness/command.ts'
import { apply, kubectlOk, remove } from '../harness/kubectl.ts'
import { type MirrorAndHub, startMirrorAndHub } from '../harness/mirror-and-hub.ts'
import { getPod, podManifest, type Pod, podRunning } from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'

/** The table at commit: what `berth rewrite` writes is what runs, with the webhook beside it; and digests come from a lock file. */
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const namespace = 'repository'
let registries: MirrorAndHub
let berth: Berth
let directory: string
let config: string
let onMirror: string
let onHub: string

beforeAll(async () => {
  registries = await startMirrorAndHub('repository')
  onMirror = await registries.push(registries.mirror, 'library/app', 'latest')
  onHub = await registries.push(registries.hub, 'library/only', 'latest', 'first')
  berth = await startBerth({ name: 'repository', config: registries.config, canary: 'app' })
  directory = mkdtempSync(join(tmpdir(), 'berth-repository-'))
  config = join(directory, 'berth.yaml')
  writeFileSync(config, registries.config)
  await kubectlOk(['create', 'namespace', namespace])
})

afterAll(async () => {
  await berth?.stop()
  await remove('namespace', namespace)
  await registries?.stop()
  rmSync(directory, { recursive: true, force: true })
})

function cli(args: readonly string[], input = ''): Promise<CommandResult> {
  return run(process.execPath, [main, ...args, '--config', config], {
    input,
    env: { KUBECONFIG: currentCluster().kubeconfig },
  })
}

const manifest = `# A deployment as people write it.
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: ${namespace}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: app
        image: "app"   # from the mirror
      - {name: only, image: only}
`

test('the pods of a rewritten manifest run what stands in it, and the webhook changes nothing about them', async () => {
  const rewritten = await cli(['rewrite', '-f', '-'], manifest)
  const { spec } = parse(rewritten.stdout) as { spec: { template: { spec: Pod['spec'] } } }
  const written = spec.template.spec.containers.map(({ image }) => image)
  await apply(rewritten.stdout)
  const name = await waitFor('the pod', () =>
    kubectlOk([
      'get',
      'pods',
      '-n',
      namespace,
      '-l',
      'app=web',
      '-o',
      'jsonpath={.items[0].metadata.name}',
    ]),
  )
  const pod = await podRunning(name, namespace)

  expect(written).toEqual([
    `mirror.example/library/app:latest@${onMirror}`,
    `docker.io/library/only:latest@${onHub}`,
  ])
  expect(rewritten.stdout.split('\n')).toContain(
    `        image: "${written[0]}"   # from the mirror`,
  )
  expect(pod.spec.containers.map(({ image }) => image)).toEqual(written)
  expect(pod.spec.containers[0]?.imagePullPolicy).toBe('IfNotPresent')
  expect(pod.metadata.annotations?.['berth.dev/images'] ?? '[]').not.toContain('found on')
})

test('a lock of what the cluster runs keeps its digest when the tag moves, in the webhook too', async () => {
  const lockFile = join(directory, 'berth.lock')
  await apply(podManifest({ name: 'asks', image: 'only', namespace }))
  await podRunning('asks', namespace)

  const locked = await cli(['lock', '--from-cluster', '-n', namespace])
  const moved = await registries.push(registries.hub, 'library/only', 'latest', 'second')
  const withLock = registries.config.replace('pin: {', `pin: { lock: '${lockFile}',`)
  writeFileSync(config, withLock)
  await berth.reload(withLock)
  const pod = await dryRunPod('only')
  await apply(podManifest({ name: 'locked', image: 'only', namespace }))
  const running = await podRunning('locked', namespace)

  expect(locked.code).toBe(0)
  expect(readFileSync(lockFile, 'utf8')).toContain(
    `image: docker.io/library/only:latest\n    digest: ${onHub}\n`,
  )
  expect(moved).not.toBe(onHub)
  expect(pod.spec.containers[0]?.image).toBe(`docker.io/library/only:latest@${onHub}`)
  expect(running.status.containerStatuses?.[0]?.imageID).toContain(onHub)

  const updated = await cli(['lock', '--from-cluster', '-n', namespace, '--update'])

  expect(updated.stderr).toContain(
    `~ docker.io/library/only:latest ${onHub} → ${moved} (docker.io)`,
  )
  await waitFor(
    'the new lock',
    async () => (await dryRunPod('only')).spec.containers[0]?.image.endsWith(moved) === true,
  )
  expect((await getPod('locked', namespace)).spec.containers[0]?.image).toContain(onHub)
})
