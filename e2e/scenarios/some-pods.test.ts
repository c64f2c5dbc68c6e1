import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Webhook, dryRunPod, startWebhook } from '../harness/webhook.ts'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { apply, create, kubectlOk, removeNamespaces } from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import {
  getPod,
  type Pod,
  podManifest,
  statefulSetManifest,
  waitForPodRunning,
} from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'

/** Rows for some pods only: by namespace, labels and owner; rows that leave their images; and images that are never pulled. */
const namespaces = ['some-db', 'some-prod', 'some-web']
const onMirror = 'mirror.example/library/app:1'
let registries: MirrorAndUpstream
let webhook: Webhook
let directory: string
let config: string
let digest: string

beforeAll(async () => {
  registries = await startMirrorAndUpstream('some-pods')
  digest = await registries.push(registries.mirror, 'library/app', '1')
  await registries.push(registries.upstream, 'library/app', '1')
  const text = registries.config.replace(
    'fallback:\n',
    `fallback:
  - { name: databases, when: { namespaces: ['*-db'], owners: [apps/StatefulSet] }, leave: true }
  - name: opt-out
    when: { namespaces: [some-web], pods: { matchLabels: { berth.dev/rewrite: disabled } } }
    leave: true
  - name: prod
    when: { namespaces: [some-prod] }
    images: ['docker.io/**']
    try: ['mirror.example/{path}']
    pin: { tags: ['*'] }
    otherwise: deny
`,
  )
  directory = mkdtempSync(join(tmpdir(), 'berth-some-pods-'))
  config = join(directory, 'berth.yaml')
  writeFileSync(config, text)
  webhook = await startWebhook({ name: 'some-pods', config: text, canary: 'app:1' })
  for (const name of namespaces) await kubectlOk(['create', 'namespace', name])
})

afterAll(async () => {
  await webhook?.stop()
  await removeNamespaces(...namespaces)
  await registries?.stop()
  rmSync(directory, { recursive: true, force: true })
})

function recordOf({ metadata }: Pod): object | undefined {
  return (JSON.parse(metadata.annotations?.['berth.dev/images'] ?? '[]') as object[]).at(0)
}

function deployment(namespace: string): object {
  const labels = { app: 'web' }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [{ name: 'main', image: 'app:1' }],
        },
      },
    },
  }
}

const statefulSet = statefulSetManifest({
  name: 'db',
  namespace: 'some-db',
  container: 'main',
  image: 'app:1',
})

describe('a row with owners', () => {
  test('leaves the pods of a StatefulSet unchanged, and they run from upstream', async () => {
    await apply(statefulSet)
    await waitFor('the pod of the StatefulSet', () => getPod('db-0', 'some-db'))
    const pod = await waitForPodRunning('db-0', 'some-db')

    expect(pod.spec.containers[0]).toMatchObject({
      image: 'app:1',
      imagePullPolicy: 'IfNotPresent',
    })
    expect(recordOf(pod)).toMatchObject({ row: 'databases', why: 'left unchanged by the row' })
  })

  test('does not match the pods of a Deployment in the same namespace', async () => {
    await apply(deployment('some-db'))
    const name = await waitFor('the pod of the Deployment', async () => {
      const args = ['get', 'pods', '-n', 'some-db', '-l', 'app=web', '-o', 'name']
      const [pod = ''] = (await kubectlOk(args)).split('\n')
      return pod !== '' && pod.replace('pod/', '')
    })

    expect((await waitForPodRunning(name, 'some-db')).spec.containers[0]?.image).toBe(onMirror)
  })
})

describe('a row with namespaces', () => {
  test('pins the images of its namespace, and denies those that the mirror lacks', async () => {
    const pinned = await dryRunPod('app:1', 'some-prod')
    const denied = await create(
      podManifest({ name: 'denied', image: 'missing:1', namespace: 'some-prod' }),
    )

    expect(pinned.spec.containers[0]?.image).toBe(`${onMirror}@${digest}`)
    expect((await dryRunPod('app:1', 'some-web')).spec.containers[0]?.image).toBe(onMirror)
    expect(denied.stderr).toContain('row prod has otherwise: deny')
  })
})

describe('the label berth.dev/rewrite: disabled on a pod', () => {
  const labelled = (namespace: string) => ({
    ...podManifest({ name: 'labelled', image: 'app:1', namespace }),
    metadata: { name: 'labelled', namespace, labels: { 'berth.dev/rewrite': 'disabled' } },
  })

  test('leaves the pod unchanged where a row selects it', async () => {
    await apply(labelled('some-web'))
    const pod = await waitForPodRunning('labelled', 'some-web')

    expect(pod.spec.containers[0]).toMatchObject({ image: 'app:1', imagePullPolicy: 'Always' })
    expect(recordOf(pod)).toMatchObject({ row: 'opt-out' })
  })

  test('causes a warning where no row selects it', async () => {
    const { stderr } = await create(labelled('some-db'))

    expect(stderr).toContain('label berth.dev/rewrite: disabled has no effect on a pod')
    expect((await getPod('labelled', 'some-db')).spec.containers[0]?.image).toBe(onMirror)
  })
})

test('a pod with imagePullPolicy Never runs the image that its node has', async () => {
  const never = podManifest({
    name: 'never',
    image: 'app:1',
    namespace: 'some-db',
    pullPolicy: 'Never',
  })
  // A cluster may have a node that has not pulled it.
  const ofDb = ['get', 'pod', 'db-0', '-n', 'some-db', '-o', 'jsonpath={.spec.nodeName}']
  const nodeSelector = { 'kubernetes.io/hostname': await kubectlOk(ofDb) }
  await apply({ ...never, spec: { ...(never['spec'] as object), nodeSelector } })
  const pod = await waitForPodRunning('never', 'some-db')

  expect(pod.spec.containers[0]).toMatchObject({ image: 'app:1', imagePullPolicy: 'Never' })
  expect(recordOf(pod)).toMatchObject({ why: 'left unchanged: imagePullPolicy is Never' })
})

describe('the command line', () => {
  const berth = async (...args: string[]) => {
    const input = JSON.stringify({
      apiVersion: 'v1',
      kind: 'List',
      items: [statefulSet, deployment('some-db')],
    })
    const { stdout } = await runBerth([...args, '--config', config], { input })
    return JSON.parse(stdout) as { row: string; left: boolean; image?: string; from?: string }[]
  }
  const cluster = () => ['--kubeconfig', currentCluster().kubeconfig, '-o', 'json']

  test('explains what the webhook did', async () => {
    const explain = (...pod: string[]) => berth('explain', 'app:1', '-o', 'json', ...pod)
    const owner = ['--owner', 'apps/StatefulSet']

    expect(await explain('-n', 'some-db', ...owner)).toMatchObject([
      { row: 'databases', left: true },
    ])
    expect(await explain('-n', 'some-db', '--owner', 'none', '--labels', '')).toMatchObject([
      { row: 'hub', undecidedRows: [] },
    ])
    expect(await explain('-n', 'some-db')).toMatchObject([
      { row: 'hub', undecidedRows: ['databases'] },
    ])
    expect(
      await explain('-n', 'some-web', '--labels', 'berth.dev/rewrite=disabled', ...owner),
    ).toMatchObject([{ row: 'opt-out', left: true }])
  })

  test('rewrites manifests as the webhook rewrites their pods', async () => {
    expect(await berth('rewrite', '-f', '-', '-o', 'json')).toMatchObject([
      { object: 'apps/StatefulSet db', to: 'app:1', row: 'databases', left: true },
      { object: 'apps/Deployment web', to: onMirror, row: 'hub', left: false },
    ])
  })

  test('reports the images of running pods by their rows', async () => {
    const { stdout } = await runBerth(['report', '-n', 'some-db', '--config', config, ...cluster()])
    const { images } = JSON.parse(stdout) as { images: { row: string | null; becomes: string }[] }

    expect(images.map(({ row, becomes }) => [row, becomes])).toEqual(
      expect.arrayContaining([
        ['databases', 'app:1'],
        ['hub', onMirror],
        [null, 'app:1'],
      ]),
    )
  })
})
