import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PullFinding } from '../../src/diagnose/findings.ts'
import { dirname } from 'node:path'
import { runBerth } from '../harness/berth-cli.ts'
import { run } from '../harness/command.ts'
import { currentCluster } from '../harness/cluster.ts'
import {
  type DiagnoseRegistries,
  ecrHost,
  puller,
  startDiagnoseRegistries,
} from '../harness/diagnose-registries.ts'
import { apply, kubectlOk, remove } from '../harness/kubectl.ts'
import { podManifest, statefulSetManifest } from '../harness/pods.ts'
import { waitFor } from '../harness/wait.ts'

/** `berth diagnose` finds the cause of every pull failure that a real kubelet reports. */
const cluster = currentCluster()
const namespace = 'diagnose'
const pasted = 'pasted'
const namespaces = [namespace, pasted, 'identity', 'ushadow', 'database', 'cf-dev', 'openshift-marketplace', 'openshift-config'] // prettier-ignore

let registries: DiagnoseRegistries

interface Case {
  readonly name: string
  readonly image: () => string
  readonly secret?: string
  readonly pullPolicy?: 'Never'
  readonly rule: string
  readonly cause: string
  readonly certainty: string
}

const cases: readonly Case[] = [
  { name: 'missing-tag', image: () => `${registries.open.host}/team/app:2`, rule: 'D37', cause: 'tag-missing', certainty: 'proved' },
  { name: 'missing-repository', image: () => `${registries.open.host}/team/none:1`, rule: 'D38', cause: 'repository-missing', certainty: 'proved' },
  { name: 'no-platform', image: () => `${registries.open.host}/team/foreign:1`, rule: 'D35', cause: 'platform-missing', certainty: 'proved' },
  { name: 'no-secret', image: () => `${registries.locked.host}/team/app:1`, rule: 'D22', cause: 'no-credential', certainty: 'proved' },
  { name: 'wrong-password', image: () => `${registries.locked.host}/team/app:1`, secret: 'wrong-password', rule: 'D25', cause: 'credential-refused', certainty: 'proved' },
  { name: 'wrong-type', image: () => `${registries.locked.host}/team/app:1`, secret: 'opaque', rule: 'D06', cause: 'pull-secret-ignored', certainty: 'proved' },
  { name: 'missing-secret', image: () => `${registries.locked.host}/team/app:1`, secret: 'gone', rule: 'D05', cause: 'pull-secret-missing', certainty: 'proved' },
  { name: 'never-matches', image: () => 'team/app:1', secret: 'hub', rule: 'D07', cause: 'no-matching-credential', certainty: 'proved' },
  { name: 'stale-for-public', image: () => 'freeipa/freeipa-server:rocky-9', secret: 'stale', rule: 'D25', cause: 'credential-refused', certainty: 'proved' },
  { name: 'undecodable', image: () => `${registries.open.host}/team/app:1`, secret: 'broken', rule: 'D04', cause: 'pull-secret-undecodable', certainty: 'proved' },
  { name: 'never', image: () => `${registries.open.host}/team/app:never`, pullPolicy: 'Never', rule: 'D02', cause: 'never-pulled', certainty: 'proved' },
  { name: 'invalid', image: () => 'Team/App:1', rule: 'D01', cause: 'invalid-reference', certainty: 'proved' },
  { name: 'localhost-refused', image: () => 'down.example/team/app:1', rule: 'D51', cause: 'localhost-refused', certainty: 'proved' },
  { name: 'refused', image: () => 'refused.example/team/app:1', rule: 'D52', cause: 'connection-refused', certainty: 'proved' },
  { name: 'hanging', image: () => 'hanging.example/team/app:1', rule: 'D53', cause: 'timeout', certainty: 'proved' },
  { name: 'plain-http', image: () => 'plain.example/team/app:1', rule: 'D45', cause: 'http-registry', certainty: 'proved' },
  { name: 'unknown-ca', image: () => 'ca.example/team/app:1', rule: 'D47', cause: 'unknown-ca', certainty: 'proved' },
  { name: 'wrong-name', image: () => 'names.example/team/app:1', rule: 'D48', cause: 'certificate-invalid', certainty: 'proved' },
  { name: 'unresolvable', image: () => 'nowhere.example/team/app:1', rule: 'D50', cause: 'dns', certainty: 'proved' },
  { name: 'limited', image: () => 'busy.example/team/app:1', rule: 'D20', cause: 'rate-limited', certainty: 'proved' },
  { name: 'broken-registry', image: () => 'broken.example/team/app:1', rule: 'D56', cause: 'server-error', certainty: 'proved' },
  { name: 'no-blobs', image: () => 'half.example/team/app:1', rule: 'D39', cause: 'blob-missing', certainty: 'proved' },
  { name: 'other-bytes', image: () => 'altered.example/team/app:1', rule: 'D61', cause: 'digest-mismatch', certainty: 'likely' },
] // prettier-ignore

beforeAll(async () => {
  registries = await startDiagnoseRegistries(cluster)
  for (const name of namespaces) await kubectlOk(['create', 'namespace', name])
  const auth = authOf(puller.password)
  const wrong = authOf('canary-wrong')
  await apply([
    secret('wrong-password', { [registries.locked.host]: { auth: wrong } }),
    secret('opaque', { [registries.locked.host]: { auth } }, { type: 'Opaque' }),
    secret('hub', { 'registry-1.docker.io': { auth } }),
    secret('stale', { 'https://index.docker.io/v1/': { auth: wrong } }),
    secret('broken', { 'elsewhere.example': { auth: 'bm90LWEtcGFpcg==' } }),
  ])
  const pods = cases.map(({ name, image, secret: pullSecret, pullPolicy }) =>
    podManifest({
      name,
      namespace,
      image: image(),
      ...(pullSecret === undefined ? {} : { pullSecret }),
      ...(pullPolicy === undefined ? {} : { pullPolicy }),
    }),
  )
  const volumes = [
    { name: 'model', image: { reference: `${registries.locked.host}/team/model:1` } },
  ]
  const volumeMounts = [{ name: 'model', mountPath: '/model' }]
  const containers = [{ name: 'main', image: `${registries.open.host}/team/app:1`, volumeMounts }]
  const withVolume = podManifest({ name: 'volume', namespace, image: '' })
  await apply([...pods, { ...withVolume, spec: { containers, volumes } }])
})

afterAll(async () => {
  for (const name of namespaces) {
    // With force, because some pods have no kubelet that reports their end.
    await kubectlOk(['delete', 'pods', '--all', '-n', name, '--force', '--grace-period=0'])
    await remove('namespace', name)
  }
  await remove('node', 'full-node')
  await kubectlOk(['delete', 'crd', '--selector=berth-e2e=diagnose', '--ignore-not-found'])
  await registries?.stop()
})

function authOf(password: string): string {
  return Buffer.from(`${puller.username}:${password}`).toString('base64')
}

interface SecretOptions {
  readonly type?: string
  readonly in?: string
}

function secret(name: string, auths: object, options: SecretOptions = {}) {
  const { type = 'kubernetes.io/dockerconfigjson', in: home = namespace } = options
  const isLegacy = type === 'kubernetes.io/dockercfg'
  const text = JSON.stringify(isLegacy ? auths : { auths })
  const key = isLegacy ? '.dockercfg' : '.dockerconfigjson'
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: home },
    type,
    data: { [key]: Buffer.from(text).toString('base64') },
  }
}

function diagnose(...args: string[]) {
  return runBerth(['diagnose', ...args, '--config', registries.config])
}

/** Waits until `berth diagnose` finds something about a pod, and returns that. */
function findingsOf(pod: string, home: string, ...more: string[]): Promise<PullFinding[]> {
  return waitFor(`a finding about ${pod}`, async () => {
    const { stdout, stderr } = await diagnose(pod, '-n', home, '-o', 'json', ...more)
    const { findings } = JSON.parse(stdout) as { findings: PullFinding[] }
    // D14 is the kubelet's own queue: it pulls the images of so many pods one after another.
    if (findings.length === 0 || findings[0]?.rule === 'D14')
      throw new Error(`no finding yet ${stderr}`)
    expect(stdout + stderr).not.toContain('canary')
    return findings
  })
}

const evidence = (finding: PullFinding | undefined) =>
  finding?.evidence.map(({ says }) => says) ?? []

describe('berth diagnose for a pod that cannot pull', () => {
  test.each(cases)('finds rule $rule for $name', async ({ name, rule, cause, certainty }) => {
    const found = await findingsOf(`pod/${name}`, namespace)

    expect(found).toEqual([expect.objectContaining({ rule, cause, certainty })])
    expect(found[0]?.failures).toEqual([expect.objectContaining({ namespace, pod: name })])
  })

  test('reports the image of a volume, not that of the container which mounts it', async () => {
    const [found] = await findingsOf('pod/volume', namespace)

    expect(found).toMatchObject({ rule: 'D22', registry: registries.locked.host })
    expect(found?.failures).toEqual([
      expect.objectContaining({
        container: 'main',
        field: 'volumes/model',
        image: `${registries.locked.host}/team/model:1`,
      }),
    ])
  })

  test('suggests only tags that exist in the registry', async () => {
    const [found] = await findingsOf('pod/missing-tag', namespace)

    expect(found?.fix).toContain('1, 1.1')
    expect(found?.evidence).toContainEqual({
      from: 'registry',
      says: 'team/app:1.1 exists',
      vantage: 'this machine, not the node',
    })
  })

  test('suggests removing a stale secret that breaks the pull of a public image', async () => {
    const [found] = await findingsOf('pod/stale-for-public', namespace)

    expect(found?.fix).toContain('remove the secret')
  })

  test('sends no request to a registry with --no-probe', async () => {
    const requestCount = async () =>
      (await registries.open.accessLog()).filter((line) => line.endsWith('"berth"')).length
    const before = await requestCount()
    const [found] = await findingsOf('pod/missing-tag', namespace, '--no-probe')

    expect(found).toMatchObject({ rule: 'D40', certainty: 'likely' })
    expect(found?.evidence.some(({ vantage }) => vantage !== undefined)).toBe(false)
    expect(before).toBeGreaterThan(0)
    expect(await requestCount()).toBe(before)
  })

  test('says which candidate exists and why the pod does not use it', async () => {
    await apply(podManifest({ name: 'mirrored', namespace, image: 'mirrored.example/team/app:1' }))

    const [found] = await findingsOf('pod/mirrored', namespace)

    expect(found).toMatchObject({ rule: 'D51', certainty: 'proved' })
    expect(found?.berth).toEqual([
      expect.stringContaining(
        `row mirrored would use ${registries.open.host}/team/app:1: it exists`,
      ),
      "not used: Berth's webhook is not installed in this cluster",
    ])
  })

  test("proves a full disk by the node's conditions", async () => {
    await apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'full-node' } })
    const pressure = { type: 'DiskPressure', status: 'True', reason: 'KubeletHasDiskPressure', message: 'kubelet has disk pressure' } // prettier-ignore
    const message =
      'failed to pull and unpack image "r.example/app:1": failed to extract layer sha256:0: write /var/lib/containerd/tmpmounts/x: no space left on device'
    await failingPod({ name: 'full', in: namespace, image: 'r.example/app:1', message, node: 'full-node' }) // prettier-ignore

    const found = await waitFor('a finding about the full disk', async () => {
      // The node controller resets the conditions of a node without a kubelet after 50 s.
      await patchStatus('node', 'full-node', 'default', { conditions: [pressure] })
      const findings = await findingsOf('pod/full', namespace)
      if (findings[0]?.certainty !== 'proved') throw new Error(JSON.stringify(findings))
      return findings
    })

    expect(found).toEqual([expect.objectContaining({ rule: 'D60', certainty: 'proved' })])
    expect(evidence(found[0]).join()).toContain('full-node has DiskPressure')
  })

  test('prints all findings of a namespace as text', async () => {
    const { stdout, code } = await diagnose('-n', namespace)

    expect(code).toBe(1)
    expect(stdout).not.toContain('canary')
    expect(stdout).toContain(
      '.auths["https://index.docker.io/v1/"] = .auths["registry-1.docker.io"]',
    )
    expect(stdout).toContain('asked from this machine, not the node')
  })
})

/** A pod that fails until someone pastes what `berth diagnose` prints. */
interface PastedCase {
  readonly name: string
  readonly rule: string
  readonly kind?: 'Deployment'
  /** The pull secrets in the template. */
  readonly secrets?: readonly string[]
  readonly account?: string
}

const pastedCases: readonly PastedCase[] = [
  { name: 'bare-no-secret', rule: 'D22' },
  { name: 'no-secret', rule: 'D22', kind: 'Deployment', account: 'without-list' },
  { name: 'other-secret', rule: 'D22', kind: 'Deployment', account: 'with-list' },
  { name: 'own-list', rule: 'D22', kind: 'Deployment', secrets: ['elsewhere'] },
  { name: 'missing-secret', rule: 'D05', secrets: ['gone'] },
  { name: 'opaque', rule: 'D06', secrets: ['opaque'] },
  { name: 'config-json', rule: 'D06', secrets: ['config-json'] },
  { name: 'legacy-content', rule: 'D06', secrets: ['legacy-content'] },
  { name: 'basic-auth', rule: 'D06', secrets: ['basic-auth'] },
  { name: 'no-config', rule: 'D06', secrets: ['no-config'] },
  { name: 'other-port', rule: 'D07', secrets: ['other-port'] },
  { name: 'other-path', rule: 'D07', secrets: ['other-path'] },
  { name: 'late-account', rule: 'D08', account: 'late' },
  { name: 'no-user', rule: 'D09', secrets: ['no-user'] },
  { name: 'wrong-password', rule: 'D25', secrets: ['wrong'] },
  { name: 'wrong-among-others', rule: 'D25', secrets: ['wrong-and-others'] },
]

async function createPastedCases() {
  const { host } = registries.locked
  const [name = ''] = host.split(':')
  const [auth, wrong] = [authOf(puller.password), authOf('canary-wrong')]
  const home = { in: pasted }
  const opaque = (secretName: string, data: Record<string, string>) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: secretName, namespace: pasted },
    stringData: data,
  })
  const config = JSON.stringify({ auths: { [host]: { auth } } })
  await apply([
    secret('elsewhere', { 'elsewhere.example': { auth } }, home),
    secret('opaque', { [host]: { auth } }, { ...home, type: 'Opaque' }),
    opaque('config-json', { 'config.json': config }),
    opaque('legacy-content', { '.dockercfg': JSON.stringify({ [host]: { auth } }) }),
    opaque('basic-auth', { username: puller.username, password: puller.password }),
    opaque('no-config', { token: 'canary-token' }),
    secret('other-port', { [`${name}:1`]: { auth }, 'elsewhere.example': { auth } }, home),
    secret('other-path', { [`${host}/other`]: { auth: wrong }, 'elsewhere.example': { auth } }, home),
    secret('no-user', { [host]: {} }, home),
    secret('wrong', { [host]: { auth: wrong } }, home),
    secret('wrong-and-others', { [host]: { auth: wrong }, 'elsewhere.example': { auth } }, home),
    secret('late', { [host]: { auth } }, home),
  ]) // prettier-ignore
  await serviceAccount('without-list', pasted)
  await serviceAccount('with-list', pasted, { imagePullSecrets: [{ name: 'elsewhere' }] })
  await serviceAccount('late', pasted)
  await apply(pastedCases.map(pastedManifest))
  await kubectlOk(['patch', 'serviceaccount', 'late', '-n', pasted, '--type=merge', '-p', '{"imagePullSecrets":[{"name":"late"}]}']) // prettier-ignore
}

function pastedManifest({ name, kind, secrets, account }: PastedCase): object {
  const pod = podManifest({
    name,
    namespace: pasted,
    image: `${registries.locked.host}/team/app:1`,
  })
  const labels = { app: name }
  const spec = {
    ...(pod['spec'] as object),
    ...(secrets === undefined ? {} : { imagePullSecrets: secrets.map((each) => ({ name: each })) }),
    ...(account === undefined ? {} : { serviceAccountName: account }),
  }
  const metadata = { name, namespace: pasted, labels }
  return kind === undefined
    ? { ...pod, metadata, spec }
    : {
        apiVersion: 'apps/v1',
        kind,
        metadata,
        spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
      }
}

describe('the commands that berth diagnose prints', () => {
  test('make each pod run when they are pasted', async () => {
    await createPastedCases()
    const findings = await waitFor('every pod to fail with its cause', async () => {
      const { stdout } = await diagnose('-n', pasted, '-o', 'json')
      const { findings: found } = JSON.parse(stdout) as { findings: PullFinding[] }
      const rules = found.flatMap(({ rule, failures }) =>
        failures.map(({ pod }) => `${pastedCases.find(({ name, kind }) => pod === name || (kind !== undefined && pod.startsWith(`${name}-`)))?.name} ${rule}`),
      ) // prettier-ignore
      expect(rules.toSorted()).toEqual(
        pastedCases.map(({ name, rule }) => `${name} ${rule}`).toSorted(),
      )
      return found
    })
    const commands = findings.flatMap((finding) => finding.commands)
    expect(findings.filter((finding) => finding.commands.length === 0)).toEqual([])
    for (const command of commands) {
      const result = await run('bash', ['-c', command], {
        env: {
          KUBECONFIG: cluster.kubeconfig,
          PATH: `${dirname(cluster.kubectl)}:${process.env['PATH']}`,
          REGISTRY_USER: puller.username,
          REGISTRY_PASSWORD: puller.password,
        },
      })
      expect({ command, ...result }).toMatchObject({ code: 0 })
    }
    // A container may use it.
    const kept = await kubectlOk(['get', 'secret', 'no-config', '-n', pasted, '-o', 'jsonpath={.data.token}']) // prettier-ignore
    expect(Buffer.from(kept, 'base64').toString()).toBe('canary-token')
    await waitFor('every pod to run', async () => {
      const { items } = JSON.parse(
        await kubectlOk(['get', 'pods', '-n', pasted, '-o', 'json']),
      ) as PodList
      const waiting = items.filter(({ status }) => status.phase !== 'Running')
      expect(
        waiting.map(({ metadata, status }) => `${metadata.name} ${JSON.stringify(status)}`),
      ).toEqual([])
      expect(items).toHaveLength(pastedCases.length)
      return true
    })
  })
})

type PodList = { items: { metadata: { name: string }; status: { phase: string } }[] }

interface FailingPod {
  readonly name: string
  readonly in: string
  readonly image: string
  readonly message: string
  readonly account?: string
  readonly node?: string
}

/** Creates a pod that no kubelet runs, with the status of a pull failure. */
async function failingPod({ name, in: home, image, message, account, node }: FailingPod) {
  const pod = podManifest({ name, namespace: home, image })
  const spec = {
    ...(pod['spec'] as object),
    ...(node === undefined ? { nodeSelector: { 'berth-e2e': 'nowhere' } } : { nodeName: node }),
    ...(account === undefined ? {} : { serviceAccountName: account }),
  }
  await apply({ ...pod, spec })
  const state = { waiting: { reason: 'ErrImagePull', message } }
  const status = { name: 'main', image, imageID: '', ready: false, restartCount: 0, state }
  await patchStatus('pod', name, home, { containerStatuses: [status] })
}

async function patchStatus(kind: string, name: string, home: string, status: object) {
  const patch = JSON.stringify({ status })
  await kubectlOk(['patch', kind, name, '-n', home, '--subresource=status', '--type=merge', '-p', patch]) // prettier-ignore
}

async function serviceAccount(name: string, home: string, more: object = {}) {
  const { metadata = {}, ...rest } = more as { metadata?: object }
  await apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: home, ...metadata }, ...rest }) // prettier-ignore
}

describe('the five situations of the documentation', () => {
  test('FreeIPA: finds that the tag latest does not exist, although the kubelet reports a 401', async () => {
    await serviceAccount('default', 'identity')
    await apply(
      statefulSetManifest({
        name: 'freeipa',
        namespace: 'identity',
        container: 'freeipa-server',
        image: 'freeipa/freeipa-server:latest',
      }),
    )

    const found = await findingsOf('statefulset/freeipa', 'identity')

    expect(found).toEqual([
      expect.objectContaining({
        rule: 'D37',
        cause: 'tag-missing',
        certainty: 'proved',
        secrets: [],
      }),
    ])
    expect(found[0]?.failures[0]).toMatchObject({ pod: 'freeipa-0', container: 'freeipa-server' })
    expect(found[0]?.fix).toContain('almalinux-9')
  })

  test('anubis: finds that the key of the pull secret matches no image', async () => {
    const auths = { 'registry-1.docker.io': { auth: authOf(puller.password) } }
    await apply(secret('dockerhub-creds', auths, { in: 'ushadow' }))
    const image = 'your-org/ushadow-backend:latest'
    await apply(podManifest({ name: 'backend', namespace: 'ushadow', image, pullSecret: 'dockerhub-creds' })) // prettier-ignore

    const found = await findingsOf('pod/backend', 'ushadow')

    expect(found).toEqual([
      expect.objectContaining({ rule: 'D07', certainty: 'proved', secrets: ['dockerhub-creds'] }),
    ])
    expect(found[0]?.commands[0]).toContain('.auths["https://index.docker.io/v1/"] = ')
  })

  test('storage-s3: finds that the pinned tag does not exist', async () => {
    await apply(podManifest({ name: 'storage-s3', namespace: 'database', image: 'ghcr.io/rclone/rclone:1.64.2' })) // prettier-ignore

    const found = await findingsOf('pod/storage-s3', 'database')

    expect(found).toEqual([expect.objectContaining({ rule: 'D37', certainty: 'proved' })])
    expect(found[0]?.fix).toContain('1.69.1')
    expect(JSON.stringify(found)).not.toContain('NetworkPolicy')
  })

  test('ECR: finds one cause for sixteen pods, and says that pulls do not use the role of the service account', async () => {
    await serviceAccount('ecr-sa', 'cf-dev', {
      metadata: { annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::606639739464:role/ROSAECRAssumeRole' } },
    }) // prettier-ignore
    for (let index = 0; index < 16; index++) {
      const image = `${ecrHost}/consultingfirm/service-${index}:latest`
      const message = `Failed to pull image "${image}": rpc error: code = Unknown desc = initializing source docker://${image}: reading manifest latest in ${ecrHost}/consultingfirm/service-${index}: authentication required`
      await failingPod({
        name: `service-${index}`,
        in: 'cf-dev',
        image,
        message,
        account: 'ecr-sa',
      })
    }

    const { stdout } = await diagnose('-n', 'cf-dev', '-o', 'json')
    const { findings } = JSON.parse(stdout) as { findings: PullFinding[] }

    expect(findings).toEqual([
      expect.objectContaining({
        rule: 'D22',
        cause: 'no-credential',
        certainty: 'proved',
        registry: ecrHost,
      }),
    ])
    expect(findings[0]?.failures).toHaveLength(16)
    expect(evidence(findings[0])).toContain(
      'its annotation eks.amazonaws.com/role-arn is for running containers; pulls do not use it',
    )
    expect(findings[0]?.missing.join()).toContain("node's own credentials")
    expect(findings[0]?.berth.join()).toContain('ecrTokens')
    expect(findings[0]?.commands[0]).toContain('aws ecr get-login-password --region us-east-1')
  })

  test('OpenShift: finds that the global pull secret has not reached the node', async () => {
    await createOpenShiftResources()
    const host = 'registry.redhat.io'
    const internal = { '172.30.166.97:5000': { auth: authOf('canary-internal') } }
    const type = 'kubernetes.io/dockercfg'
    const home = 'openshift-marketplace'
    await apply([
      secret('redhat-operators-dockercfg-x7k2p', internal, { type, in: home }),
      secret('pull-secret', { 'cloud.openshift.com': { auth: authOf('canary-cloud') }, [host]: { auth: authOf(puller.password) } }, { in: 'openshift-config' }),
    ]) // prettier-ignore
    const pullSecrets = [{ name: 'redhat-operators-dockercfg-x7k2p' }]
    await serviceAccount('redhat-operators', home, { imagePullSecrets: pullSecrets })
    const image = `${host}/redhat/redhat-operator-index:v4.20`
    const message = `initializing source docker://${image}: unable to retrieve auth token: invalid username/password: unauthorized: Please login to the Red Hat Registry using your Customer Portal credentials.`
    await failingPod({ name: 'redhat-operators-abcde', in: home, image, message, account: 'redhat-operators' }) // prettier-ignore

    const found = await findingsOf('pod/redhat-operators-abcde', home)

    expect(found).toEqual([expect.objectContaining({ rule: 'D22', certainty: 'proved' })])
    expect(evidence(found[0])).toEqual(
      expect.arrayContaining([
        `no pull secret of the pod is for ${host}`,
        `the global pull secret has an entry for ${host}; its keys are cloud.openshift.com, ${host}`,
        'machine config pool master is not updated',
      ]),
    )
    expect(found[0]?.fix).toContain('find out why machine config pools are not updated')
    expect(found[0]?.fix).toContain('do not edit the generated dockercfg secrets')
  })
})

/** Creates the OpenShift resources that `berth diagnose` reads. */
async function createOpenShiftResources() {
  const kinds = [
    { group: 'config.openshift.io', kind: 'ImageTagMirrorSet', plural: 'imagetagmirrorsets' },
    { group: 'machineconfiguration.openshift.io', kind: 'MachineConfigPool', plural: 'machineconfigpools' },
  ] // prettier-ignore
  await apply(
    kinds.map(({ group, kind, plural }) => ({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: `${plural}.${group}`, labels: { 'berth-e2e': 'diagnose' } },
      spec: {
        group,
        scope: 'Cluster',
        names: { kind, plural, singular: kind.toLowerCase() },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
            },
          },
        ],
      },
    })),
  )
  const pool = {
    apiVersion: 'machineconfiguration.openshift.io/v1',
    kind: 'MachineConfigPool',
    metadata: { name: 'master' },
    status: { conditions: [{ type: 'Updated', status: 'False' }] },
  }
  await waitFor('the OpenShift resources to be served', async () => {
    await apply(pool)
    return true
  })
}
