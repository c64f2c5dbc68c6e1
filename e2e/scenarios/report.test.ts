import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { run } from '../harness/command.ts'
import { type Controller, createControllerAccount, startController } from '../harness/controller.ts'
import { crdFiles } from '../harness/crd-modules.ts'
import { deleteManifest } from '../harness/images.ts'
import {
  apply,
  createNamespace,
  kubectl,
  kubectlOk,
  remove,
  removeNamespaces,
} from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { berthMain, repository } from '../harness/paths.ts'
import { podManifest, waitForPodRunning, waitForPullFailure } from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'

/** `berth report` on a cluster without Berth, `berth dev --register`, and images that are deleted while pods run them. */
const cluster = currentCluster()
const namespaces = ['report', 'report-out', 'report-shadow']
let registries: MirrorAndUpstream
let config: string

beforeAll(async () => {
  registries = await startMirrorAndUpstream('report')
  const { mirror, upstream } = registries
  await registries.push(mirror, 'library/both', '1')
  await registries.push(upstream, 'library/both', '1')
  await registries.push(upstream, 'library/hub-only', '1')
  config = join(cluster.runDir, 'report.yaml')
  writeFileSync(config, registries.config)
  await createNamespace('report')
  await createNamespace('report-out', { 'berth.dev/rewrite': 'disabled' })
  await createNamespace('report-shadow', { 'berth.dev/mode': 'observe' })
  const pods = [
    podManifest({ name: 'a', namespace: 'report', image: 'both:1' }),
    podManifest({ name: 'b', namespace: 'report', image: 'both:1' }),
    podManifest({ name: 'c', namespace: 'report', image: 'hub-only:1' }),
    podManifest({ name: 'd', namespace: 'report', image: 'mirror.example/library/both:1' }),
    podManifest({ name: 'e', namespace: 'report-out', image: 'both:1' }),
    podManifest({ name: 'f', namespace: 'report-shadow', image: 'both:1' }),
  ]
  await apply(pods)
  await waitForPodRunning('a', 'report')
})

afterAll(async () => {
  await removeNamespaces(...namespaces)
  await registries.stop()
})

/** Grants rights in all namespaces to the controller of a namespace. */
async function grantEverywhere(namespace: string, rules: readonly object[]): Promise<void> {
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  await apply([
    { apiVersion, kind: 'ClusterRole', metadata: { name: namespace }, rules },
    {
      apiVersion,
      kind: 'ClusterRoleBinding',
      metadata: { name: namespace },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: namespace },
      subjects: [{ kind: 'ServiceAccount', name: 'berth-controller', namespace }],
    },
  ])
}

function berth(...args: string[]) {
  return runBerth([...args, '--config', config])
}

interface ClusterReport {
  images: Record<string, unknown>[]
  summary: Record<string, number>
}

describe('kubectl berth', () => {
  test('prints what berth prints', async () => {
    const plugins = join(cluster.runDir, 'plugins')
    mkdirSync(plugins)
    // As npm links the bin of a package.
    symlinkSync(join(repository, 'bin/berth.js'), join(plugins, 'kubectl-berth'))
    const { code, stdout } = await run(
      cluster.kubectl,
      ['berth', 'report', '-n', 'report', '--config', config],
      { env: { KUBECONFIG: cluster.kubeconfig, PATH: `${plugins}:${process.env['PATH']}` } },
    )

    expect(code).toBe(0)
    expect(stdout).toContain('hub-only:1')
    expect(stdout).toBe((await berth('report', '-n', 'report')).stdout)
  })
})

describe('berth report', () => {
  test('lists which images are on a mirror, which need the internet, and what would change', async () => {
    const { stdout, code } = await berth('report', '-n', 'report', '-o', 'json')
    const report = JSON.parse(stdout) as ClusterReport
    expect(report.images).toEqual([
      expect.objectContaining({
        image: 'both:1',
        pods: 2,
        onMirror: false,
        mirrored: true,
        becomes: 'mirror.example/library/both:1',
        row: 'hub',
      }),
      expect.objectContaining({
        image: 'hub-only:1',
        pods: 1,
        onMirror: false,
        mirrored: false,
        becomes: 'hub-only:1',
      }),
      expect.objectContaining({
        image: 'mirror.example/library/both:1',
        onMirror: true,
        mirrored: true,
      }),
    ])
    expect(report.summary).toMatchObject({
      images: 3,
      onMirror: 1,
      mirrored: 2,
      needInternet: 1,
      unknown: 0,
    })
    expect(code).toBe(0)
  })

  test('marks namespaces that opted out and namespaces in observe mode', async () => {
    const { stdout } = await berth('report', '-A', '-o', 'json')
    const { images } = JSON.parse(stdout) as ClusterReport
    const of = (namespace: string) => images.find((image) => image['namespace'] === namespace)
    expect(of('report-out')).toMatchObject({ becomes: null, why: 'the namespace is excluded' })
    expect(of('report-shadow')).toMatchObject({
      becomes: null,
      why: expect.stringContaining('in observe mode: '),
    })
  })

  test('says that an excluded pod cannot pull offline while it cannot', async () => {
    await registries.push(registries.mirror, 'library/mirror-only', '1')
    await apply(podManifest({ name: 'g', namespace: 'report-out', image: 'mirror-only:1' }))
    await waitForPullFailure('g', 'report-out')
    const { stdout, code } = await berth('report', '-n', 'report-out', '-o', 'json')
    const { images, summary } = JSON.parse(stdout) as ClusterReport

    expect(images).toEqual([
      expect.objectContaining({ image: 'both:1', mirrored: false }),
      expect.objectContaining({ image: 'mirror-only:1', mirrored: false }),
    ])
    expect(summary).toMatchObject({ mirrored: 0, needInternet: 2 })
    expect(code).toBe(0)
  })

  test('prints a table', async () => {
    const { stdout } = await berth('report', '-n', 'report')
    expect(stdout).toMatch(/^NAMESPACE +IMAGE +PODS +RUNS FROM +OFFLINE +NEW POD GETS$/m)
    expect(stdout).toMatch(/^report +hub-only:1 +1 +upstream +fails /m)
    expect(stdout).toContain('1 run from a mirror, 2 could be pulled offline, 1 could not')
  })

  test('exits with 3 if a mirror does not answer', async () => {
    const silent = join(cluster.runDir, 'report-silent.yaml')
    writeFileSync(silent, registries.config.replace(registries.mirror.url, 'http://127.0.0.1:9'))
    const { stdout, code } = await runBerth([
      'report',
      '-n',
      'report',
      '-o',
      'json',
      '--config',
      silent,
    ])
    const { images } = JSON.parse(stdout) as ClusterReport
    expect(images.find(({ image }) => image === 'hub-only:1')).toMatchObject({ mirrored: null })
    expect(code).toBe(3)
  })
})

describe('berth dev --register', () => {
  test('registers for the pods of one namespace, and removes the registration at the end', async () => {
    const child = spawn(
      process.execPath,
      [
        berthMain,
        'dev',
        '--register',
        '--yes',
        '--config',
        config,
        '-n',
        'report',
        '--address',
        cluster.address,
        '--kubeconfig',
        cluster.kubeconfig,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } },
    )
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => (output += String(chunk)))
    const imageIn = async (namespace: string) => {
      const pod = podManifest({ name: 'sample', namespace, image: 'both:1' })
      const { stdout } = await kubectl(
        ['create', '-f', '-', '--dry-run=server', '-o', 'jsonpath={.spec.containers[0].image}'],
        { input: JSON.stringify(pod) },
      )
      return stdout
    }
    await waitFor(
      'a rewritten pod',
      async () => (await imageIn('report')) === 'mirror.example/library/both:1',
      { stopReason: () => (child.exitCode === null ? undefined : `berth dev exited: ${output}`) },
    )
    expect(await imageIn('default')).toBe('both:1')
    expect(output).toContain('"namespace":"report"')
    child.kill('SIGINT')
    const [code] = (await once(child, 'exit')) as [number]
    expect(code).toBe(0)
    expect(await kubectlOk(['get', 'mutatingwebhookconfigurations', '-o', 'name'])).not.toContain(
      'berth-dev',
    )
  })

  test('requires --yes without a terminal', async () => {
    const { stderr, code } = await runBerth(['dev', '--register'])
    expect(stderr).toContain('Cannot ask without a terminal; use --yes')
    expect(code).toBe(2)
  })
})

describe('reports as Kubernetes objects', () => {
  const namespace = 'report-objects'
  /** The rights of the component `reports`. */
  const rules = [
    { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch'] },
    {
      apiGroups: ['openreports.io'],
      resources: ['reports'],
      verbs: ['list', 'watch', 'create', 'update', 'delete'],
    },
  ]
  let controller: Controller

  beforeAll(async () => {
    await kubectlOk(['create', 'namespace', namespace])
    const crd = (await crdFiles()).find((file) => file.includes('openreports.io_reports'))
    await kubectlOk(['apply', '--server-side', '-f', `${crd}`])
    await kubectlOk(['wait', '--for=condition=Established', 'crd/reports.openreports.io'])
    const kubeconfig = await createControllerAccount(namespace)
    await grantEverywhere(namespace, rules)
    controller = await startController({
      name: 'objects',
      namespace,
      config: `${registries.config}reports: { openReports: true }\nconflicts: ignore\n`,
      kubeconfig,
    })
  })

  afterAll(async () => {
    await controller?.stop()
    for (const kind of ['clusterrole', 'clusterrolebinding']) await remove(kind, namespace)
    await kubectlOk(['delete', 'reports', '--all', '-A'])
    await removeNamespaces(namespace)
  })

  const results = async () => {
    const args = ['get', 'reports', '-n', namespace, '-o', 'jsonpath={range .items[*].results[*]}{.policy} {.rule} {.properties.pods} {.resources[*].name}{"\\n"}{end}'] // prettier-ignore
    return kubectlOk(args)
  }

  test('reports a pull that fails, counts its pods, and is deleted with the last of them', async () => {
    const failing = (name: string) =>
      podManifest({ name, namespace, image: 'mirror.example/library/none:1' })
    await apply(failing('one'))
    await waitForPullFailure('one', namespace)
    await waitFor('the report', async () => (await results()) === 'pull-failure D40 1 one\n')

    await apply(failing('two'))
    await waitFor(
      'the second pod',
      async () => (await results()) === 'pull-failure D40 2 one two\n',
    )

    for (const name of ['one', 'two']) await remove('pod', name, namespace)
    await waitFor('the deletion of the report', async () => (await results()) === '')
    expect(controller.log().filter(({ level }) => level === 'warn')).toEqual([])
  })
})

describe('availability', () => {
  const namespace = 'report-risk'
  const image = 'mirror.example/risk/app:1'
  /** The rights of the component `availability`. */
  const rules = [
    { apiGroups: [''], resources: ['pods'], verbs: ['list', 'watch'] },
    { apiGroups: [''], resources: ['events'], verbs: ['create'] },
  ]
  let controller: Controller

  beforeAll(async () => {
    const { mirror, upstream } = registries
    for (const to of [mirror, upstream]) await registries.push(to, 'risk/app', '1', 'at risk')
    await kubectlOk(['create', 'namespace', namespace])
    const kubeconfig = await createControllerAccount(namespace)
    await grantEverywhere(namespace, rules)
    const record = { site: 'containers/main', from: 'docker.io/risk/app:1', to: image, row: 'hub', why: '' } // prettier-ignore
    const annotations = { 'berth.dev/images': JSON.stringify([record]) }
    await apply({
      ...podManifest({ name: 'risk', namespace, image }),
      metadata: { name: 'risk', namespace, annotations },
    })
    await waitForPodRunning('risk', namespace)
    controller = await startController({
      name: 'risk',
      namespace,
      config: `${registries.config}availability: { interval: 1s, perMinute: 600 }\npullFailures: { report: false }\nconflicts: ignore\n`,
      kubeconfig,
    })
  })

  afterAll(async () => {
    await controller?.stop()
    for (const kind of ['clusterrole', 'clusterrolebinding']) await remove(kind, namespace)
    await removeNamespaces(namespace)
  })

  async function atRisk() {
    const { stdout, code } = await berth('report', '--at-risk', '-n', namespace, '-o', 'json')
    return { code, ...(JSON.parse(stdout) as ClusterReport) }
  }

  /** The last change of an image that the controller has logged. */
  const lastState = (name: string) =>
    controller
      .log()
      .findLast(({ msg, image: of }) => msg === 'image availability changed' && of === name)?.[
      'state'
    ]

  test('reports an image that was deleted from its registry as gone, with an Event', async () => {
    await waitFor('the counts of available images', async () =>
      /berth_running_images\{source="upstream",state="available"\} [1-9]/.test(
        await controller.metrics(),
      ),
    )
    expect(await atRisk()).toMatchObject({ code: 0, images: [], summary: { available: 2 } })
    await deleteManifest({ registry: registries.mirror.url, repository: 'risk/app' }, '1')

    const args = ['get', 'events', '-n', namespace, '--field-selector=reason=ImageGone', '-o', 'jsonpath={range .items[*]}{.involvedObject.name} {.message}{"\\n"}{end}'] // prettier-ignore
    const message = await waitFor('the Event', async () => {
      const text = await kubectlOk(args)
      return text.includes('risk') && text
    })
    expect(message).toContain(`risk the registry no longer has ${image} (404`)
    expect(lastState(image)).toBe('gone')
    await waitFor('the metric', async () =>
      (await controller.metrics()).includes(
        'berth_running_images{source="registry",state="gone"} 1',
      ),
    )
    expect(await atRisk()).toMatchObject({
      code: 0,
      images: [{ image, source: 'registry', state: 'absent', pods: 1, namespaces: [namespace] }],
    })
  })

  test('reports the image of a registry that is down as unknown', async () => {
    await registries.upstream.stop()

    await waitFor('the unknown upstream', () => lastState('docker.io/risk/app:1') === 'unknown')
    expect(await atRisk()).toMatchObject({
      code: 3,
      images: [
        { image, state: 'absent' },
        { image: 'docker.io/risk/app:1', source: 'upstream', state: 'unknown' },
      ],
    })
    expect(await controller.metrics()).toMatch(
      /berth_running_images\{source="upstream",state="gone"\} 0/,
    )
  })
})
