import { Agent, request } from 'node:https'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { auditEvents } from '../harness/audit-log.ts'
import { berthImageDigest } from '../harness/berth-image.ts'
import { dryRunPod, waitUntilRewritten } from '../harness/webhook.ts'
import { currentCluster } from '../harness/cluster.ts'
import { failOpenCount } from '../harness/fail-open-count.ts'
import {
  applyKustomization,
  podsOfComponent,
  readCaBundles,
  setCaBundle,
  waitForRollout,
} from '../harness/install.ts'
import {
  apply,
  create,
  createNamespace,
  kubectl,
  kubectlOk,
  remove,
  removeNamespaces,
} from '../harness/kubectl.ts'
import { type MirrorAndUpstream, startMirrorAndUpstream } from '../harness/mirror-and-upstream.ts'
import { namespace, writeOverlay } from '../harness/overlay.ts'
import { repository } from '../harness/paths.ts'
import { type PodStream, startPodStream } from '../harness/pod-stream.ts'
import { podManifest, waitForPodRunning } from '../harness/pods.ts'
import { type Prometheus, startPrometheus } from '../harness/prometheus.ts'
import { waitFor } from '../harness/wait.ts'
import { readTrend } from '../../src/console/trend.ts'
import { connect } from '../../src/kube/connect.ts'

/** Berth installed by kustomize from its own image, and called through its Service. */
const cluster = currentCluster()
const base = `${repository}deploy/base`
const leases = 'leases.coordination.k8s.io'
const configurations = 'mutatingwebhookconfigurations.admissionregistration.k8s.io'
const monitoring = join(repository, 'deploy/components/monitoring')
let registries: MirrorAndUpstream
let warnings: string

beforeAll(async () => {
  registries = await startMirrorAndUpstream('install', cluster.podAddress)
  await registries.push(registries.mirror, 'library/app', 'latest')
  await registries.push(registries.upstream, 'library/only-hub', '1')
  // The one command of docs/install.md. Berth creates its certificate and sets the caBundle.
  warnings = await applyKustomization(base)
  await waitForRollout()
  await waitForRollout('berth-controller')
})

afterAll(async () => {
  await kubectlOk(['delete', '-k', base, '--ignore-not-found'])
  for (const name of ['app', 'only-hub', 'away', 'left']) await remove('pod', name)
  await removeNamespaces('aside', 'strict')
  await registries?.stop()
})

/** Returns the rights of an account in Berth's namespace, without those of every account. */
async function rightsOf(account: string): Promise<string[][]> {
  const as = `--as=system:serviceaccount:${namespace}:${account}`
  const text = await kubectlOk(['auth', 'can-i', '--list', '-n', namespace, as])
  return text
    .split('\n')
    .slice(1)
    .filter((line) => line !== '' && !/^(selfsubject|\s)/.test(line))
    .map((line) => line.split(/\s{2,}/))
}

/** Writes an overlay with the table of `registries`. */
const tableOverlay = () =>
  writeOverlay('table', {
    base: 'deploy/base',
    files: { 'berth.yaml': registries.config },
    extra: `patches:
  - target: { kind: ValidatingAdmissionPolicy, name: berth-mirrors }
    patch: |
      - { op: replace, path: /spec/variables/0/expression, value: "['mirror.example']" }
`,
  })

/** Asks the API server whether it admits a pod, without creating it. */
const tryPod = (image: string, inNamespace = 'default') =>
  kubectl(['create', '--dry-run=server', '-f', '-'], {
    input: JSON.stringify(podManifest({ name: 'tried', image, namespace: inNamespace })),
  })

/** Waits until every webhook pod has loaded so many configs. */
async function waitForConfigs(count: number): Promise<void> {
  await waitFor(`the config to be loaded ${count} times by each pod`, async () => {
    for (const { name, address } of await podsOfComponent('webhook')) {
      const metrics = await (await fetch(`http://${address}:8080/metrics`)).text()
      const [, generation = '0'] = /^berth_config_generation (\d+)$/m.exec(metrics) ?? []
      if (Number(generation) < count) throw new Error(`${name}: generation ${generation}`)
    }
    return true
  })
}

describe('kubectl apply -k deploy/base', () => {
  test('prints no warning: the pods meet the restricted Pod Security Standard', async () => {
    const labels = await kubectlOk([
      'get',
      'namespace',
      namespace,
      '-o',
      'jsonpath={.metadata.labels}',
    ])

    expect(warnings).not.toMatch(/warning/i)
    expect(labels).toContain('"pod-security.kubernetes.io/enforce":"restricted"')
  })

  test('runs the built image without a shell, as a non-root user, on a read-only file system', async () => {
    const [pod] = await podsOfComponent('webhook')
    const status = ['get', 'pod', pod?.name ?? '', '-n', namespace, '-o']
    const imageId = await kubectlOk([...status, 'jsonpath={.status.containerStatuses[0].imageID}'])
    const run = (...command: string[]) =>
      kubectl(['exec', '-n', namespace, pod?.name ?? '', '--', ...command])
    const write = "fs.writeFileSync('/app/x','')"
    const [shell, user, file] = [
      await run('/bin/sh', '-c', 'true'),
      await run('/nodejs/bin/node', '-p', 'process.getuid()'),
      await run('/nodejs/bin/node', '-e', write),
    ]

    expect(imageId).toContain(berthImageDigest())
    expect(shell.stderr).toContain('no such file')
    expect(user.stdout.trim()).toBe('65532')
    expect(file.stderr).toContain('EROFS')
  })

  test('counts for the console, which reads the counts through the API server', async () => {
    const connection = await connect({ kubeconfig: cluster.kubeconfig, env: {} })
    try {
      const read = () => readTrend({ api: connection.api, namespace, now: Date.now })
      // Until a controller is the leader, none counts the pull failures.
      await expect
        .poll(async () => (await read()).points.at(-1)?.failing, { timeout: 60_000 })
        .toEqual(expect.any(Number))
      const { problem, processes, points } = await read()

      expect(problem).toBeNull()
      expect(processes.length).toBeGreaterThan(2)
      for (const process of processes)
        expect(process).toMatchObject({ problem: null, since: expect.any(Number) })
      expect(points.at(-1)?.errors).toBe(0)
    } finally {
      await connection.close()
    }
  })

  test('grants the webhook only its certificate and registration, and the controller only its Lease and Events', async () => {
    expect(await rightsOf('berth-webhook')).toEqual([
      ['secrets', '[]', '[]', '[create]'],
      [configurations, '[]', '[berth]', '[get list watch patch]'],
      ['secrets', '[]', '[berth-own-certificate]', '[get list watch update]'],
    ])
    expect(await rightsOf('berth-controller')).toEqual([
      ['events', '[]', '[]', '[create]'],
      [leases, '[]', '[]', '[create]'],
      [leases, '[]', '[berth-controller]', '[get update]'],
    ])
  })

  test('restores a caBundle that was overwritten', async () => {
    const before = await readCaBundles()
    await setCaBundle(Buffer.from(before).toString('base64').slice(0, 4))
    await waitFor('the caBundles', async () => (await readCaBundles()) === before)

    expect(before.split(' ')).toHaveLength(2)
  })

  test('loads a new table without a restart, and rewrites pods through the Service', async () => {
    const before = await podsOfComponent('webhook')
    await applyKustomization(tableOverlay())
    await waitForConfigs(2)
    await waitUntilRewritten('app')
    await apply(podManifest({ name: 'app', image: 'app' }))
    const pod = await waitForPodRunning('app')

    expect(pod.spec.containers[0]?.image).toMatch(/^mirror\.example\/library\/app:latest@sha256:/)
    expect(await podsOfComponent('webhook')).toEqual(before)
  })
})

test('an invalid config is not loaded, and an Event of the controller names the error', async () => {
  const broken = registries.config.replace('fallback:', 'fallbak:')
  await applyKustomization(
    writeOverlay('broken', { base: 'deploy/base', files: { 'berth.yaml': broken } }),
  )
  const events = ['get', 'events', '-n', namespace, '--field-selector=reason=ConfigNotInForce']
  const message = await waitFor(
    'the Event',
    async () => {
      const text = await kubectlOk([...events, '-o', 'jsonpath={.items[0].message}'])
      return text !== '' && text
    },
    { timeoutMs: 300_000 },
  )
  await waitUntilRewritten('app')
  await applyKustomization(tableOverlay())

  expect(message).toContain('fallbak')
  expect(message).toContain('the previous config stays in force')
})

describe('the policy', () => {
  test('warns about a pod with an image that is on no mirror, and only then', async () => {
    // The API server reads changed policies once a second. The one without the table, which names no mirror, never warns.
    const off = await waitFor('the policy with the table', async () => {
      const result = await tryPod('only-hub:1')
      return /on no mirror/.test(result.stderr) && result
    })
    const on = await tryPod('mirror.example/library/app:latest')

    expect(on.code).toBe(0)
    expect(on.stderr).not.toContain('on no mirror')
    expect(off.code).toBe(0)
    expect(off.stderr).toContain(
      'on no mirror: docker.io/library/only-hub:1; the annotation berth.dev/images says why',
    )
  })

  test('does not warn in a namespace that opted out', async () => {
    const labels = { 'berth.dev/rewrite': 'disabled' }
    await createNamespace('aside', labels)
    const { code, stderr } = await create(
      podManifest({ name: 'only-hub', image: 'only-hub:1', namespace: 'aside' }),
    )

    expect(code).toBe(0)
    expect(stderr).toBe('')
  })

  test('rejects a pod if the binding says Deny', async () => {
    const set = (actions: string[]) =>
      kubectlOk([
        'patch',
        'validatingadmissionpolicybinding',
        'berth-mirrors',
        '-p',
        JSON.stringify({ spec: { validationActions: actions } }),
      ])
    await set(['Deny', 'Audit'])
    const { code, stderr } = await waitFor('a rejection', async () => {
      const result = await tryPod('only-hub:1')
      return result.code !== 0 && result
    })
    await set(['Audit', 'Warn'])
    await waitFor('the end of Deny', async () => (await tryPod('only-hub:1')).code === 0)

    expect(code).toBe(1)
    expect(stderr).toContain('on no mirror: docker.io/library/only-hub:1')
  })
})

test('a second binding of the policy rejects pods in the namespaces that it selects only', async () => {
  const [binding = ''] =
    /^apiVersion: admission[^`]*mirrors: required[^`]*/m.exec(
      readFileSync(join(repository, 'docs/operations.md'), 'utf8'),
    ) ?? []
  const labels = { mirrors: 'required' }
  await createNamespace('strict', labels)
  await apply(binding)
  const { stderr } = await waitFor('a rejection', async () => {
    const result = await tryPod('only-hub:1', 'strict')
    return result.code !== 0 && result
  })
  const elsewhere = await tryPod('only-hub:1')
  await remove('validatingadmissionpolicybinding', 'berth-mirrors-required')

  expect(stderr).toContain('on no mirror: docker.io/library/only-hub:1')
  expect(elsewhere.code).toBe(0)
})

describe('Prometheus', () => {
  let prometheus: Prometheus
  let pods: PodStream

  beforeAll(async () => {
    const rule = parse(readFileSync(join(monitoring, 'alerts.yaml'), 'utf8')) as { spec: object }
    const target = async (component: string) => {
      const pods = await podsOfComponent(component)
      return {
        job: `berth-${component}-metrics`,
        addresses: pods.map(({ address }) => `${address}:8080`),
        labels: { namespace },
      }
    }
    prometheus = await startPrometheus(
      [await target('webhook'), await target('controller')],
      rule.spec,
    )
    const [pod] = await podsOfComponent('webhook')
    // A rate needs a change between two scrapes, for every metric of the dashboard.
    await waitFor(
      'the first scrape',
      async () => (await prometheus.query('berth_config_generation')).length > 1,
    )
    await requestUnknownPath(pod?.address ?? '')
    pods = await startPodStream(['app', 'only-hub:1'], { perSecond: 10 })
  })

  afterAll(async () => {
    await pods?.stop()
    await prometheus?.stop()
  })

  const { panels } = JSON.parse(readFileSync(join(monitoring, 'berth.json'), 'utf8')) as {
    panels: { title: string; targets: { expr: string }[] }[]
  }

  test.each(panels.map(({ title, targets }) => [title, targets] as const))(
    "has data for the dashboard's panel %s",
    async (_, targets) => {
      for (const { expr } of targets) {
        const expression = expr.replaceAll('$__rate_interval', '1m')
        // A rate has a value after two scrapes. A quantile of no samples is NaN.
        const check = async () => {
          const result = await prometheus.query(expression)
          const numbers = result.map(({ value }) => Number(value[1])).filter(Number.isFinite)
          return numbers.length > 0 && numbers
        }

        expect((await waitFor(expression, check)).length).toBeGreaterThan(0)
      }
    },
  )

  test('evaluates every alert, and none fires', async () => {
    const rules = await waitFor('an evaluation of the rules', async () => {
      const all = await prometheus.rules()
      return all.length > 0 && all.every(({ health }) => health === 'ok') && all
    })

    expect(rules.filter(({ state }) => state === 'firing').map(({ name }) => name)).toEqual([])
  })

  test('counts a call that failed open, and the policy reports the unprocessed pod', async () => {
    const scale = (replicas: number) =>
      kubectlOk(['scale', 'deployment/berth-webhook', '-n', namespace, `--replicas=${replicas}`])
    await scale(0)
    await pods.stop()
    await waitFor(
      'the last webhook pod to be deleted',
      async () => (await podsOfComponent('webhook')).length === 0,
    )
    // Earlier scenarios have failed open too.
    const before = await failOpenCount()
    const { code, stderr } = await create(podManifest({ name: 'away', image: 'app' }))
    const failOpen = `apiserver_admission_webhook_fail_open_count{name="mutate.berth.dev"} > ${before}`
    const [count] = await waitFor('the fail-open count', async () => {
      const result = await prometheus.query(failOpen)
      return result.length > 0 && result
    })
    const [event] = await waitFor('the audit event', () => {
      const events = auditEvents(
        ({ objectRef, annotations }) =>
          objectRef?.name === 'away' &&
          annotations?.['validation.policy.admission.k8s.io/validation_failure'] !== undefined,
      )
      return events.length > 0 && events
    })
    await scale(2)
    await waitForRollout()

    expect(code).toBe(0)
    expect(stderr).toContain('on no mirror: docker.io/library/app; Berth did not process this pod')
    expect(count?.metric['name']).toBe('mutate.berth.dev')
    expect(JSON.stringify(event?.annotations)).toContain('Berth did not process this pod')
  })
})

/** Sends the webhook a request for an unknown path. */
async function requestUnknownPath(address: string): Promise<void> {
  const agent = new Agent({ rejectUnauthorized: false })
  const call = request({ agent, host: address, port: 8443, path: '/elsewhere' })
  call.end()
  const [response] = (await once(call, 'response')) as [{ statusCode: number; resume(): void }]
  response.resume()
  agent.destroy()
  expect(response.statusCode).toBe(404)
}

describe('uninstalling', () => {
  test('with kubectl delete -k and failurePolicy Fail rejects no pod', async () => {
    const closed = writeOverlay('closed', {
      base: 'deploy/overlays/fail-closed',
      files: { 'berth.yaml': registries.config },
    })
    await applyKustomization(closed)
    await waitForRollout()
    const pods = await startPodStream(['app'])
    await pods.waitForPods(10)
    await kubectlOk(['delete', '-k', closed])
    await pods.waitForPods(10)
    const { failures } = await pods.stop()

    expect(failures).toEqual([])
    expect(
      await kubectlOk([
        'get',
        'mutatingwebhookconfigurations,clusterroles',
        '-l',
        'app.kubernetes.io/name=berth',
        '-o',
        'name',
      ]),
    ).toBe('')
  })

  test('leaves a registration that rejects no pod if only the namespace was deleted', async () => {
    const before = await failOpenCount()
    await apply(readFileSync(join(repository, 'webhook-config/mutating-webhook.yaml'), 'utf8'))
    await waitFor('a call of the webhook that is gone', async () => {
      await dryRunPod('app')
      return (await failOpenCount()) > before
    })
    const { code } = await create(podManifest({ name: 'left', image: 'app' }))

    expect(code).toBe(0)
  })
})
