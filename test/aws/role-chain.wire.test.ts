/** The chain over the wire, by the real SDK, against an STS and an ECR that check every signature, trust and right. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { awsSdk } from '../../src/aws/sdk.ts'
import { fetchEcrToken, type EcrTokenResult } from '../../src/aws/role-chain.ts'
import type { EcrSettings } from '../../src/aws/ecr-settings.ts'
import { type AwsBehaviour, type AwsCall, startFakeAws, tokenLifeMs } from '../support/aws.ts'
import {
  type ChainWorld,
  firstRole,
  secondRole,
  serviceAccount,
  startChain,
  startOfTests,
} from '../support/ecr.ts'

let world: ChainWorld

beforeEach(async () => {
  world = await startChain()
})

afterEach(async () => {
  await world.aws.close()
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
  if (result.ok) throw new Error('a token came')
  return result.failure
}

const called = (calls: readonly AwsCall[]) =>
  calls.map(({ action, caller, roleArn }) => [action, caller, roleArn])

const callerOf = (roleArn: string) =>
  roleArn.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/') + '/berth'

const identity = `web identity ${serviceAccount.subject} of ${serviceAccount.issuer} for ${serviceAccount.audience}`

describe('a chain of two roles', () => {
  it('ends in a token, each link taken by the one before it', async () => {
    const result = await fetchWith(world.settings)

    expect(result).toEqual({
      ok: true,
      token: {
        username: 'AWS',
        password: world.aws.passwords[0],
        issuedAt: startOfTests,
        expiresAt: startOfTests + tokenLifeMs,
        caller: callerOf(secondRole),
      },
    })
    expect(called(world.aws.calls)).toEqual([
      ['AssumeRoleWithWebIdentity', null, firstRole],
      ['AssumeRole', callerOf(firstRole), secondRole],
      ['GetAuthorizationToken', callerOf(secondRole), null],
    ])
    expect(world.aws.calls.map(({ region }) => region)).toEqual([null, 'us-east-1', 'us-east-1'])
  })

  it('begins with what the pod of an annotated service account has in its environment', async () => {
    const ambient: EcrSettings = { ...world.settings, identity: { kind: 'ambient' } }
    const env = { ...world.env, AWS_ROLE_SESSION_NAME: 'from-the-pod' }

    const result = await fetchWith(ambient, { env })

    expect(result).toMatchObject({ ok: true, token: { caller: callerOf(secondRole) } })
    expect(world.aws.calls.map(({ sessionName }) => sessionName)).toEqual([
      'from-the-pod',
      'berth',
      null,
    ])
  })

  it('keeps a password with colons and two thousand characters whole', async () => {
    const result = await fetchWith(world.settings)
    const password = result.ok ? result.token.password : ''

    expect(password.length).toBeGreaterThan(1500)
    expect(password.split(':').length).toBeGreaterThan(2)
    expect(password).toBe(world.aws.passwords[0])
  })

  it('reads the token file anew, because it is rotated', async () => {
    writeFileSync(world.tokenFile, world.aws.webToken({ ...serviceAccount, livesMs: -1000 }))
    const before = await fetchWith(world.settings)
    writeFileSync(world.tokenFile, world.aws.webToken(serviceAccount))

    expect([before.ok, (await fetchWith(world.settings)).ok]).toEqual([false, true])
  })
})

describe('a broken link is named, with what mends it', () => {
  it('the first role does not trust the service account', async () => {
    const other = { ...serviceAccount, subject: 'system:serviceaccount:cf-dev:default' }
    writeFileSync(world.tokenFile, world.aws.webToken(other))

    expect(await failureOf(world.settings)).toEqual({
      step: 'web-identity',
      code: 'AccessDenied',
      summary: 'no ECR token for us-east-1: web identity: AccessDenied',
      message: `ECR token for us-east-1: ${identity.replace('ecr-sa', 'default')} → role ${firstRole}: AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity; the trust policy of role ${firstRole} has to allow sts:AssumeRoleWithWebIdentity to the ${identity.replace('ecr-sa', 'default')}`,
    })
  })

  it('the account does not know the issuer', async () => {
    writeFileSync(
      world.tokenFile,
      world.aws.webToken({ ...serviceAccount, issuer: 'https://oidc.example/other' }),
    )
    const { step, code, message } = await failureOf(world.settings)

    expect([step, code]).toEqual(['web-identity', 'InvalidIdentityToken'])
    expect(message).toContain(
      'needs an IAM OIDC provider for the issuer and audience of the web identity',
    )
    expect(message).toContain('https://oidc.example/other')
  })

  it('the token has ended', async () => {
    writeFileSync(world.tokenFile, world.aws.webToken({ ...serviceAccount, livesMs: -1000 }))
    const { step, code, message } = await failureOf(world.settings)

    expect([step, code]).toEqual(['web-identity', 'ExpiredToken'])
    expect(message).toContain('the token file is not renewed')
  })

  it('the token file is not there, or is empty', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'berth-ecr-')), 'token')
    const without: EcrSettings = {
      ...world.settings,
      identity: { kind: 'webIdentity', roleArn: firstRole, tokenFile: file },
    }
    const missing = await failureOf(without)
    writeFileSync(file, '\n')
    const empty = await failureOf(without)

    expect([missing.step, empty.step]).toEqual(['identity', 'identity'])
    expect(missing.message).toContain(
      `web identity (${file}): Unusable: ${file} cannot be read (ENOENT)`,
    )
    expect(empty.message).toContain(`${file} is empty`)
    expect(world.aws.calls).toEqual([])
  })

  it('the first role has no right of its own to a token', async () => {
    const { step, code, message } = await failureOf({ ...world.settings, chain: [] })

    expect([step, code]).toEqual(['token', 'AccessDenied'])
    expect(message).toContain(
      `→ role ${firstRole} → ecr:GetAuthorizationToken: AccessDenied: User: ${callerOf(firstRole)}`,
    )
    expect(message).toContain(
      `allow ecr:GetAuthorizationToken to ${callerOf(firstRole)}, on Resource "*"`,
    )
  })

  it.each([
    ['trusts another', { trusts: [{ arn: 'arn:aws:iam::1:role/other' }], mayGetToken: true }],
    ['does not exist', undefined],
  ])('the second role %s', async (_, second) => {
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

  it('the second role asks for an external ID, and gets it from the link that has it', async () => {
    const other = await startChain({
      roles: {
        [firstRole]: { trusts: [serviceAccount], mayAssume: [secondRole] },
        [secondRole]: { trusts: [{ arn: firstRole, externalId: 'tenant-7' }], mayGetToken: true },
      },
    })
    const without = await fetchWith(other.settings)
    const chain = [{ roleArn: secondRole, externalId: 'tenant-7' }]
    const withIt = await fetchWith({ ...other.settings, chain })
    await other.aws.close()

    expect([without.ok, withIt.ok]).toEqual([false, true])
  })

  it.each<[string, AwsBehaviour, string, string]>([
    [
      'Throttling',
      { error: 'Throttling', message: 'Rate exceeded' },
      'Throttling',
      'asked again later',
    ],
    [
      'a 503',
      { error: 'ServiceUnavailable', status: 503 },
      'ServiceUnavailable',
      'asked again later',
    ],
    ['a connection that is cut', { cut: true }, 'ECONNRESET', 'within reach of Berth'],
    [
      'an empty answer',
      { body: '<AssumeRoleResponse/>' },
      'EmptyAnswer',
      'may not be the one of this API',
    ],
  ])('of STS: %s', async (_, behaviour, wantCode, fix) => {
    world.aws.behave(({ action }) => (action === 'AssumeRole' ? behaviour : null))
    const { step, code, message } = await failureOf(world.settings)

    expect([step, code]).toEqual(['role', wantCode])
    expect(message).toContain(fix)
  })

  it.each<[string, AwsBehaviour, string]>([
    ['Throttling', { error: 'ThrottlingException', message: 'Rate exceeded' }, 'Throttling'],
    ['no authorizationData', { body: '{}' }, 'EmptyAnswer'],
    ['an empty list', { body: '{"authorizationData":[]}' }, 'EmptyAnswer'],
    [
      'a token without a password',
      { body: '{"authorizationData":[{"authorizationToken":"QVdTOg=="}]}' },
      'EmptyAnswer',
    ],
    ['a page of HTML', { body: '<html></html>' }, 'SyntaxError'],
  ])('of ECR: %s', async (_, behaviour, wantCode) => {
    world.aws.behave(({ service }) => (service === 'ecr' ? behaviour : null))
    const { step, code } = await failureOf(world.settings)

    expect([step, code]).toEqual(['token', wantCode])
  })

  it('nothing listens', async () => {
    await world.aws.close()
    const { step, code, message } = await failureOf(world.settings)
    world = await startChain()

    expect([step, code]).toEqual(['web-identity', 'ECONNREFUSED'])
    expect(message).toContain('`ecr.endpoints` names a VPC endpoint')
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
      ...world.settings,
      identity: { kind: 'staticKeys', secret: '.' },
      chain: [],
      endpoints: { sts: aws.url, ecr: aws.url },
    }
    return { aws, settings, secretsDirectory }
  }

  it('give a token, and AWS says whose they are', async () => {
    const { aws, settings, secretsDirectory } = await withKeys('right')
    const result = await fetchWith(settings, { secretsDirectory })
    await aws.close()

    expect(result).toMatchObject({ ok: true, token: { caller: arn } })
  })

  it('give a token even where nobody says whose they are', async () => {
    const { aws, settings, secretsDirectory } = await withKeys('right')
    aws.behave(({ action }) => (action === 'GetCallerIdentity' ? { error: 'AccessDenied' } : null))
    const result = await fetchWith(settings, { secretsDirectory })
    await aws.close()

    expect(result).toMatchObject({ ok: true, token: { caller: 'keys of secret .' } })
  })

  it('begin a chain', async () => {
    const { aws, settings, secretsDirectory } = await withKeys('right', false)
    const chain = [{ roleArn: secondRole, externalId: null }]
    const result = await fetchWith({ ...settings, chain }, { secretsDirectory })
    await aws.close()

    expect(result).toMatchObject({ ok: true, token: { caller: callerOf(secondRole) } })
    expect(called(aws.calls)[0]).toEqual(['AssumeRole', arn, secondRole])
  })

  it('that are wrong say where they are kept, and not what they are', async () => {
    const { aws, settings, secretsDirectory } = await withKeys('canary-wrong')
    const { code, message } = await failureOf(settings, { secretsDirectory })
    await aws.close()

    expect(code).toBe('SignatureDoesNotMatch')
    expect(message).toContain('keys of secret . → ecr:GetAuthorizationToken')
    expect(message).toContain('renew them where they are kept')
    expect(message).not.toContain('canary')
  })
})

describe('what is secret', () => {
  it('is in no message, even if AWS repeats it', async () => {
    const token = world.aws.webToken(serviceAccount)
    const messages: string[] = []
    for (const action of ['AssumeRoleWithWebIdentity', 'AssumeRole', 'GetAuthorizationToken']) {
      world.aws.behave((call) => {
        const message = `no: ${token} ${world.aws.secrets.join(' ')}`
        return call.action === action ? { error: 'AccessDenied', message } : null
      })
      messages.push((await failureOf(world.settings)).message)
    }

    expect(messages).toHaveLength(3)
    const secrets = [token, token.split('.')[1] ?? '', ...world.aws.secrets]
    expect(secrets.filter((secret) => messages.join('\n').includes(secret))).toEqual([])
  })
})
