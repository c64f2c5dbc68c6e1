import { describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/load.ts'
import { formatProblem } from '../../src/config/problem.ts'
import { selectCandidates } from '../../src/decision/fallback/table.ts'
import { firstRole, registryHost, secondRole } from '../support/ecr.ts'
import { barePod, referenceOf } from '../support/tables.ts'

const head = 'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n'

function problems(yaml: string): string[] {
  const result = readConfig(head + yaml, '/etc/berth')
  const found = result.ok ? result.config.warnings : result.problems
  return found.map((problem) => formatProblem('f', problem))
}

function configOf(yaml: string) {
  const result = readConfig(head + yaml, '/etc/berth')
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join('\n'))
  return result.config
}

const registry = (ecr: string, host = registryHost) =>
  `registries: [{ host: "${host}", credentials: { ecr: ${ecr} } }]`

const credentialsOf = (yaml: string, host = registryHost) =>
  configOf(yaml).registries.get(host)?.credentials

describe('credentials.ecr', () => {
  it('takes the region from the host', () => {
    expect(credentialsOf(registry('{}'))).toEqual({
      kind: 'ecr',
      region: 'us-east-1',
      fips: false,
      dualStack: false,
      identity: { kind: 'ambient' },
      chain: [],
      sessionName: 'berth',
      endpoints: { sts: null, ecr: null },
    })
  })

  it('reads the chain, the identity and the endpoints', () => {
    const ecr = `{ webIdentity: { roleArn: "${firstRole}", tokenFile: token }, chain: ["${secondRole}", { roleArn: "${firstRole}", externalId: x7 }], sessionName: pulls, endpoints: { sts: "https://sts.internal", ecr: "http://127.0.0.1:1" } }`

    expect(credentialsOf(registry(ecr))).toMatchObject({
      identity: { kind: 'webIdentity', roleArn: firstRole, tokenFile: '/etc/berth/token' },
      chain: [
        { roleArn: secondRole, externalId: null },
        { roleArn: firstRole, externalId: 'x7' },
      ],
      sessionName: 'pulls',
      endpoints: { sts: 'https://sts.internal', ecr: 'http://127.0.0.1:1' },
    })
  })

  it('recognizes FIPS and dual-stack hosts by their names', () => {
    const host = '818140567777.dkr-ecr-fips.us-east-1.on.aws'

    expect(credentialsOf(registry('{}', host), host)).toMatchObject({ fips: true, dualStack: true })
  })

  it('accepts another host with a region', () => {
    expect(
      credentialsOf(registry('{ region: eu-west-1 }', 'images.example'), 'images.example'),
    ).toMatchObject({
      region: 'eu-west-1',
    })
  })

  it.each([
    [
      registry('{}', 'images.example'),
      'the host images.example does not contain an AWS region; set ecr.region',
    ],
    [registry('{}', 'public.ecr.aws'), 'Amazon ECR Public needs no account'],
    [registry('{ region: eu-west-1 }'), 'ecr.region is eu-west-1, but the host'],
    [registry('{ region: nowhere }'), 'not an AWS region; write for example us-east-1'],
    [registry('{ chain: ["arn:aws:iam::1:role/x"] }'), 'chain[0]: not the ARN of an IAM role'],
    [
      registry('{ chain: ["arn:aws:sts::606639739464:assumed-role/x/y"] }'),
      'chain[0]: not the ARN of an IAM role',
    ],
    [registry('{ sessionName: "a b" }'), 'not a valid session name'],
    [
      registry('{ endpoints: { sts: "http://sts.example" } }'),
      'ecr.endpoints.sts must be an https URL without a user',
    ],
    [
      registry('{ endpoints: { ecr: "https://u:canary@e.example" } }'),
      'ecr.endpoints.ecr must be an https URL without a user',
    ],
    [registry('{ endpoints: { ecr: "http://127.evil.example" } }'), 'must be an https URL'],
    [
      registry(
        `{ staticKeys: { secret: a }, webIdentity: { roleArn: "${firstRole}", tokenFile: t } }`,
      ),
      'both webIdentity and staticKeys',
    ],
    [
      registry('{ keys: x }'),
      'ecr.keys: unknown key; the keys here are region, webIdentity, staticKeys, chain, sessionName, endpoints',
    ],
    ['registries: [{ host: a.io, credentials: { file: x } }]', 'must be one of `secret: NAME`'],
  ])('reports %s', (yaml, expected) => {
    const found = problems(yaml)

    expect(found.join('\n')).toContain(expected)
    expect(found.join('\n')).not.toContain('canary')
  })
})

describe('a pull-through cache', () => {
  it.each([
    ['nginx', 'docker-hub/library/nginx:latest'],
    ['freeipa/freeipa-server:fedora-39', 'docker-hub/freeipa/freeipa-server:fedora-39'],
    ['quay.io/a/b/c:1', 'quay/a/b/c:1'],
  ])('is a template with the prefix of the rule: %s', (image, expected) => {
    const { table } = configOf(
      `fallback: [{ name: hub, images: ["docker.io/**"], try: ["${registryHost}/docker-hub/{path}"] }, { name: quay, images: ["quay.io/**"], try: ["${registryHost}/quay/{path}"] }]`,
    )
    const { candidates } = selectCandidates(table, referenceOf(image), barePod)

    expect(candidates.map((each) => each.image)).toEqual([`${registryHost}/${expected}`])
  })
})

describe('ecrTokens', () => {
  it('uses the settings of each host, or its own for all hosts', () => {
    const { ecrTokens } = configOf(
      `${registry('{ chain: [] }')}\necrTokens: [{ secret: own, registries: ["${registryHost}"] }, { secret: other, registries: ["606639739464.dkr.ecr.eu-west-1.amazonaws.com"], ecr: { chain: ["${secondRole}"] } }]`,
    )

    expect(ecrTokens).toMatchObject([
      { secret: 'own', registries: [{ host: registryHost, ecr: { chain: [] } }] },
      {
        secret: 'other',
        registries: [{ ecr: { region: 'eu-west-1', chain: [{ roleArn: secondRole }] } }],
      },
    ])
  })

  it.each([
    [
      `ecrTokens: [{ secret: s, registries: ["${registryHost}"] }]`,
      `f:3:39: error: ecrTokens[0].registries[0]: the registry ${registryHost} has no \`credentials: { ecr: … }\``,
    ],
    [
      `ecrTokens: [{ secret: s, registries: ["${registryHost}"], ecr: {} }, { secret: s, registries: ["${registryHost}"], ecr: {} }]`,
      'ecrTokens[1].secret: an earlier entry has the secret s',
    ],
    [
      'ecrTokens: [{ secret: s, registries: [ghcr.io], ecr: {} }]',
      'the host ghcr.io does not contain an AWS region',
    ],
    [
      'ecrTokens: [{ secret: s, registries: [a.io], ecr: { chain: [1] } }]',
      'ecrTokens[0].ecr.chain[0]: must be the ARN of a role, or',
    ],
    ['ecrTokens: [{ secret: s, registries: [] }]', 'must not be empty; add at least one item'],
  ])('reports %s', (yaml, expected) => {
    expect(problems(yaml).join('\n')).toContain(expected)
  })
})
