/** A role chain from a cluster to a registry in another AWS account: service account → role → role → ECR. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EcrSettings } from '../../src/aws/ecr-settings.ts'
import { type FakeAws, type FakeAwsOptions, startFakeAws } from './aws.ts'

export const firstRole = 'arn:aws:iam::606639739464:role/ROSAECRAssumeRole'
export const secondRole = 'arn:aws:iam::818140567777:role/ECRCrossAccountRole'
export const registryHost = '818140567777.dkr.ecr.us-east-1.amazonaws.com'
export const serviceAccount = {
  issuer: 'https://oidc.example/rosa',
  subject: 'system:serviceaccount:cf-dev:ecr-sa',
  audience: 'sts.amazonaws.com',
}
export const startOfTests = Date.parse('2026-03-01T00:00:00Z')

export const settings: EcrSettings = {
  kind: 'ecr',
  region: 'us-east-1',
  fips: false,
  dualStack: false,
  identity: { kind: 'ambient' },
  chain: [{ roleArn: secondRole, externalId: null }],
  sessionName: 'berth',
  endpoints: { sts: null, ecr: null },
}

export interface TestChain {
  readonly aws: FakeAws
  readonly tokenFile: string
  /** Settings that start from the service account token. */
  readonly settings: EcrSettings
  /** The environment of a pod with an annotated service account. */
  readonly env: Readonly<Record<string, string>>
}

/** Starts a fake AWS where the first role may only assume the second role, and the second role trusts only the first. */
export async function startChain(changes: Partial<FakeAwsOptions> = {}): Promise<TestChain> {
  const aws = await startFakeAws({
    issuers: [serviceAccount.issuer],
    roles: {
      [firstRole]: { trusts: [serviceAccount], mayAssume: [secondRole] },
      [secondRole]: { trusts: [{ arn: firstRole }], mayGetToken: true },
    },
    now: () => startOfTests,
    ...changes,
  })
  const tokenFile = join(mkdtempSync(join(tmpdir(), 'berth-ecr-')), 'token')
  writeFileSync(tokenFile, aws.webToken(serviceAccount))
  return {
    aws,
    tokenFile,
    settings: {
      ...settings,
      identity: { kind: 'webIdentity', roleArn: firstRole, tokenFile },
      endpoints: { sts: aws.url, ecr: aws.url },
    },
    env: { AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile, AWS_ROLE_ARN: firstRole },
  }
}
