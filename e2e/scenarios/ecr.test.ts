import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startFakeAws } from '../../test/support/aws.ts'
import { currentCluster } from '../harness/cluster.ts'
import { type Controller, startController } from '../harness/ecr-controller.ts'
import { pushImage } from '../harness/images.ts'
import { apply, getJson, kubectlOk, type KubeObject, remove } from '../harness/kubectl.ts'
import { type Moto, startMoto } from '../harness/moto.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { podManifest, podPullFails } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { waitFor } from '../harness/wait.ts'

/**
 * Sixteen services whose images are in an ECR of another account, behind two roles. The registry lets in the user AWS with
 * the token of that account, and moto gives that token to whoever has come to the second role.
 */
const cluster = currentCluster()
const namespace = 'cf-dev'
const host = '818140567777.dkr.ecr.us-east-1.amazonaws.com'
const firstRole = 'arn:aws:iam::606639739464:role/ROSAECRAssumeRole'
const secondRole = 'arn:aws:iam::818140567777:role/ECRCrossAccountRole'
const account = { username: 'AWS', password: '818140567777-auth-token' }
const services = Array.from({ length: 16 }, (_, index) => `service-${index + 1}`)
const imageOf = (service: string) => `${host}/consultingfirm/${service}:latest`
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

let registry: Registry
let moto: Moto
let controller: Controller | undefined
let tokenFile: string

/** What the controller may do in its namespace, and all that it may: no list, no watch, no Secret of another name. */
const rules = [
  { apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
  {
    apiGroups: [''],
    resources: ['secrets'],
    verbs: ['get', 'update'],
    resourceNames: ['ecr-pull'],
  },
  { apiGroups: [''], resources: ['events'], verbs: ['create'] },
]

function configWith(aws: string, chain: readonly string[]): string {
  return `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - host: ${host}
    endpoint: '${registry.url}'
    allowPlainHttpAuth: true
    credentials:
      ecr: { chain: ${JSON.stringify(chain)}, endpoints: { sts: '${aws}', ecr: '${aws}' } }
ecrTokens: [{ secret: ecr-pull, registries: [${host}] }]
pin: { tags: [latest] }
`
}

/** What the pod of a service account with a role has in its environment. */
const identity = () => ({ AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile, AWS_ROLE_ARN: firstRole })

function start(aws: string, chain = [secondRole]): Promise<Controller> {
  const config = configWith(aws, chain)
  return startController({ name: 'ecr', config, namespace, rules, env: identity() })
}

type Secret = KubeObject & { data: Record<string, string>; metadata: { resourceVersion: string } }
const getSecret = () => getJson<Secret>('secret', 'ecr-pull', namespace)

function passwordIn({ data }: Secret): string {
  const text = Buffer.from(data['.dockerconfigjson'] ?? '', 'base64').toString()
  const { auths } = JSON.parse(text) as { auths: Record<string, { auth: string }> }
  return Buffer.from(auths[host]?.auth ?? '', 'base64').toString()
}

type Deployment = KubeObject & { status: { readyReplicas?: number; updatedReplicas?: number } }

/** How many run, once all do. */
function allRunning(): Promise<number> {
  return waitFor(
    'sixteen services to run',
    async () => {
      const text = await kubectlOk(['get', 'deployments', `-n${namespace}`, '-ojson'])
      const { items } = JSON.parse(text) as { items: Deployment[] }
      const ready = items.filter(({ status }) => status.readyReplicas === 1).length
      if (ready === services.length) return ready
      throw new Error(`${ready} are ready`)
    },
    { timeoutMs: 150_000 },
  )
}

beforeAll(async () => {
  moto = await startMoto()
  registry = await startRegistry(cluster, { name: 'ecr', htpasswd: account })
  setNodeHost(cluster, host, [registry.url])
  for (const service of services)
    await pushImage({
      registry: registry.url,
      repository: `consultingfirm/${service}`,
      tag: 'latest',
      binary: cluster.pauseBinary,
      marker: service,
      auth: account,
    })
  tokenFile = join(cluster.runDir, 'web-identity-token')
  // moto looks at no token.
  writeFileSync(tokenFile, 'e30.e30.moto', { mode: 0o600 })
  await kubectlOk(['create', 'namespace', namespace])
  await apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: {
      name: 'ecr-sa',
      namespace,
      annotations: { 'eks.amazonaws.com/role-arn': firstRole },
    },
  })
})

afterAll(async () => {
  await controller?.stop()
  await remove('namespace', namespace)
  removeNodeHost(cluster, host)
  await registry?.stop()
  await moto?.stop()
})

describe('sixteen services behind two roles', () => {
  test('do not run by the annotation of their service account: no runtime follows it', async () => {
    const pod = podManifest({ name: 'alone', image: imageOf('service-1'), namespace })
    const spec = { ...(pod['spec'] as object), serviceAccountName: 'ecr-sa' }
    await apply({ ...pod, spec })

    expect(await podPullFails('alone', namespace)).toMatch(/auth/)
    await remove('pod', 'alone', namespace)
  })

  test('have a pull secret from the controller, which has two rights on one Secret', async () => {
    controller = await start(moto.url)
    const secret = await waitFor('the secret', getSecret)

    expect(passwordIn(secret)).toBe(`${account.username}:${account.password}`)
    expect(secret['type']).toBe('kubernetes.io/dockerconfigjson')
    expect(secret.metadata.annotations?.['berth.dev/expires-at']).toBe('2015-01-01T00:00:00.000Z')
  })

  test('run with it', async () => {
    await kubectlOk([
      'patch',
      'serviceaccount',
      'ecr-sa',
      `-n${namespace}`,
      '-p',
      '{"imagePullSecrets":[{"name":"ecr-pull"}]}',
    ])
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

    expect(await allRunning()).toBe(16)
  })

  test('and Berth asks their registry with the same token', () => {
    const file = join(cluster.runDir, 'ecr-explain.yaml')
    const ask = (chain: readonly string[]) => {
      writeFileSync(file, configWith(moto.url, chain))
      const { stdout } = spawnSync(
        process.execPath,
        [main, 'explain', imageOf('service-1'), '-o', 'json', '--config', file],
        { env: { ...process.env, ...identity() }, encoding: 'utf8' },
      )
      return JSON.parse(stdout) as [{ candidates: [{ outcome: string; detail: string }] }]
    }
    const [whole] = ask([secondRole])
    const [broken] = ask([])

    expect(whole.candidates[0]).toMatchObject({ outcome: 'found' })
    // The first role has a token too, moto being generous: the one of its own account, which this registry refuses.
    expect(broken.candidates[0]).toMatchObject({
      outcome: 'denied',
      detail: expect.stringContaining(
        'the ECR token of arn:aws:sts::606639739464:assumed-role/ROSAECRAssumeRole/berth in us-east-1',
      ) as string,
    })
  })

  test('keep their secret when the controller restarts, unwritten, and when the chain breaks', async () => {
    const { metadata } = await getSecret()
    await controller?.stop()
    controller = await start(moto.url)
    await waitFor('a look at the secret', async () =>
      (await controller?.metrics())?.includes('berth_ecr_token_expiry_timestamp_seconds'),
    )
    const afterRestart = (await getSecret()).metadata.resourceVersion
    await controller.stop()

    const aws = await startFakeAws({ now: () => Date.now() })
    controller = await start(aws.url)
    const message = await waitFor('the Event', async () => {
      const text = await kubectlOk(['get', 'events', `-n${namespace}`, '-ojson'])
      const { items } = JSON.parse(text) as { items: { reason: string; message: string }[] }
      return items.find(({ reason }) => reason === 'EcrTokenFailed')?.message
    })
    await aws.close()

    expect(message).toContain(`→ role ${firstRole}: InvalidIdentityToken`)
    expect(await controller.metrics()).toMatch(
      /berth_ecr_token_failures_total\{secret="ecr-pull",link="web-identity"\} [1-9]/,
    )
    expect([afterRestart, (await getSecret()).metadata.resourceVersion]).toEqual([
      metadata.resourceVersion,
      metadata.resourceVersion,
    ])
  })

  test('run on when the token is another one and they restart', async () => {
    await controller?.stop()
    const issuer = 'https://oidc.example/rosa'
    const subject = `system:serviceaccount:${namespace}:ecr-sa`
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
    controller = await start(aws.url)
    await waitFor('the new token', async () => passwordIn(await getSecret()).startsWith('AWS:pw:0'))
    await registry.admit({ username: 'AWS', password: aws.passwords[0] ?? '' })
    await kubectlOk(['rollout', 'restart', 'deployment', `-n${namespace}`])
    for (const name of services)
      await kubectlOk([
        'rollout',
        'status',
        `deployment/${name}`,
        `-n${namespace}`,
        '--timeout=150s',
      ])

    const running = await allRunning()
    const log = JSON.stringify(controller.log()) + (await controller.metrics())
    const secrets = [...aws.passwords, ...aws.secrets, account.password]
    expect(running).toBe(16)
    expect(secrets.filter((secret) => log.includes(secret))).toEqual([])
    await aws.close()
  })
})
