import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { startFakeAws } from '../../test/support/aws.ts'
import { auditEvents } from '../harness/audit-log.ts'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { type Controller, controllerAccount, startController } from '../harness/controller.ts'
import { pushImage } from '../harness/images.ts'
import { apply, getJson, kubectlOk, type KubeObject } from '../harness/kubectl.ts'
import { type Moto, startMoto } from '../harness/moto.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import type { Pod } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { waitFor } from '../harness/wait.ts'

/**
 * Sixteen services whose images are in an ECR of another account, behind two roles. The registry lets in the user AWS with
 * the token of that account, and moto gives that token to whoever has come to the second role. The controller runs with
 * the config and the rights of docs/ecr.md: the chain is its own, and the namespace of the services has a copy of one Secret.
 */
const cluster = currentCluster()
const home = 'berth-system'
const namespace = 'cf-dev'
const user = `system:serviceaccount:${home}:berth-controller`
const host = '818140567777.dkr.ecr.us-east-1.amazonaws.com'
const firstRole = 'arn:aws:iam::606639739464:role/ROSAECRAssumeRole'
const secondRole = 'arn:aws:iam::818140567777:role/ECRCrossAccountRole'
/** Of an account for which moto has another token. */
const otherRole = 'arn:aws:iam::210987654321:role/ECRCrossAccountRole'
const account = { username: 'AWS', password: '818140567777-auth-token' }
const rotated = { username: 'AWS', password: '210987654321-auth-token' }
const services = Array.from({ length: 16 }, (_, index) => `service-${index + 1}`)
const imageOf = (service: string) => `${host}/consultingfirm/${service}:latest`

/** The YAML of the page: first the config, and among the rest the rules of the controller's Role in its namespace. */
const page = readFileSync(new URL('../../docs/ecr.md', import.meta.url), 'utf8')
const blocks = [...page.matchAll(/^```yaml\n([^]*?)^```/gm)].map(
  ([, text = '']): unknown => parse(text) as unknown,
)

type Documented = {
  registries: [{ host: string; credentials: { ecr: { chain: string[] } } }]
  [key: string]: unknown
}
const documented = blocks[0] as Documented
const rules = blocks.find((block) => Array.isArray(block)) as object[] | undefined

let registry: Registry
let moto: Moto
let kubeconfig: string
let controller: Controller | undefined
let tokenFile: string
/** Of controllers that have been stopped. */
let said = ''

/** The page's config, led to what stands here for AWS; the page's own chain, when none is given. */
function configWith(aws: string, chain?: readonly string[]): string {
  const [entry] = documented.registries
  const { ecr } = entry.credentials
  const endpoints = { sts: aws, ecr: aws }
  return JSON.stringify({
    ...documented,
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

/** What a pod of the controller has in its environment when its service account has a role. */
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
  said += controller.output() + (await controller.metrics())
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

/** How many run, once all do, each as its Deployment is now. */
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
    { timeoutMs: 150_000, intervalMs: 1_000 },
  )
}

function writes(): string[] {
  return auditEvents(
    ({ verb, user: { username }, objectRef }) =>
      username === user &&
      ['create', 'update', 'patch', 'delete'].includes(verb) &&
      objectRef?.resource !== 'leases',
  ).map(({ verb, requestURI }) => `${verb} ${requestURI}`)
}

/** So far; the log goes on from one controller to the next. */
const rests = () =>
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
  // moto looks at no token.
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
  const rbac = ['secrets', 'rbac', '--config', file, '-n', home]
  await apply((await runBerth(rbac, cluster.kubeconfig)).stdout)
  kubeconfig = await controllerAccount(home, rules)
})

afterAll(async () => {
  await controller?.stop()
  await kubectlOk(['delete', 'namespace', '--ignore-not-found', '--wait=false', home, namespace])
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
  test('do not run by the annotation of their service account: no runtime follows it', async () => {
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
    const stuck = await waitFor(
      'sixteen of sixteen in ImagePullBackOff',
      async () => {
        const states = (await listOf<Pod>('pods')).map(
          ({ status }) => status.containerStatuses?.[0]?.state.waiting,
        )
        const messages = states.flatMap((state) =>
          state?.reason === 'ImagePullBackOff' ? [state.message] : [],
        )
        if (messages.length === services.length) return messages
        throw new Error(JSON.stringify(states))
      },
      { timeoutMs: 90_000, intervalMs: 1_000 },
    )

    expect(stuck.filter((message) => !/auth/.test(message ?? ''))).toEqual([])
  })

  test('have a pull secret from the controller, which follows the chain elsewhere, and run with it', async () => {
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
    // A pod's list of secrets is fixed: every one was made again.
    const now = (await listOf<Pod>('pods')).map(({ metadata }) => metadata.name)
    expect(now.filter((name) => before.includes(name))).toEqual([])
  })

  test('and Berth asks their registry with the same token', async () => {
    const ask = async (name: string, chain: readonly string[]) => {
      const file = join(cluster.runDir, `ecr-${name}.yaml`)
      writeFileSync(file, configWith(moto.url, chain))
      const { stdout } = await runBerth(
        ['explain', imageOf('service-1'), '-o', 'json', '--config', file],
        cluster.kubeconfig,
        identity(),
      )
      return JSON.parse(stdout) as [{ candidates: [{ outcome: string; detail: string }] }]
    }
    const [[whole], [broken]] = await Promise.all([ask('whole', [secondRole]), ask('broken', [])])

    expect(whole.candidates[0]).toMatchObject({ outcome: 'found' })
    // The first role has a token too, moto being generous: the one of its own account, which this registry refuses.
    expect(broken.candidates[0]).toMatchObject({
      outcome: 'denied',
      detail: expect.stringContaining(
        'the ECR token of arn:aws:sts::606639739464:assumed-role/ROSAECRAssumeRole/berth in us-east-1',
      ) as string,
    })
  })

  test('cost no write when everything is read again, by the same controller or by another', async () => {
    await waitFor('rest', () => rests() > 0)
    const before = writes()
    const rested = rests()
    controller?.configure(`${configWith(moto.url)}\n`)
    await waitFor('the cluster to be read again', () => rests() > rested)
    const restedAgain = rests()
    await stop()
    const again = await start(moto.url)
    await waitFor('a look at the secret', async () =>
      (await again.metrics()).includes('berth_ecr_token_expiry_timestamp_seconds{'),
    )
    await waitFor('the other to be at rest', () => rests() > restedAgain)

    expect(before.length).toBeGreaterThan(16)
    expect(writes()).toEqual(before)
    // Of the account's own namespace and of theirs, and of no other.
    expect(before.filter((each) => !/namespaces\/(?:berth-system|cf-dev)\//.test(each))).toEqual([])
  })

  test('keep their secret when the chain breaks', async () => {
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

  test('run on when the token is another one while they restart', async () => {
    await kubectlOk(['rollout', 'restart', 'deployment', `-n${namespace}`])
    await registry.setAccount(rotated)
    controller?.configure(configWith(moto.url, [otherRole]))
    const running = await allRunning()
    const copy = await getCopy()

    expect(running).toBe(16)
    expect(passwordIn(copy)).toBe(`${rotated.username}:${rotated.password}`)
  })

  test('and when each link of the chain looks at who comes', async () => {
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
    const told = [...secrets, ...[account, rotated].map(encoded)].filter((secret) =>
      [said, events].some((text) => text.includes(secret)),
    )

    expect(running).toBe(16)
    expect(said).toContain('pull secrets up to date')
    expect(told).toEqual([])
    await aws.close()
  })
})

function encoded({ username, password }: typeof account): string {
  return Buffer.from(`${username}:${password}`).toString('base64')
}
