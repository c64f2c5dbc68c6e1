import { describe, expect, it } from 'vitest'
import { parseEcrHost } from '../../src/aws/ecr-host.ts'

const accountId = '818140567777'
const plain = { kind: 'private', accountId, fips: false, dualStack: false }

describe('parseEcrHost', () => {
  it.each([
    ['818140567777.dkr.ecr.us-east-1.amazonaws.com', { region: 'us-east-1' }],
    ['818140567777.dkr.ecr.us-gov-west-1.amazonaws.com', { region: 'us-gov-west-1' }],
    [
      '818140567777.dkr.ecr-fips.us-gov-east-1.amazonaws.com',
      { region: 'us-gov-east-1', fips: true },
    ],
    ['818140567777.dkr.ecr.cn-north-1.amazonaws.com.cn', { region: 'cn-north-1' }],
    ['818140567777.dkr.ecr.eusc-de-east-1.amazonaws.eu', { region: 'eusc-de-east-1' }],
    ['818140567777.dkr.ecr.us-iso-east-1.c2s.ic.gov', { region: 'us-iso-east-1' }],
    ['818140567777.dkr.ecr.us-isob-east-1.sc2s.sgov.gov', { region: 'us-isob-east-1' }],
    ['818140567777.dkr-ecr.eu-west-3.on.aws', { region: 'eu-west-3', dualStack: true }],
    [
      '818140567777.dkr-ecr-fips.us-east-1.on.aws',
      { region: 'us-east-1', fips: true, dualStack: true },
    ],
    [
      '818140567777.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn',
      { region: 'cn-north-1', dualStack: true },
    ],
  ])('parses %s', (host, expected) => {
    expect(parseEcrHost(host)).toEqual({ ...plain, ...expected })
  })

  it.each(['public.ecr.aws', 'ecr-public.aws.com'])('returns public for %s', (host) => {
    expect(parseEcrHost(host)).toEqual({ kind: 'public' })
  })

  it.each([
    '818140567777.dkr.ecr.us-east-1.amazonaws.com.evil.example',
    'evil.818140567777.dkr.ecr.us-east-1.amazonaws.com',
    '818140567777.dkr.ecr.us-east-1.amazonaws.com:443',
    '81814056777.dkr.ecr.us-east-1.amazonaws.com',
    '818140567777.dkr.ecr.us-east-1.amazonaws-com',
    '818140567777.dkr.ecr.us-east-1xamazonaws.com',
    '818140567777.dkr.ecr.amazonaws.com',
    '818140567777.dkr.ecr.us-east-1.on.aws',
    '818140567777.dkr-ecr.us-east-1.amazonaws.com',
    '818140567777.dkr.ecr.us-east-1.evil.amazonaws.com',
    'public.ecr.aws.example',
    'ghcr.io',
  ])('returns null for %s', (host) => {
    expect(parseEcrHost(host)).toBeNull()
  })
})
