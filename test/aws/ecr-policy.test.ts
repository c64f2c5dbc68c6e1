import { describe, expect, it } from 'vitest'
import { checkPull, type PullQuestion } from '../../src/aws/ecr-policy.ts'
import { firstRole, secondRole } from '../support/ecr.ts'

const repositoryArn =
  'arn:aws:ecr:us-east-1:818140567777:repository/consultingfirm/naming-server-service'
const token = 'ecr:GetAuthorizationToken'
const pulls = ['ecr:BatchCheckLayerAvailability', 'ecr:GetDownloadUrlForLayer', 'ecr:BatchGetImage']

const allow = (Action: string | string[], Resource: string | string[] = '*') => ({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Action, Resource }],
})
const repositoryAllows = (AWS: string | string[], Action: string | string[] = pulls) => ({
  Version: '2008-10-17',
  Statement: [{ Sid: 'pull', Effect: 'Allow', Principal: { AWS }, Action }],
})
const mayPull = allow([token, ...pulls])

/** The first role pulls from the other account, as far as the changes let it. */
function ask(changes: Partial<PullQuestion> = {}): string[] {
  const question: PullQuestion = {
    callerArn: firstRole,
    repositoryArn,
    identityPolicies: [mayPull],
    repositoryPolicy: repositoryAllows('arn:aws:iam::606639739464:root'),
    ...changes,
  }
  return checkPull(question).map(({ action, side, kind }) => `${side} ${kind} ${action}`)
}

const each = (actions: readonly string[], what: string) =>
  actions.map((action) => `${what} ${action}`)

describe('a pull from another account', () => {
  it.each([
    ['the account', 'arn:aws:iam::606639739464:root'],
    ['the account by its number', '606639739464'],
    ['the role', firstRole],
    ['everybody', '*'],
    ['one of several', ['arn:aws:iam::1:root', firstRole]],
  ])('is let in by a repository whose policy names %s', (_, principal) => {
    expect(ask({ repositoryPolicy: repositoryAllows(principal) })).toEqual([])
  })

  it('needs the policy of the repository', () => {
    expect(ask({ repositoryPolicy: null })).toEqual(each(pulls, 'repository missing'))
    expect(ask({ repositoryPolicy: repositoryAllows(secondRole) })).toEqual(
      each(pulls, 'repository missing'),
    )
  })

  it('needs a policy of the caller too: a role that may only assume another has none', () => {
    expect(ask({ identityPolicies: [allow('sts:AssumeRole', secondRole)] })).toEqual(
      each([token, ...pulls], 'identity missing'),
    )
  })

  it('names the one action that is missing, and its side', () => {
    const [, , last = ''] = pulls
    const without = pulls.slice(0, 2)

    expect(ask({ repositoryPolicy: repositoryAllows(firstRole, without) })).toEqual([
      `repository missing ${last}`,
    ])
    expect(ask({ identityPolicies: [allow([token, ...without])] })).toEqual([
      `identity missing ${last}`,
    ])
  })
})

describe('the token', () => {
  it('is never had by a policy for the ARN of a repository', () => {
    const faults = checkPull({
      callerArn: firstRole,
      repositoryArn,
      identityPolicies: [allow([token, ...pulls], repositoryArn)],
      repositoryPolicy: repositoryAllows(firstRole),
    })

    expect(faults).toEqual([
      {
        action: token,
        side: 'identity',
        kind: 'never-matches',
        message: `a policy of ${firstRole} allows ${token} on an ARN, which never matches; allow it on Resource "*"`,
      },
    ])
  })

  it('is not the business of a repository', () => {
    expect(
      ask({
        identityPolicies: [allow(pulls)],
        repositoryPolicy: repositoryAllows(firstRole, [token, ...pulls]),
      }),
    ).toEqual([`identity missing ${token}`])
  })
})

describe('a pull within one account', () => {
  const own = { callerArn: secondRole, identityPolicies: [allow(token)] }

  it('needs one side', () => {
    expect(ask({ ...own, repositoryPolicy: repositoryAllows(secondRole) })).toEqual([])
    expect(ask({ ...own, identityPolicies: [mayPull], repositoryPolicy: null })).toEqual([])
  })

  it('is not granted by the account as principal, which leaves it to the identity', () => {
    const repositoryPolicy = repositoryAllows('arn:aws:iam::818140567777:root')

    expect(ask({ ...own, repositoryPolicy })).toEqual(each(pulls, 'identity missing'))
  })
})

describe('statements', () => {
  const deny = {
    Statement: { Effect: 'Deny', Action: 'ecr:Batch*', Resource: '*', Principal: '*' },
  }

  it('that deny outweigh all others, on either side', () => {
    const batch = pulls.filter((action) => action.startsWith('ecr:Batch'))

    expect(ask({ identityPolicies: [mayPull, deny] })).toEqual(each(batch, 'identity denied'))
    expect(
      ask({
        repositoryPolicy: {
          Statement: [...repositoryAllows(firstRole).Statement, deny.Statement],
        },
      }),
    ).toEqual(each(batch, 'repository denied'))
  })

  it.each([
    ['wildcards', allow('ecr:*')],
    ['another case', allow([token.toLowerCase(), ...pulls.map((each) => each.toUpperCase())])],
    [
      'a part of the ARN',
      {
        Statement: [
          allow(token).Statement[0],
          allow(pulls, 'arn:aws:ecr:*:818140567777:repository/consultingfirm/?aming-*')
            .Statement[0],
        ],
      },
    ],
    ['NotAction', { Statement: { Effect: 'Allow', NotAction: 's3:*', Resource: '*' } }],
    [
      'NotResource',
      {
        Statement: [
          allow(token).Statement[0],
          { Effect: 'Allow', Action: pulls, NotResource: 'arn:aws:s3:::*' },
        ],
      },
    ],
  ])('are read with %s', (_, policy) => {
    expect(ask({ identityPolicies: [policy] })).toEqual([])
  })

  it('for another repository do not count', () => {
    const policy = {
      Statement: [allow(token).Statement[0], allow(pulls, `${repositoryArn}-2`).Statement[0]],
    }

    expect(ask({ identityPolicies: [policy] })).toEqual(each(pulls, 'identity missing'))
  })

  it('with a condition are said to have one', () => {
    const [statement] = mayPull.Statement
    const policy = {
      Statement: [{ ...statement, Condition: { Bool: { 'aws:SecureTransport': true } } }],
    }

    expect(ask({ identityPolicies: [policy] })).toEqual(
      each([token, ...pulls], 'identity conditional'),
    )
  })

  it.each([null, 'text', [], {}, { Statement: null }, { Statement: ['x', 1] }])(
    'that are none, as in %j, allow nothing',
    (policy) => {
      expect(ask({ identityPolicies: [policy] })).toEqual(
        each([token, ...pulls], 'identity missing'),
      )
    },
  )
})

describe('a boundary', () => {
  it('has to allow as well, and is named when it does not', () => {
    expect(ask({ boundaries: [allow(token)] })).toEqual(each(pulls, 'boundary missing'))
    expect(ask({ boundaries: [allow('*')] })).toEqual([])
  })
})

describe('the first pull through a cache', () => {
  it('needs two actions more', () => {
    expect(ask({ pullThrough: true, callerArn: secondRole, repositoryPolicy: null })).toEqual([
      'identity missing ecr:CreateRepository',
      'identity missing ecr:BatchImportUpstreamImage',
    ])
  })
})
