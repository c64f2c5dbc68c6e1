import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { type Webhook, dryRunPod, startWebhook } from '../harness/webhook.ts'
import { buildTool } from '../harness/go-programs.ts'
import { currentCluster } from '../harness/cluster.ts'
import { type CommandResult, runOk, run } from '../harness/command.ts'
import { apply, kubectlOk, remove } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { getPod, podManifest, type Pod, waitForPodRunning } from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'

/** The table at commit: what `berth rewrite` writes is what runs, with the webhook beside it; and digests come from a lock file. */
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const namespace = 'repository'
let registries: MirrorAndUpstream
let webhook: Webhook
let directory: string
let config: string
let onMirror: string
let onHub: string

beforeAll(async () => {
  registries = await startMirrorAndUpstream('repository')
  onMirror = await registries.push(registries.mirror, 'library/app', 'latest')
  onHub = await registries.push(registries.upstream, 'library/only', 'latest', 'first')
  webhook = await startWebhook({ name: 'repository', config: registries.config, canary: 'app' })
  directory = mkdtempSync(join(tmpdir(), 'berth-repository-'))
  config = join(directory, 'berth.yaml')
  writeFileSync(config, registries.config)
  await kubectlOk(['create', 'namespace', namespace])
})

afterAll(async () => {
  await webhook?.stop()
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
  const pod = await waitForPodRunning(name, namespace)

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
  await waitForPodRunning('asks', namespace)

  const locked = await cli(['lock', '--from-cluster', '-n', namespace])
  const moved = await registries.push(registries.upstream, 'library/only', 'latest', 'second')
  const withLock = registries.config.replace('pin: {', `pin: { lock: '${lockFile}',`)
  writeFileSync(config, withLock)
  await webhook.reload(withLock)
  const pod = await dryRunPod('only')
  await apply(podManifest({ name: 'locked', image: 'only', namespace }))
  const running = await waitForPodRunning('locked', namespace)

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

/** What runs the command line wherever a program has to be named by its file. */
function script(file: string, args: readonly string[]): void {
  writeFileSync(file, `#!/bin/sh\nexec '${process.execPath}' '${main}' ${args.join(' ')} "$@"\n`)
  chmodSync(file, 0o755)
}

test('it is a function of kustomize', async () => {
  const kustomize = await buildTool('sigs.k8s.io/kustomize/kustomize/v5', 'v5.7.1')
  const base = join(directory, 'base')
  mkdirSync(base)
  writeFileSync(join(base, 'web.yaml'), manifest)
  writeFileSync(
    join(base, 'kustomization.yaml'),
    'namePrefix: new-\nresources: [web.yaml]\ntransformers: [rewrite.yaml]\n',
  )
  const page = readFileSync(new URL('../../docs/repository.md', import.meta.url), 'utf8')
  const [, example = ''] =
    /^```yaml\n(apiVersion: berth[^`]+kind: Rewrite[^`]+)```$/m.exec(page) ?? []
  writeFileSync(join(base, 'rewrite.yaml'), example)
  writeFileSync(join(base, 'berth.yaml'), registries.config)
  script(join(base, 'berth'), [])

  const built = await runOk(kustomize, ['build', '--enable-alpha-plugins', '--enable-exec', base])

  const { metadata, spec } = parse(built) as {
    metadata: { name: string }
    spec: { template: { spec: Pod['spec'] } }
  }
  expect(metadata.name).toBe('new-web')
  expect(spec.template.spec.containers[0]).toMatchObject({
    image: `mirror.example/library/app:latest@${onMirror}`,
    imagePullPolicy: 'IfNotPresent',
  })
})

test('it is a post-renderer of Helm', async () => {
  const helm = await buildTool('helm.sh/helm/v3/cmd/helm', 'v3.18.6')
  const chart = join(directory, 'chart')
  mkdirSync(join(chart, 'templates'), { recursive: true })
  writeFileSync(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: web\nversion: 1.0.0\n')
  writeFileSync(join(chart, 'templates/web.yaml'), manifest.replace('"app"', '{{ .Values.image }}'))
  writeFileSync(join(chart, 'values.yaml'), 'image: app\n')
  script(join(directory, 'post-renderer'), ['rewrite', '-f', '-', '--config', config])

  const rendered = await runOk(helm, [
    'template',
    'release',
    chart,
    '--post-renderer',
    join(directory, 'post-renderer'),
  ])

  const [document] = parseAllDocuments(rendered)
  expect(JSON.stringify(document?.toJS())).toContain(
    `mirror.example/library/app:latest@${onMirror}`,
  )
  expect(rendered).toContain('# Source: web/templates/web.yaml\n')
  expect(rendered).toContain('   # from the mirror\n')
})
