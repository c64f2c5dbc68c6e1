import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { type Webhook, dryRunPod, startWebhook } from '../harness/webhook.ts'
import { runBerth } from '../harness/berth-cli.ts'
import { helmOk } from '../harness/helm.ts'
import { kustomizeOk } from '../harness/kustomize.ts'
import { apply, kubectlOk, removeNamespaces } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { berthMain, readDocs } from '../harness/paths.ts'
import { getPod, podManifest, type Pod, waitForPodRunning } from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'

/** `berth rewrite` on manifests, alone, with kustomize and with Helm; and digests from a lock file. */
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
  await removeNamespaces(namespace)
  await registries?.stop()
  rmSync(directory, { recursive: true, force: true })
})

function berth(args: readonly string[], input = '') {
  return runBerth([...args, '--config', config], { input })
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

test('the webhook does not change the pods of a rewritten manifest', async () => {
  const rewritten = await berth(['rewrite', '-f', '-'], manifest)
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

test('the CLI and the webhook keep the locked digest when the tag moves', async () => {
  const lockFile = join(directory, 'berth.lock')
  await apply(podManifest({ name: 'asks', image: 'only', namespace }))
  await waitForPodRunning('asks', namespace)

  const locked = await berth(['lock', '--from-cluster', '-n', namespace])
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

  const updated = await berth(['lock', '--from-cluster', '-n', namespace, '--update'])

  expect(updated.stderr).toContain(
    `~ docker.io/library/only:latest ${onHub} → ${moved} (docker.io)`,
  )
  await waitFor(
    'the new lock',
    async () => (await dryRunPod('only')).spec.containers[0]?.image.endsWith(moved) === true,
  )
  expect((await getPod('locked', namespace)).spec.containers[0]?.image).toContain(onHub)
})

/** Writes a shell script that runs Berth, for tools that start a program by its path. */
function writeScript(file: string, args: readonly string[]): void {
  writeFileSync(
    file,
    `#!/bin/sh\nexec '${process.execPath}' '${berthMain}' ${args.join(' ')} "$@"\n`,
  )
  chmodSync(file, 0o755)
}

test('kustomize runs Berth as a function', async () => {
  const base = join(directory, 'base')
  mkdirSync(base)
  writeFileSync(join(base, 'web.yaml'), manifest)
  writeFileSync(
    join(base, 'kustomization.yaml'),
    'namePrefix: new-\nresources: [web.yaml]\ntransformers: [rewrite.yaml]\n',
  )
  const [, example = ''] =
    /^```yaml\n(apiVersion: berth[^`]+kind: Rewrite[^`]+)```$/m.exec(readDocs('repository.md')) ??
    []
  writeFileSync(join(base, 'rewrite.yaml'), example)
  writeFileSync(join(base, 'berth.yaml'), registries.config)
  writeScript(join(base, 'berth'), [])

  const built = await kustomizeOk(['build', '--enable-alpha-plugins', '--enable-exec', base])

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

test('Helm runs Berth as a post-renderer', async () => {
  const chart = join(directory, 'chart')
  mkdirSync(join(chart, 'templates'), { recursive: true })
  writeFileSync(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: web\nversion: 1.0.0\n')
  writeFileSync(join(chart, 'templates/web.yaml'), manifest.replace('"app"', '{{ .Values.image }}'))
  writeFileSync(join(chart, 'values.yaml'), 'image: app\n')
  writeScript(join(directory, 'post-renderer'), ['rewrite', '-f', '-', '--config', config])

  const rendered = await helmOk([
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

describe('Helm values', () => {
  /** Templates as in well-known charts: each composes an image from other members. */
  const composed = {
    plain: '{{ .repository }}:{{ .tag }}',
    registry: '{{ .registry }}/{{ .repository }}:{{ .tag }}{{ with .digest }}@{{ . }}{{ end }}',
    digest:
      '{{ if .digest }}{{ .registry }}/{{ .repository }}@{{ .digest }}{{ else }}{{ .registry }}/{{ .repository }}:{{ .tag }}{{ end }}',
    sha: '{{ .image }}:{{ .tag }}{{ with .sha }}@sha256:{{ . }}{{ end }}',
    whole: '{{ .image }}',
  }
  const values = `# Values for a chart
plain:
  image: { repository: docker.io/library/app, tag: latest }   # no digest
registry:
  image:
    registry: docker.io
    repository: 'library/app'
    tag: "latest"
    digest:
digest:
  image: { registry: index.docker.io, repository: library/app, tag: latest, digest: "" }
sha:
  image:
    image: docker.io/library/app
    tag: latest
    sha: ""
whole:
  image: { image: "docker.io/library/app:latest" }
other:
  image: { repository: other.example/team/app, tag: v1 }
`

  test('a chart renders what the table decides from the rewritten values, and the rest as before', async () => {
    const chart = join(directory, 'values-chart')
    mkdirSync(join(chart, 'templates'), { recursive: true })
    writeFileSync(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: values\nversion: 1.0.0\n')
    const containers = Object.entries({ ...composed, other: composed.plain }).map(
      ([name, template]) =>
        `  - { name: ${name}, image: '{{ with .Values.${name}.image }}${template}{{ end }}' }\n`,
    )
    const pod = `apiVersion: v1\nkind: Pod\nmetadata: { name: values }\nspec:\n  containers:\n${containers.join('')}`
    writeFileSync(join(chart, 'templates/pod.yaml'), pod)
    const file = join(directory, 'values.yaml')
    writeFileSync(file, values)
    const render = async () => helmOk(['template', 'release', chart, '-f', file])
    const before = await render()

    const { code } = await berth(['rewrite', '--helm-values', '--in-place', '-f', file])
    const after = await render()

    expect(code).toBe(0)
    expect(imagesOf(before)).toMatchObject({ plain: 'docker.io/library/app:latest' })
    const pinned = `mirror.example/library/app:latest@${onMirror}`
    expect(imagesOf(after)).toEqual({
      plain: 'mirror.example/library/app:latest',
      registry: pinned,
      digest: `mirror.example/library/app@${onMirror}`,
      sha: pinned,
      whole: pinned,
      other: 'other.example/team/app:v1',
    })
    expect(after.replaceAll(/image: .*/g, '')).toBe(before.replaceAll(/image: .*/g, ''))
    expect(readFileSync(file, 'utf8')).toContain('tag: latest }   # no digest\n')
  })

  function imagesOf(manifest: string): Record<string, string> {
    const { spec } = parse(manifest) as Pod
    return Object.fromEntries(spec.containers.map(({ name, image }) => [name, image]))
  }
})
