/** Runs role chains with the real SDK against fake STS and ECR APIs that check signatures, trust policies and permissions. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { awsSdk } from '../../src/aws/sdk.ts'
import { fetchEcrToken, type EcrTokenResult } from '../../src/aws/role-chain.ts'
import type { EcrSettings } from '../../src/aws/ecr-settings.ts'
import { type AwsBehaviour, type AwsCall, startFakeAws, tokenLifeMs } from '../support/aws.ts'
import {
  type TestChain,
  firstRole,
  secondRole,
  serviceAccount,
  startChain,
  startOfTests,
} from '../support/ecr.ts'

let setup: TestChain

beforeEach(async () => {
  setup = await startChain()
})

afterEach(async () => {
  await setup.aws.close()
})

const fetchWith = (
  settings: EcrSettings,
  {
    env = {},
    secretsDirectory = '/nowhere',
  }: { env?: Record<string, string>; secretsDirectory?: string } = {},
): Promise<EcrTokenResult> =>
  fetchEcrToken({ aws: awsSdk, env, secretsDirectory, now: () => startOfTests }, settings)

async function failureOf(settings: EcrSettings, options = {}) {
  const result = await fetchWith(settings, options)
  if (result.ok) throw new Error('expected a failure')
  return result.failure
}

const summarize = (calls: readonly AwsCall[]) =>
  calls.map(({ action, caller, roleArn }) => [action, caller, roleArn])

const callerOf = (roleArn: string) =>
  roleArn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/') + '/berth'

const identity = `web identity ${serviceAccount.subject} of ${serviceAccount.issuer} for ${serviceAccount.audience}`

describe('a chain of two roles', () => {
  it('returns a token, with each role assumed by the one before it', async () => {
    const result = await fetchWith(setup.settings)

    expect(result).toEqual({
      ok: true,
      token: {
        username: 'AWS',
        password: setup.aws.passwords[0],
        issuedAt: startOfTests,
        expiresAt: startOfTests + tokenLifeMs,
        caller: callerOf(secondRole),
      },
    })
    expect(summarize(setup.aws.calls)).toEqual([
      ['AssumeRoleWithWebIdentity', null, firstRole],
      ['AssumeRole', callerOf(firstRole), secondRole],
      ['GetAuthorizationToken', callerOf(secondRole), null],
    ])
    expect(setup.aws.calls.map(({ region }) => region)).toEqual([null, 'us-east-1', 'us-east-1'])
  })

  it('starts from the environment of a pod with an annotated service account', async () => {
    const ambient: EcrSettings = { ...setup.settings, identity: { kind: 'ambient' } }
    const env = { ...setup.env, AWS_ROLE_SESSION_NAME: 'from-the-pod' }

    const result = await fetchWith(ambient, { env })

    expect(result).toMatchObject({ ok: true, token: { caller: callerOf(secondRole) } })
    expect(setup.aws.calls.map(({ sessionName }) => sessionName)).toEqual([
      'from-the-pod',
      'berth',
      null,
    ])
  })

  it('returns a password of 2,000 characters with colons unchanged', async () => {
    const result = await fetchWith(setup.settings)
    const password = result.ok ? result.token.password : ''

    expect(password.length).toBeGreaterThan(1500)
    expect(password.split(':').length).toBeGreaterThan(2)
    expect(password).toBe(setup.aws.passwords[0])
  })

  it('reads the token file again for each token', async () => {
    writeFileSync(setup.tokenFile, setup.aws.webToken({ ...serviceAccount, livesMs: -1000 }))
    const before = await fetchWith(setup.settings)
    writeFileSync(setup.tokenFile, setup.aws.webToken(serviceAccount))

    expect([before.ok, (await fetchWith(setup.settings)).ok]).toEqual([false, true])
  })
})

describe('a failed step has a message with the fix', () => {
  it('if the first role does not trust the service account', async () => {
    const other = { ...serviceAccount, subject: 'system:serviceaccount:cf-dev:default' }
    writeFileSync(setup.tokenFile, setup.aws.webToken(other))

    expect(await failureOf(setup.settings)).toEqual({
      step: 'web-identity',
      code: 'AccessDenied',
      summary: 'no ECR token for us-east-1: web identity: AccessDenied',
      message: `ECR token for us-east-1: ${identity.replace('ecr-sa', 'default')} → role ${firstRole}: AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity; allow sts:AssumeRoleWithWebIdentity to the ${identity.replace('ecr-sa', 'default')} in the trust policy of role ${firstRole}`,
    })
  })

  it('if the account has no provider for the issuer', async () => {
    writeFileSync(
      setup.tokenFile,
      setup.aws.webToken({ ...serviceAccount, issuer: 'https://oidc.example/other' }),
    )
    const { step, code, message } = await failureOf(setup.settings)

    expect([step, code]).toEqual(['web-identity', 'InvalidIdentityToken'])
    expect(message).toContain(
      `create an IAM OIDC provider in the account of role ${firstRole} for the issuer and audience of the web identity`,
    )
    expect(message).toContain('https://oidc.example/other')
  })

  it('if the service account token has expired', async () => {
    writeFileSync(setup.tokenFile, setup.aws.webToken({ ...serviceAccount, livesMs: -1000 }))
    const { step, code, message } = await failureOf(setup.settings)

    expect([step, code]).toEqual(['web-identity', 'ExpiredToken'])
    expect(message).toContain('mount the token file as a projected service account token')
  })

  it('if the token file does not exist, or is empty', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'berth-ecr-')), 'token')
    const withFile: EcrSettings = {
      ...setup.settings,
      identity: { kind: 'webIdentity', roleArn: firstRole, tokenFile: file },
    }
    const missing = await failureOf(withFile)
    writeFileSync(file, '\n')
    const empty = await failureOf(withFile)

    expect([missing.step, empty.step]).toEqual(['identity', 'identity'])
    expect(missing.message).toContain(
      `web identity (${file}): InvalidFile: ${file} cannot be read: it does not exist`,
    )
    expect(empty.message).toContain(`${file} is empty`)
    expect(setup.aws.calls).toEqual([])
  })

  it('if the first role may not get a token', async () => {
    const { step, code, message } = await failureOf({ ...setup.settings, chain: [] })

    expect([step, code]).toEqual(['token', 'AccessDenied'])
    expect(message).toContain(
      `→ role ${firstRole} → ecr:GetAuthorizationToken: AccessDenied: User: ${callerOf(firstRole)}`,
    )
    expect(message).toContain(
      `allow ecr:GetAuthorizationToken to ${callerOf(firstRole)}, on Resource "*"`,
    )
  })

  it.each([
    [
      'does not trust the first one',
      { trusts: [{ arn: 'arn:aws:iam::1:role/other' }], mayGetToken: true },
    ],
    ['does not exist', undefined],
  ])('if the second role %s', async (_, second) => {
    const other = await startChain({
      roles: {
        [firstRole]: { trusts: [serviceAccount], mayAssume: [secondRole] },
        ...(second === undefined ? {} : { [secondRole]: second }),
      },
    })
    const { step, code, message, summary } = await failureOf(other.settings)
    await other.aws.close()

    expect([step, code]).toEqual(['role', 'AccessDenied'])
    expect(summary).toBe('no ECR token for us-east-1: role 2 of the chain: AccessDenied')
    expect(message).toContain(`${identity} → role ${firstRole} → role ${secondRole}: AccessDenied`)
    expect(message).toContain(`a policy of ${callerOf(firstRole)} that allows sts:AssumeRole`)
    expect(message).toContain(`a trust policy of role ${secondRole} that names that caller`)
  })

  it('unless the config has the external ID that the second role requires', async () => {
    const other = await startChain({
      roles: {
        [firstRole]: { trusts: [serviceAccount], mayAssume: [secondRole] },
        [secondRole]: { trusts: [{ arn: firstRole, externalId: 'tenant-7' }], mayGetToken: true },
      },
    })
    const withoutId = await fetchWith(other.settings)
    const chain = [{ roleArn: secondRole, externalId: 'tenant-7' }]
    const withId = await fetchWith({ ...other.settings, chain })
    await other.aws.close()

    expect([withoutId.ok, withId.ok]).toEqual([false, true])
  })

  it.each<[string, AwsBehaviour, string, string]>([
    [
      'Throttling',
      { error: 'Throttling', message: 'Rate exceeded' },
      'Throttling',
      'Berth retries later',
    ],
    [
      'a 503',
      { error: 'ServiceUnavailable', status: 503 },
      'ServiceUnavailable',
      'Berth retries later',
    ],
    ['a closed connection', { cut: true }, 'ECONNRESET', 'allow Berth to connect to this API'],
    [
      'an empty response',
      { body: '<AssumeRoleResponse/>' },
      'EmptyResponse',
      'check that `endpoints` names the URL of this API',
    ],
  ])('if STS fails with %s', async (_, behaviour, expectedCode, fix) => {
    setup.aws.behave(({ action }) => (action === 'AssumeRole' ? behaviour : null))
    const { step, code, message } = await failureOf(setup.settings)

    expect([step, code]).toEqual(['role', expectedCode])
    expect(message).toContain(fix)
  })

  it.each<[string, AwsBehaviour, string]>([
    ['Throttling', { error: 'ThrottlingException', message: 'Rate exceeded' }, 'Throttling'],
    ['no authorizationData', { body: '{}' }, 'EmptyResponse'],
    ['an empty list', { body: '{"authorizationData":[]}' }, 'EmptyResponse'],
    [
      'a token without a password',
      { body: '{"authorizationData":[{"authorizationToken":"QVdTOg=="}]}' },
      'EmptyResponse',
    ],
    ['an HTML page', { body: '<html></html>' }, 'SyntaxError'],
  ])('if ECR responds with %s', async (_, behaviour, expectedCode) => {
    setup.aws.behave(({ service }) => (service === 'ecr' ? behaviour : null))
    const { step, code } = await failureOf(setup.settings)

    expect([step, code]).toEqual(['token', expectedCode])
  })

  it('if nothing listens at the endpoint', async () => {
    await setup.aws.close()
    const { step, code, message } = await failureOf(setup.settings)
    setup = await startChain()

    expect([step, code]).toEqual(['web-identity', 'ECONNREFUSED'])
    expect(message).toContain('set `ecr.endpoints` to a VPC endpoint')
  })
})

describe('static keys', () => {
  const arn = 'arn:aws:iam::606639739464:user/puller'

  async function withKeys(secretAccessKey: string, mayGetToken = true) {
    const aws = await startFakeAws({
      users: {
        AKIAPULLER: { arn, secretAccessKey: 'right', mayAssume: [secondRole], mayGetToken },
      },
      roles: { [secondRole]: { trusts: [{ arn }], mayGetToken: true } },
      now: () => startOfTests,
    })
    const secretsDirectory = mkdtempSync(join(tmpdir(), 'berth-keys-'))
    writeFileSync(join(secretsDirectory, 'AWS_ACCESS_KEY_ID'), 'AKIAPULLER\n')
    writeFileSync(join(secretsDirectory, 'AWS_SECRET_ACCESS_KEY'), `${secretAccessKey}\n`)
    const settings: EcrSettings = {
      ...setup.settings,
      identity: { kind: 'staticKeys', secret: '.' },
      chain: [],
      endpoints: { sts: aws.url, ecr: aws.url },
    }
    return { aws, settings, secretsDirectory }
  }

  it('return a token, with the ARN from AWS as the caller', async () => {
    const { aws, settings, secretsDirectory } = await withKeys('right')
    const result = await fetchWith(settings, { secretsDirectory })
    await aws.close()

    expect(result).toMatchObject({ ok: true, token: { caller: arn } })
  })

  it('return a token even if AWS does not tell the ARN', async () => {
    const { aws, settings, secretsDirectory } = await withKeys('right')
    aws.behave(({ action }) => (action === 'GetCallerIdentity' ? { error: 'AccessDenied' } : null))
    const result = await fetchWith(settings, { secretsDirectory })
    await aws.close()

    expect(result).toMatchObject({ ok: true, token: { caller: 'keys of secret .' } })
  })

  it('can start a chain', async () => {
    const { aws, settings, secretsDirectory } = await withKeys('right', false)
    const chain = [{ roleArn: secondRole, externalId: null }]
    const result = await fetchWith({ ...settings, chain }, { secretsDirectory })
    await aws.close()

    expect(result).toMatchObject({ ok: true, token: { caller: callerOf(secondRole) } })
    expect(summarize(aws.calls)[0]).toEqual(['AssumeRole', arn, secondRole])
  })

  it('that are wrong are reported with their Secret, without the keys', async () => {
    const { aws, settings, secretsDirectory } = await withKeys('canary-wrong')
    const { code, message } = await failureOf(settings, { secretsDirectory })
    await aws.close()

    expect(code).toBe('SignatureDoesNotMatch')
    expect(message).toContain('keys of secret . → ecr:GetAuthorizationToken')
    expect(message).toContain('renew them where they are stored')
    expect(message).not.toContain('canary')
  })
})

describe('messages', () => {
  it('contain no secret, even if AWS repeats one', async () => {
    const token = setup.aws.webToken(serviceAccount)
    const messages: string[] = []
    for (const action of ['AssumeRoleWithWebIdentity', 'AssumeRole', 'GetAuthorizationToken']) {
      setup.aws.behave((call) => {
        const message = `no: ${token} ${setup.aws.secrets.join(' ')}`
        return call.action === action ? { error: 'AccessDenied', message } : null
      })
      messages.push((await failureOf(setup.settings)).message)
    }

    expect(messages).toHaveLength(3)
    const secrets = [token, token.split('.')[1] ?? '', ...setup.aws.secrets]
    expect(secrets.filter((secret) => messages.join('\n').includes(secret))).toEqual([])
  })
})
