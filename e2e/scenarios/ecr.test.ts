import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { startFakeAws } from '../../test/support/aws.ts'
import { settledAuditEvents } from '../harness/audit-log.ts'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { type Controller, createControllerAccount, startController } from '../harness/controller.ts'
import { pushImage } from '../harness/images.ts'
import { apply, getJson, kubectlOk, type KubeObject } from '../harness/kubectl.ts'
import { type Moto, startMoto } from '../harness/moto.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { readDocs } from '../harness/paths.ts'
import { isPullFailure, type Pod } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { waitFor } from '../harness/wait.ts'
import { applySecretsRbac } from '../harness/secrets-rbac.ts'

/**
 * Sixteen services have their images in an ECR of another AWS account, behind a chain of two roles. The registry accepts the
 * user AWS with the token of that account, and moto issues that token for the second role. The controller runs with the
 * config and the rights of docs/ecr.md: it assumes the roles, and the services' namespace gets a copy of its Secret.
 */
const cluster = currentCluster()
const home = 'berth-system'
const namespace = 'cf-dev'
const user = `system:serviceaccount:${home}:berth-controller`
const host = '818140567777.dkr.ecr.us-east-1.amazonaws.com'
const firstRole = 'arn:aws:iam::606639739464:role/ROSAECRAssumeRole'
const secondRole = 'arn:aws:iam::818140567777:role/ECRCrossAccountRole'
/** A role of a third account, for which moto issues another token. */
const otherRole = 'arn:aws:iam::210987654321:role/ECRCrossAccountRole'
const account = { username: 'AWS', password: '818140567777-auth-token' }
const rotated = { username: 'AWS', password: '210987654321-auth-token' }
const services = Array.from({ length: 16 }, (_, index) => `service-${index + 1}`)
const imageOf = (service: string) => `${host}/consultingfirm/${service}:latest`

/** The YAML blocks of the page: the first one is the config, and a list is the rules of the controller's Role. */
const blocks = [...readDocs('ecr.md').matchAll(/^```yaml\n([^]*?)^```/gm)].map(
  ([, text = '']): unknown => parse(text) as unknown,
)

type DocumentedConfig = {
  registries: [{ host: string; credentials: { ecr: { chain: string[] } } }]
  [key: string]: unknown
}
const documentedConfig = blocks[0] as DocumentedConfig
const rules = blocks.find((block) => Array.isArray(block)) as object[] | undefined

let registry: Registry
let moto: Moto
let kubeconfig: string
let controller: Controller | undefined
let tokenFile: string
/** The log and the metrics of stopped controllers. */
let earlierOutput = ''

/** Returns the config of the page with endpoints of the tests; without `chain`, with the chain of the page. */
function configWith(aws: string, chain?: readonly string[]): string {
  const [entry] = documentedConfig.registries
  const { ecr } = entry.credentials
  const endpoints = { sts: aws, ecr: aws }
  return JSON.stringify({
    ...documentedConfig,
    registries: [
      {
        ...entry,
        endpoint: registry.url,
        allowPlainHttpAuth: true,
        credentials: { ecr: { ...ecr, ...(chain && { chain }), endpoints } },
      },
    ],
    pin: { tags: ['latest'] },
  })
}

/** The environment of a pod whose service account has a role. */
const identity = () => ({ AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile, AWS_ROLE_ARN: firstRole })

async function start(aws: string): Promise<Controller> {
  controller = await startController({
    name: 'ecr',
    namespace: home,
    config: configWith(aws),
    kubeconfig,
    env: identity(),
    logLevel: 'debug',
  })
  return controller
}

async function stop(): Promise<void> {
  if (controller === undefined) return
  earlierOutput += controller.output() + (await controller.metrics())
  await controller.stop()
  controller = undefined
}

type Secret = KubeObject & { data: Record<string, string>; metadata: { resourceVersion: string } }
const getSecret = () => getJson<Secret>('secret', 'ecr-pull', home)
const getCopy = () => getJson<Secret>('secret', 'ecr-pull', namespace)

function passwordIn({ data }: Secret): string {
  const text = Buffer.from(data['.dockerconfigjson'] ?? '', 'base64').toString()
  const { auths } = JSON.parse(text) as { auths: Record<string, { auth: string }> }
  return Buffer.from(auths[host]?.auth ?? '', 'base64').toString()
}

type Deployment = KubeObject & {
  metadata: { generation: number }
  status: {
    observedGeneration?: number
    readyReplicas?: number
    updatedReplicas?: number
    replicas?: number
  }
}

async function listOf<T>(kind: string): Promise<T[]> {
  const text = await kubectlOk(['get', kind, `-n${namespace}`, '-ojson'])
  return (JSON.parse(text) as { items: T[] }).items
}

/** Waits until every Deployment runs its current template; returns how many there are. */
function allRunning(): Promise<number> {
  return waitFor(
    'sixteen services to run',
    async () => {
      const ready = (await listOf<Deployment>('deployments')).filter(
        ({ metadata, status }) =>
          status.observedGeneration === metadata.generation &&
          status.readyReplicas === 1 &&
          status.updatedReplicas === 1 &&
          status.replicas === 1,
      ).length
      if (ready === services.length) return ready
      throw new Error(`${ready} are ready`)
    },
    { timeoutMs: 300_000, intervalMs: 1_000 },
  )
}

/** Returns the controller's writes so far, without those to its Lease. */
async function writes(): Promise<string[]> {
  const events = await settledAuditEvents(
    ({ verb, user: { username }, objectRef }) =>
      username === user &&
      ['create', 'update', 'patch', 'delete'].includes(verb) &&
      objectRef?.resource !== 'leases',
  )
  return events.map(({ verb, requestURI }) => `${verb} ${requestURI}`)
}

/** Returns how often the controllers have become idle; their log continues from one to the next. */
const idleCount = () =>
  controller?.log().filter(({ msg }) => msg === 'pull secrets up to date').length ?? 0

beforeAll(async () => {
  moto = await startMoto()
  registry = await startRegistry(cluster, { name: 'ecr', htpasswd: account })
  setNodeHost(cluster, host, [registry.url])
  await Promise.all(
    services.map((service) =>
      pushImage({
        registry: registry.url,
        repository: `consultingfirm/${service}`,
        tag: 'latest',
        binary: cluster.pauseBinary,
        marker: service,
        auth: account,
      }),
    ),
  )
  tokenFile = join(cluster.runDir, 'web-identity-token')
  // moto does not check the token.
  writeFileSync(tokenFile, 'e30.e30.moto', { mode: 0o600 })
  await apply([
    ...[home, namespace].map((name) => ({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name },
    })),
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: {
        name: 'ecr-sa',
        namespace,
        annotations: { 'eks.amazonaws.com/role-arn': firstRole },
      },
    },
  ])
  const file = join(cluster.runDir, 'ecr.yaml')
  writeFileSync(file, configWith(moto.url))
  await applySecretsRbac(file, home)
  kubeconfig = await createControllerAccount(home, rules)
})

afterAll(async () => {
  await controller?.stop()
  await kubectlOk(['delete', 'namespace', '--ignore-not-found', home, namespace])
  await kubectlOk([
    'delete',
    'validatingadmissionpolicy,validatingadmissionpolicybinding',
    'berth-pull-secrets',
  ])
  removeNodeHost(cluster, host)
  await registry?.stop()
  await moto?.stop()
})

describe('sixteen services behind two roles', () => {
  test('cannot pull by the role annotation of their service account', async () => {
    await apply(
      services.map((name) => ({
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name, namespace },
        spec: {
          selector: { matchLabels: { app: name } },
          template: {
            metadata: { labels: { app: name } },
            spec: {
              serviceAccountName: 'ecr-sa',
              terminationGracePeriodSeconds: 1,
              containers: [{ name: 'main', image: imageOf(name), imagePullPolicy: 'Always' }],
            },
          },
        },
      })),
    )
    // ErrImagePull carries the registry's message; some of the sixteen are always between two tries.
    const messages = new Map<string, string>()
    await waitFor(
      'a pull failure of all sixteen pods',
      async () => {
        const pods = await listOf<Pod>('pods')
        for (const { metadata, status } of pods) {
          const { waiting } = status.containerStatuses?.[0]?.state ?? {}
          if (isPullFailure(waiting?.reason)) messages.set(metadata.name, waiting?.message ?? '')
        }
        if (messages.size === services.length) return true
        throw new Error(`${messages.size} have failed to pull`)
      },
      { timeoutMs: 300_000, intervalMs: 500 },
    )

    expect([...messages.values()].filter((message) => !message.includes('auth'))).toEqual([])
  })

  test('run with the pull secret that the controller creates through the chain of roles', async () => {
    const before = (await listOf<Pod>('pods')).map(({ metadata }) => metadata.name)
    await start(moto.url)
    const running = await allRunning()
    const secret = await getSecret()
    const copy = await getCopy()
    const { imagePullSecrets } = await getJson('serviceaccount', 'ecr-sa', namespace)

    expect(running).toBe(16)
    expect(passwordIn(secret)).toBe(`${account.username}:${account.password}`)
    expect(secret['type']).toBe('kubernetes.io/dockerconfigjson')
    expect(secret.metadata.annotations?.['berth.dev/expires-at']).toBe('2015-01-01T00:00:00.000Z')
    expect(copy.data).toEqual(secret.data)
    expect(copy.metadata.annotations).toMatchObject({
      'berth.dev/copied-from': `${home}/ecr-pull`,
      'berth.dev/content-hash': secret.metadata.annotations?.['berth.dev/content-hash'],
      'berth.dev/expires-at': secret.metadata.annotations?.['berth.dev/expires-at'],
    })
    expect(imagePullSecrets).toEqual([{ name: 'ecr-pull' }])
    // The secrets of a pod are immutable, so the controller had every pod recreated. The last ones may still be terminating.
    await waitFor('the first pods to go', async () => {
      const now = (await listOf<Pod>('pods')).map(({ metadata }) => metadata.name)
      return !now.some((name) => before.includes(name))
    })
  })

  test('are found by Berth with the same token', async () => {
    const explain = async (name: string, chain: readonly string[]) => {
      const file = join(cluster.runDir, `ecr-${name}.yaml`)
      writeFileSync(file, configWith(moto.url, chain))
      const { stdout } = await runBerth(
        ['explain', imageOf('service-1'), '-o', 'json', '--config', file],
        { env: identity() },
      )
      return JSON.parse(stdout) as [{ candidates: [{ outcome: string; detail: string }] }]
    }
    const [[whole], [broken]] = await Promise.all([
      explain('whole', [secondRole]),
      explain('broken', []),
    ])

    expect(whole.candidates[0]).toMatchObject({ outcome: 'found' })
    // moto issues a token for the first role too: that of the role's account, which this registry rejects.
    expect(broken.candidates[0]).toMatchObject({
      outcome: 'denied',
      detail: expect.stringContaining(
        'the ECR token of arn:aws:sts::606639739464:assumed-role/ROSAECRAssumeRole/berth in us-east-1',
      ) as string,
    })
  })

  test('cause no write when the same or another controller reads everything again', async () => {
    await waitFor('the controller to be idle', () => idleCount() > 0)
    const before = await writes()
    const idleBefore = idleCount()
    controller?.configure(`${configWith(moto.url)}\n`)
    await waitFor('the controller to be idle again', () => idleCount() > idleBefore)
    const idleBeforeRestart = idleCount()
    await stop()
    const again = await start(moto.url)
    await waitFor('the token metric', async () =>
      (await again.metrics()).includes('berth_ecr_token_expiry_timestamp_seconds{'),
    )
    await waitFor('the other controller to be idle', () => idleCount() > idleBeforeRestart)

    expect(before.length).toBeGreaterThan(16)
    expect(await writes()).toEqual(before)
    // Only in the controller's namespace and in that of the services.
    expect(before.filter((each) => !/namespaces\/(?:berth-system|cf-dev)\//.test(each))).toEqual([])
  })

  test('keep their secret when the first role cannot be assumed', async () => {
    const { metadata } = await getSecret()
    await stop()
    const aws = await startFakeAws({ now: () => Date.now() })
    const broken = await start(aws.url)
    const event = await waitFor('the Event', async () => {
      const text = await kubectlOk(['get', 'events', `-n${home}`, '-ojson'])
      const { items } = JSON.parse(text) as {
        items: { reason: string; message: string; involvedObject: { uid?: string } }[]
      }
      return items.find(({ reason }) => reason === 'EcrTokenFailed')
    })
    await aws.close()

    expect(event.message).toContain(`→ role ${firstRole}: InvalidIdentityToken`)
    expect(event.involvedObject.uid).toBe((metadata as { uid?: string }).uid)
    expect(await broken.metrics()).toMatch(
      /berth_ecr_token_failures_total\{secret="ecr-pull",link="web-identity"\} [1-9]/,
    )
    expect((await getSecret()).metadata.resourceVersion).toBe(metadata.resourceVersion)
  })

  test('run with the new token when it changes during a restart', async () => {
    await kubectlOk(['rollout', 'restart', 'deployment', `-n${namespace}`])
    await registry.setAccount(rotated)
    controller?.configure(configWith(moto.url, [otherRole]))
    const running = await allRunning()
    const copy = await getCopy()

    expect(running).toBe(16)
    expect(passwordIn(copy)).toBe(`${rotated.username}:${rotated.password}`)
  })

  test('run with a token from an AWS that checks every trust relationship', async () => {
    await stop()
    const issuer = 'https://oidc.example/rosa'
    const subject = user
    const claims = { issuer, subject, audience: 'sts.amazonaws.com' }
    const aws = await startFakeAws({
      issuers: [issuer],
      roles: {
        [firstRole]: { trusts: [claims], mayAssume: [secondRole] },
        [secondRole]: { trusts: [{ arn: firstRole }], mayGetToken: true },
      },
      now: () => Date.now(),
    })
    writeFileSync(tokenFile, aws.webToken(claims))
    await start(aws.url)
    await waitFor('the new token', async () => passwordIn(await getCopy()).startsWith('AWS:pw:0'))
    await registry.setAccount({ username: 'AWS', password: aws.passwords[0] ?? '' })
    await kubectlOk(['rollout', 'restart', 'deployment/service-1', `-n${namespace}`])
    const running = await allRunning()
    await stop()
    const events = await kubectlOk(['get', 'events', '-A', '-ojson'])
    const secrets = [...aws.passwords, ...aws.secrets, account.password, rotated.password]
    const leaked = [...secrets, ...[account, rotated].map(encoded)].filter((secret) =>
      [earlierOutput, events].some((text) => text.includes(secret)),
    )

    expect(running).toBe(16)
    expect(earlierOutput).toContain('pull secrets up to date')
    expect(leaked).toEqual([])
    await aws.close()
  })
})

function encoded({ username, password }: typeof account): string {
  return Buffer.from(`${username}:${password}`).toString('base64')
}
