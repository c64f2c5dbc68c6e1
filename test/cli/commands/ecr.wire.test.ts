/** Tests `credentials: { ecr: … }` from the service account's token to the answer of the registry. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { startWebhook } from '../../../src/webhook/start-webhook.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { makeCertificates } from '../../../src/webhook/certificate/self-signed.ts'
import { createLogs } from '../../../src/telemetry/log.ts'
import {
  type TestChain,
  firstRole,
  registryHost,
  secondRole,
  startChain,
} from '../../support/ecr.ts'
import { type FakeRegistry, startFakeRegistry } from '../../support/registry.ts'

let setup: TestChain
let registry: FakeRegistry
let directory: string

/** Whether the registry accepts the newest token. ECR rejects it if the policy of the repository does. */
let allows: boolean

beforeEach(async () => {
  // The programs under test use the real clock.
  setup = await startChain({ now: () => Date.now() })
  allows = true
  const users = {
    get AWS() {
      return (allows ? setup.aws.passwords.at(-1) : undefined) ?? 'no token'
    },
  }
  registry = await startFakeRegistry({ auth: { kind: 'basic', users } })
  registry.addManifest({ repository: 'consultingfirm/naming-server-service', tag: 'latest' })
  directory = mkdtempSync(join(tmpdir(), 'berth-ecr-'))
})

afterEach(async () => {
  await Promise.all([setup.aws.close(), registry.close()])
})

const image = `${registryHost}/consultingfirm/naming-server-service:latest`

function configWith(ecr: string): string {
  const file = join(directory, 'berth.yaml')
  writeFileSync(
    file,
    `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - host: ${registryHost}
    endpoint: ${registry.url}
    allowPlainHttpAuth: true
    ${ecr}
pin: { tags: [latest] }
`,
  )
  return file
}

const chainTo = (role: string) =>
  `credentials: { ecr: { chain: ['${role}'], endpoints: { sts: '${setup.aws.url}', ecr: '${setup.aws.url}' } } }`

/** Makes a process print a line to standard error for each module of the AWS SDK that it loads. */
const spy = `data:text/javascript,${encodeURIComponent(`
import { registerHooks } from 'node:module'
registerHooks({ load(url, context, next) {
  if (url.includes('/@aws-sdk/client-')) console.error('loaded ' + url)
  return next(url, context)
} })`)}`

const main = fileURLToPath(new URL('../../../src/main.ts', import.meta.url))

async function explain(config: string, env: Readonly<Record<string, string>>) {
  const child = spawn(
    process.execPath,
    ['--import', spy, main, 'explain', image, '-o', 'json', '--config', config],
    { env: { ...env, AWS_EC2_METADATA_DISABLED: 'true', HOME: directory } },
  )
  const [stdout, stderr] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  const [explained] = JSON.parse(stdout) as {
    pinned: boolean
    candidates: { outcome: string; detail: string | null }[]
  }[]
  return { explained, stdout, stderr, loadedSdk: stderr.includes('loaded ') }
}

describe('berth explain with a registry of Amazon ECR', () => {
  it('asks with a token that it got through two roles', async () => {
    const { explained, stderr, loadedSdk } = await explain(
      configWith(chainTo(secondRole)),
      setup.env,
    )

    expect(explained).toMatchObject({ pinned: true, candidates: [{ outcome: 'found' }] })
    expect(stderr.split('\n').filter((line) => !line.startsWith('loaded '))).toEqual([''])
    expect(loadedSdk).toBe(true)
    expect(setup.aws.calls.map(({ action }) => action)).toEqual([
      'AssumeRoleWithWebIdentity',
      'AssumeRole',
      'GetAuthorizationToken',
    ])
  })

  it('names the role that fails, prints the chain to standard error, and prints no secret', async () => {
    const { explained, stdout, stderr } = await explain(configWith(chainTo(firstRole)), setup.env)
    const want = `→ role ${firstRole} → role ${firstRole}: AccessDenied: User: `

    expect(explained).toMatchObject({
      candidates: [
        {
          outcome: 'denied',
          detail: 'no ECR token for us-east-1: role 2 of the chain: AccessDenied',
        },
      ],
    })
    expect(stderr).toContain(want)
    const secrets = [...setup.aws.secrets, ...setup.aws.passwords]
    expect(secrets.filter((secret) => (stdout + stderr).includes(secret))).toEqual([])
  })

  it('names the role whose token the registry rejects', async () => {
    allows = false
    const { explained } = await explain(configWith(chainTo(secondRole)), setup.env)

    expect(explained?.candidates[0]).toMatchObject({
      outcome: 'denied',
      detail: expect.stringContaining(
        'the ECR token of arn:aws:sts::818140567777:assumed-role/ECRCrossAccountRole/berth in us-east-1',
      ) as string,
    })
  })

  it('uses access keys from the environment, as the tools of AWS do', async () => {
    await setup.aws.close()
    const arn = 'arn:aws:iam::606639739464:user/puller'
    setup = await startChain({
      now: () => Date.now(),
      users: { AKIA: { arn, secretAccessKey: 'k', mayAssume: [secondRole] } },
      roles: { [secondRole]: { trusts: [{ arn }], mayGetToken: true } },
    })
    const env = { AWS_ACCESS_KEY_ID: 'AKIA', AWS_SECRET_ACCESS_KEY: 'k' }
    const { explained } = await explain(configWith(chainTo(secondRole)), env)

    expect(explained?.candidates[0]?.outcome).toBe('found')
  })

  it('says how to configure an identity if there is none', async () => {
    const { explained, stderr } = await explain(configWith(chainTo(secondRole)), {})

    expect(explained?.candidates[0]?.detail).toBe(
      "no ECR token for us-east-1: Berth's own identity: CredentialsProviderError",
    )
    expect(stderr).toMatch(
      /identity of the environment → role .*CredentialsProviderError.*give the service account of Berth a role/,
    )
  })
})

describe('the webhook', () => {
  it('gets a token before the first pod, and keeps it when the config is reloaded', async () => {
    const { leaf } = await makeCertificates({ names: ['localhost'], days: 1, now: new Date() })
    const config = loadConfig(configWith(chainTo(secondRole)))
    const webhook = await startWebhook({
      config,
      tls: leaf,
      host: '127.0.0.1',
      port: 0,
      metricsPort: 0,
      secretsDirectory: '/nowhere',
      env: setup.env,
      logs: createLogs('info', { write: () => undefined }),
    })
    await vi.waitFor(() => expect(setup.aws.passwords).toHaveLength(1))
    webhook.useConfig(loadConfig(configWith(chainTo(secondRole))))
    await webhook.close()

    expect(setup.aws.calls).toHaveLength(3)
  })
})

describe('a config without ecr', () => {
  it('does not load the AWS SDK', async () => {
    const { explained, loadedSdk } = await explain(configWith('mirror: false'), setup.env)

    expect(explained?.candidates[0]?.outcome).toBe('denied')
    expect(loadedSdk).toBe(false)
    expect(setup.aws.calls).toEqual([])
  })
})
