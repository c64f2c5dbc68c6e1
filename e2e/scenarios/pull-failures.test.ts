import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { type Controller, createControllerAccount, startController } from '../harness/controller.ts'
import { pushImage } from '../harness/images.ts'
import {
  apply,
  getJson,
  kubectlOk,
  type KubeObject,
  remove,
  removeNamespaces,
} from '../harness/kubectl.ts'
import { readDocs } from '../harness/paths.ts'
import { getPod, podManifest, waitForPullFailure, waitForPodRunning } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { waitFor } from '../harness/wait.ts'

/** Pods that cannot pull: the controller records an Event for each, and `berth diagnose --fix` fixes what it can. */
const cluster = currentCluster()
const own = 'pull-failures-berth'
const namespace = 'pull-failures'
const team = 'fix-team'
const vault = 'fix-vault'
const account = { username: 'puller', password: 'canary-pull-failures' }

let open: Registry
let locked: Registry

beforeAll(async () => {
  open = await startRegistry(cluster, { name: 'failures-open' })
  locked = await startRegistry(cluster, { name: 'failures-locked', htpasswd: account })
  await pushImage({
    registry: locked.url,
    repository: 'team/app',
    tag: '1',
    binary: cluster.pauseBinary,
    marker: 'pull-failures',
    auth: account,
  })
  for (const each of [own, namespace, team, vault]) await kubectlOk(['create', 'namespace', each])
})

afterAll(async () => {
  await removeNamespaces(own, namespace, team, vault)
  for (const kind of ['clusterrolebinding', 'clusterrole'])
    await remove(kind, 'berth-pull-failures')
  await open?.stop()
  await locked?.stop()
})

function pullSecret(name: string, host: string, home: string, labels = {}): object {
  const auth = Buffer.from(`${account.username}:${account.password}`).toString('base64')
  const content = JSON.stringify({ auths: { [host]: { auth } } })
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: home, labels },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(content).toString('base64') },
  }
}

type Event = KubeObject & { reason: string; message: string; count?: number }

async function eventsOf(pod: string, reason: string): Promise<Event[]> {
  const selector = `involvedObject.name=${pod},reason=${reason}`
  const text = await kubectlOk(['get', 'events', '-n', namespace, `--field-selector=${selector}`, '-o', 'json']) // prettier-ignore
  return (JSON.parse(text) as { items: Event[] }).items
}

async function pullsOf(pod: string): Promise<number> {
  const events = await eventsOf(pod, 'Pulling')
  return events.reduce((sum, { count = 1 }) => sum + count, 0)
}

describe('the controller with the rights of docs/diagnose.md', () => {
  let controller: Controller

  const failureMetrics = async () =>
    (await controller.metrics())
      .split('\n')
      .filter((line) => line.startsWith('berth_pull_failures{'))

  beforeAll(async () => {
    const [rights = ''] =
      [...readDocs('diagnose.md').matchAll(/^```yaml\n([^]*?)^```$/gm)]
        .map(([, body = '']) => body)
        .filter((body) => body.includes('kind: ClusterRole')) ?? []
    const role = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'berth-pull-failures' } // prettier-ignore
    await apply([
      ...parseAllDocuments(rights).map((document) => document.toJS() as object),
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: role.name },
        roleRef: role,
        subjects: [{ kind: 'ServiceAccount', name: 'berth-controller', namespace: own }],
      },
    ])
    controller = await startController({
      name: 'pull-failures',
      namespace: own,
      kubeconfig: await createControllerAccount(own),
      config: `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries: [{ host: '${open.host}', endpoint: '${open.url}', mirror: true }]
pullFailures: { readSecrets: true }
`,
    })
    await apply([
      podManifest({ name: 'missing-tag', namespace, image: `${open.host}/team/app:2` }),
      podManifest({
        name: 'missing-secret',
        namespace,
        image: `${locked.host}/team/app:1`,
        pullSecret: 'gone',
      }),
    ])
  })

  afterAll(async () => {
    await controller?.stop()
  })

  test('records one Event for each pod, however often the kubelet tries', async () => {
    for (const pod of ['missing-tag', 'missing-secret'])
      await waitFor(`the third attempt of ${pod}`, async () => (await pullsOf(pod)) >= 3, {
        timeoutMs: 300_000,
        intervalMs: 1_000,
      })
    const recorded = await Promise.all(
      ['missing-tag', 'missing-secret'].map((pod) => eventsOf(pod, 'ImagePullDiagnosed')),
    )

    expect(recorded.map((events) => events.length)).toEqual([1, 1])
    const [[tag] = [], [secret] = []] = recorded
    expect(tag?.message).toContain(`cannot pull ${open.host}/team/app:2: `)
    expect(tag?.message).toContain('[not-found, likely, D40]')
    expect(secret?.message).toMatch(/\(gone\) \[pull-secret-missing, (?:proved|likely), D05\]/)
    expect(JSON.stringify(recorded)).not.toContain('canary')
    expect(await failureMetrics()).toEqual(
      expect.arrayContaining([
        `berth_pull_failures{cause="not-found",registry="${open.host}"} 1`,
        'berth_pull_failures{cause="pull-secret-missing",registry="other"} 1',
      ]),
    )
  })

  test('removes the metric of a deleted pod', async () => {
    await remove('pod', 'missing-tag', namespace)

    await waitFor('one remaining metric', async () => (await failureMetrics()).length === 1)
    expect((await failureMetrics())[0]).toContain('cause="pull-secret-missing"')
  })
})

interface FixReport {
  readonly fix: {
    readonly steps: readonly { readonly do: string; readonly outcome: string }[]
    readonly left: readonly { readonly pod: string; readonly why: string }[]
  }
}

describe('berth diagnose --fix', () => {
  const image = () => `${locked.host}/team/app:1`
  const fix = (...args: string[]) => runBerth(['diagnose', '--fix', '-n', team, ...args])
  const report = async (...args: string[]) => {
    const { stdout, stderr, code } = await fix(...args, '-o', 'json')
    expect(`${stdout}${stderr}`).not.toContain('canary')
    return { ...(JSON.parse(stdout) as FixReport).fix, code }
  }
  const accountNow = () =>
    getJson<KubeObject & { imagePullSecrets: { name: string }[]; metadata: { resourceVersion: string } }>('serviceaccount', 'default', team) // prettier-ignore
  const uidOf = async (name: string) => (await getPod(name, team)).metadata.uid

  beforeAll(async () => {
    await apply([
      pullSecret('elsewhere', 'elsewhere.example', team),
      pullSecret('team-pull', locked.host, vault),
    ])
    const list = JSON.stringify({ imagePullSecrets: [{ name: 'elsewhere' }] })
    await waitFor('the service account', () => getJson('serviceaccount', 'default', team))
    await kubectlOk(['patch', 'serviceaccount', 'default', '-n', team, '-p', list])
    const labels = { app: 'web' }
    await apply([
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'web', namespace: team },
        spec: {
          replicas: 2,
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: podManifest({ name: 'web', image: image() })['spec'],
          },
        },
      },
      podManifest({ name: 'bare', namespace: team, image: image() }),
    ])
    await waitForPullFailure('bare', team)
    await waitFor('both pods of the Deployment to fail', async () => {
      const { steps, left } = await report('--dry-run')
      expect(steps).toEqual([])
      return left.length === 3
    })
  })

  test('copies no secret without consent', async () => {
    const { steps, left, code } = await report('--yes')

    expect({ steps, code }).toEqual({ steps: [], code: 1 })
    expect(left[0]?.why).toContain('label one berth.dev/copy=allowed')
  })

  test('prints the plan with --dry-run, and does nothing without a terminal or --yes', async () => {
    await kubectlOk(['label', 'secret', 'team-pull', '-n', vault, 'berth.dev/copy=allowed'])
    const shown = await fix('--dry-run')
    const withoutTerminal = await fix()

    expect(shown.code).toBe(1)
    expect(shown.stdout).toContain(`plan  copy secret ${vault}/team-pull to ${team}\n`)
    expect(shown.stdout).toContain(
      `plan  link secret team-pull to service account ${team}/default\n`,
    )
    expect(
      shown.stdout.match(/^plan {2}recreate pod fix-team\/web-.* of ReplicaSet\/web-/gm),
    ).toHaveLength(2)
    expect(withoutTerminal).toMatchObject({ code: 2, stderr: expect.stringContaining('use --yes') })
    expect((await accountNow()).imagePullSecrets).toEqual([{ name: 'elsewhere' }])
    expect(await kubectlOk(['get', 'secrets', '-n', team, '-o', 'name'])).toBe('secret/elsewhere\n')
  })

  test('fixes the Deployment, and reports the pod without a controller', async () => {
    const bare = await uidOf('bare')
    const { steps, left, code } = await report('--yes')

    expect(steps.map((step) => `${step.do} ${step.outcome}`)).toEqual([
      'copy done',
      'link done',
      'recreate done',
      'recreate done',
    ])
    expect(left).toEqual([
      { namespace: team, pod: 'bare', why: 'the pod has no controller: delete and recreate it' },
    ])
    expect(code).toBe(1)
    await kubectlOk(['rollout', 'status', 'deployment/web', '-n', team, '--timeout=300s'])
    expect((await accountNow()).imagePullSecrets).toEqual([
      { name: 'elsewhere' },
      { name: 'team-pull' },
    ])
    expect(await uidOf('bare')).toBe(bare)
    expect(await waitForPullFailure('bare', team)).not.toBe('')
  })

  test('does nothing the second time', async () => {
    const before = await accountNow()
    const { steps, left, code } = await report('--yes')

    expect({ steps, code }).toEqual({ steps: [], code: 1 })
    expect(left.map(({ pod }) => pod)).toEqual(['bare'])
    expect((await accountNow()).metadata.resourceVersion).toBe(before.metadata.resourceVersion)
  })

  test('copies a missing secret under the name that the pod uses, without recreating the pod', async () => {
    await remove('pod', 'bare', team)
    await apply(podManifest({ name: 'named', namespace: team, image: image(), pullSecret: 'mine' }))
    await waitForPullFailure('named', team)
    const uid = await uidOf('named')
    const { steps, left, code } = await report('--yes', '--secret', `${vault}/team-pull`)

    expect(steps).toEqual([
      {
        do: 'copy',
        namespace: team,
        secret: 'mine',
        from: { namespace: vault, name: 'team-pull', expiresAt: null },
        outcome: 'done',
        problem: null,
      },
    ])
    expect({ left, code }).toEqual({ left: [], code: 0 })
    await waitForPodRunning('named', team)
    expect(await uidOf('named')).toBe(uid)
    expect(await fix()).toMatchObject({ code: 0 })
  })
})
