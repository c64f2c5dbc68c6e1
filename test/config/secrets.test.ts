import { describe, expect, it } from 'vitest'
import { parseDocument } from 'yaml'
import { runConfigTests } from '../../src/config/config-tests.ts'
import { readConfig } from '../../src/config/load.ts'
import { formatProblem } from '../../src/config/problem.ts'

/** A config with a value for most keys that take text. */
const config = `apiVersion: berth.dev/v1alpha1
kind: BerthConfig
registries:
  - host: anubis:32000
    endpoint: http://anubis:32000
    nodeEndpoint: http://anubis:32000
    mirror: true
    authHosts: [auth.example]
    ca: ca.pem
  - host: ghcr.io
    credentials: { secret: ghcr }
  - host: quay.io
    credentials: { dockerConfig: config.json }
  - host: 123456789012.dkr.ecr.us-east-1.amazonaws.com
    credentials:
      ecr:
        region: us-east-1
        webIdentity: { roleArn: 'arn:aws:iam::123456789012:role/a', tokenFile: token }
        chain: ['arn:aws:iam::123456789012:role/b']
        sessionName: berth
        endpoints: { sts: https://sts.example, ecr: https://ecr.example }
fallback:
  - name: a
    images: [docker.io/**]
    tags: { latest: '1' }
    try: ['anubis:32000/{host}/{path}', 'docker.io/{path}']
pin: { tags: [latest], lock: berth.lock }
pullPolicy: [{ images: [docker.io/**], set: Always }]
pullSecrets: [{ registries: [docker.io], secret: hub }]
ecrTokens: [{ secret: ecr, registries: [123456789012.dkr.ecr.us-east-1.amazonaws.com] }]
workloads: [{ kind: argoproj.io/Rollout, pod: spec.template, images: [spec.image] }]
mirror:
  images: [{ image: docker.io/library/nginx, tags: ['1.*'], semver: '>=1' }]
  namespaces: [a]
pullSecretCopies: { copies: [{ name: hub, from: [berth/hub], namespaces: [a], serviceAccounts: [default] }] }
mode: enforce
tests: [{ image: nginx, namespace: default, expect: 'anubis:32000/docker.io/library/nginx:1', row: a, secrets: [hub] }]
`

/** The paths of the values and of the lists in a document. */
function pathsOf(
  value: unknown,
  path: readonly (string | number)[] = [],
): (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null) return [path]
  return Object.entries(value).flatMap(([key, child]) => {
    const part = Array.isArray(value) ? Number(key) : key
    return pathsOf(child, [...path, part])
  })
}

const password = 'Hunter2Hunter2'

/** What people paste from a docker config, a URL or a shell. */
const pasted = [
  `user:${password}@anubis:32000`,
  `https://user:${password}@anubis:32000/x`,
  `https://user:${password}/${password}@anubis:32000/x`,
  `{"auths":{"ghcr.io":{"auth":"${password}"}}}`,
  `${password}!&=+`,
  `user:${password}`,
  `docker login -u user -p ${password} ghcr.io`,
]

/** Where a credential belongs or nearly belongs: no message repeats what is there, unless it is valid. */
const credentialKeys =
  /(?:host|endpoint|nodeEndpoint|authHosts\.0|ca|dockerConfig|secret|tokenFile|sts|ecr|registries\.0)$/

function messages(text: string): string {
  const result = readConfig(text, '/nowhere')
  const problems = result.ok ? result.config.warnings : result.problems
  const failures = result.ok ? runConfigTests(result.config).map(({ failure }) => failure) : []
  return [...problems.map((problem) => formatProblem('f', problem)), ...failures].join('\n')
}

describe('the problems of a config', () => {
  it('are few for the config of this test', () => {
    expect(messages(config).split('\n')).toEqual([
      expect.stringContaining('ca: cannot read a PEM certificate from /nowhere/ca.pem'),
      expect.stringContaining('the file /nowhere/config.json does not exist'),
      expect.stringContaining('cannot read /nowhere/berth.lock'),
    ])
  })

  it.each(pathsOf(parseDocument(config).toJS()))('do not repeat a password at %s', (...path) => {
    const leaks = pasted.filter((text) => {
      const isUserInfo = text.includes('@')
      if (!isUserInfo && !credentialKeys.test(path.join('.'))) return false
      const document = parseDocument(config)
      document.setIn(path, text)
      return messages(String(document)).includes(password)
    })

    expect(leaks).toEqual([])
  })

  it.each([
    [[], `user:${password}@host`],
    [['registries', 0], `user:${password}@host`],
    [['registries', 0], `${password}!`],
    [['registries', 1, 'credentials'], `https://user:${password}@host`],
    [['fallback', 0, 'tags'], `user:${password}@host`],
  ])('do not repeat a password that is a key at %j: %s', (path, key) => {
    const document = parseDocument(config)
    document.setIn([...path, key], 'x')

    expect(messages(String(document))).not.toContain(password)
  })

  it.each([
    `host: ${password}: x`,
    `password: ${password} "x`,
    `password: *${password}`,
    `password: "${password}`,
    `password: [${password}`,
    `password: ${password}\n${password}`,
    `? ${password}\n: - ${password} "`,
    `${password}: ${password}\n${password}: x`,
  ])('do not repeat text that is not YAML: %s', (text) => {
    expect(messages(`${config}${text}`)).not.toContain(password)
  })

  it('repeat at most 1,000 characters of a value', () => {
    const text = config.replace('nginx, tags', `${'x'.repeat(100_000)}, tags`)

    expect(messages(text).length).toBeLessThan(5_000)
  })
})
