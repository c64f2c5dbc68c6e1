import { describe, expect, it } from 'vitest'
import { type FixFacts, fixCommands } from '../../../src/diagnose/fix/commands.ts'
import type { PodPlace } from '../../../src/diagnose/fix/pod-place.ts'
import { readSecretShape, type SecretShape } from '../../../src/diagnose/fix/secret-shape.ts'
import { parseReference } from '../../../src/decision/reference/parse.ts'

const encode = (text: string) => Buffer.from(text).toString('base64')
const auth = encode('puller:CANARY')
const key = 'r.example:5000'
const place: PodPlace = {
  namespace: 'team',
  pod: 'web-0',
  owner: { kind: 'ReplicaSet', name: 'web-6d4f' },
  workload: { kind: 'Deployment', name: 'web' },
  account: 'default',
  accountSecrets: [],
  podSecrets: [],
}

type Command = NonNullable<Parameters<typeof fixCommands>[0]['command']>

function commands(command: Command, facts: Partial<FixFacts> = {}) {
  const base = { namespace: 'team', secrets: [], wantedKey: key, similarKey: null, place }
  const found = fixCommands({ command }, { ...base, shapes: new Map(), ...facts })
  expect(found.join('\n')).not.toContain('CANARY')
  return found
}

function shape(data: Record<string, string>, type = 'kubernetes.io/dockerconfigjson', more = {}) {
  const encoded = Object.fromEntries(
    Object.entries(data).map(([name, text]) => [name, encode(text)]),
  )
  const parsed = parseReference(`${key}/app:1`)
  const metadata = { name: 'pull', namespace: 'team', ...more }
  return readSecretShape({ metadata, type, data: encoded }, parsed.ok ? parsed.reference : null)
}

const changed = (command: Command, of: SecretShape, more: Partial<FixFacts> = {}) =>
  commands(command, { secrets: ['pull'], shapes: new Map([['pull', of]]), ...more })

const config = JSON.stringify({ auths: { [key]: { auth } } })
const legacy = JSON.stringify({ [key]: { auth } })
const create = (name: string) =>
  `kubectl create secret docker-registry ${name} -n team --docker-server=${key} --docker-username="$REGISTRY_USER" --docker-password="$REGISTRY_PASSWORD"`
const made = 'r-example-5000-pull'

describe('the commands for a pod without a credential', () => {
  it('create a secret, add it to the empty list of the service account, and recreate the pod', () => {
    expect(commands('create')).toEqual([
      create(made),
      `kubectl patch serviceaccount default -n team --type=merge -p '{"imagePullSecrets":[{"name":"${made}"}]}'`,
      'sleep 2 && kubectl delete pod web-0 -n team',
    ])
  })

  it('append to the list of the service account', () => {
    const lists = { accountSecrets: ['a'], podSecrets: ['a'] }

    expect(commands('create', { place: { ...place, ...lists } })[1]).toBe(
      `kubectl patch serviceaccount default -n team --type=json -p '[{"op":"add","path":"/imagePullSecrets/-","value":{"name":"${made}"}}]'`,
    )
  })

  it.each([
    ['Deployment', [`kubectl patch deployment web -n team -p '{"spec":{"template":{"spec":{"imagePullSecrets":[{"name":"${made}"}]}}}}'`]],
    ['StatefulSet', [`kubectl patch statefulset web -n team -p '{"spec":{"template":{"spec":{"imagePullSecrets":[{"name":"${made}"}]}}}}'`, 'sleep 2 && kubectl delete pod web-0 -n team']],
    ['Job', []],
  ])('patch the template of a %s that sets its own list', (kind, expected) => {
    const own = { ...place, podSecrets: ['theirs'], workload: { kind, name: 'web' } }

    expect(commands('create', { place: own })).toEqual([create(made), ...expected])
  }) // prettier-ignore

  it('recreate a pod without a controller with the secret in its list', () => {
    expect(commands('create', { place: { ...place, owner: null } })[1]).toBe(
      `kubectl get pod web-0 -n team -o json | kubectl patch --local -f - -p '{"spec":{"imagePullSecrets":[{"name":"${made}"}]}}' -o json | kubectl replace --force -f -`,
    )
  })

  it.each([
    ['an unreadable service account', { ...place, accountSecrets: null }],
    ['a static pod', { ...place, owner: { kind: 'Node', name: 'n1' } }],
    ['an unread pod', null],
  ])('only create the secret for %s', (_, where) => {
    expect(commands('create', { place: where })).toEqual([create(made)])
  })

  it.each([
    ['a secret', { secrets: ['x;reboot'] }],
    ['an owner', { place: { ...place, podSecrets: ['a'], workload: { kind: 'Deployment', name: '$(reboot)' } } }],
    ['a service account', { place: { ...place, account: 'a b' } }],
  ])('are not printed if the name of %s would run in a shell', (_, facts) => {
    expect(commands('create', facts)).toEqual([])
    expect(commands('create-named', { ...facts, secrets: ['x;reboot'] })).toEqual([])
    expect(commands('recreate', { ...facts, secrets: ['x;reboot'] })).toEqual([])
  }) // prettier-ignore

  it('take an ECR token from the AWS command line', () => {
    const ecr = '111122223333.dkr.ecr.us-east-1.amazonaws.com'

    expect(commands('create', { wantedKey: ecr })[0]).toContain(
      '--docker-username=AWS --docker-password="$(aws ecr get-login-password --region us-east-1)"',
    )
  })

  it('quote an IPv6 address for the shell', () => {
    expect(commands('create', { wantedKey: '[::1]:5000' })[0]).toContain(
      "--docker-server='[::1]:5000'",
    )
  })
})

describe('the commands for a secret that the pod names', () => {
  const dryRun = '--dry-run=client -o yaml'
  const opaque = 'Opaque'
  const converted = (member: string, type: string) =>
    `kubectl get secret pull -n team -o jsonpath='{.data.${member}}' | base64 -d | kubectl create secret generic pull -n team --type=kubernetes.io/${type} --from-file=.${type}=/dev/stdin ${dryRun} | kubectl replace --force -f -`

  it.each<[string, SecretShape, string]>([
    ['.dockerconfigjson', shape({ '.dockerconfigjson': config }, opaque), converted(String.raw`\.dockerconfigjson`, 'dockerconfigjson')],
    ['config.json', shape({ 'config.json': config }, opaque), converted(String.raw`config\.json`, 'dockerconfigjson')],
    ['.dockercfg', shape({ '.dockercfg': legacy }, opaque), converted(String.raw`\.dockercfg`, 'dockercfg')],
    ['nothing', shape({}, opaque), `${create('pull')} ${dryRun} | kubectl replace --force -f -`],
  ])('convert an Opaque secret with %s', (_, of, expected) => {
    expect(changed('convert', of)).toEqual([expected])
  }) // prettier-ignore

  it.each([
    ['no docker config', shape({ token: 'CANARY' }, opaque), create('pull-pull')],
    ['a docker config', shape({ token: 'CANARY', '.dockerconfigjson': config }, opaque), String.raw`kubectl get secret pull -n team -o jsonpath='{.data.\.dockerconfigjson}' | base64 -d | kubectl create secret generic pull-pull -n team --type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson=/dev/stdin`],
    ['a docker config for another registry', shape({ 'config.json': '{"auths":{"a.example":{"auth":"YTpi"}}}' }, opaque), create('pull-pull')],
    ['a certificate', shape({ 'tls.crt': 'CANARY', 'tls.key': 'CANARY' }, 'kubernetes.io/tls'), create('pull-pull')],
  ])('leave an Opaque secret alone that containers may use, with %s, and link a new one', (_, of, expected) => {
    const found = changed('convert', of)

    expect(found[0]).toBe(expected)
    expect(found[1]).toContain('patch serviceaccount')
    expect(found.join()).not.toContain('replace')
  }) // prettier-ignore

  it.each([
    ['another path', 'r.example:5000/other'],
    ['another host', 'a.example'],
  ])('keep the only entry of a secret if it is for %s', (_, other) => {
    const of = shape({ '.dockerconfigjson': JSON.stringify({ auths: { [other]: { auth } } }) })

    expect(changed('create', of)[0]).toContain(`fromjson | .auths["${key}"] = {auth:`)
  })

  it('keep the labels of a secret that has to be replaced', () => {
    const annotations = { 'berth.dev/expires-at': '2026-01-01T00:00:00Z' }
    const of = shape({ '.dockerconfigjson': config }, undefined, { annotations })

    expect(changed('replace', of)[0]).toMatch(/^kubectl get secret pull -n team -o json \| jq /)
  })

  it('use the user and password of a basic-auth secret', () => {
    const of = shape({ username: 'puller', password: 'CANARY' }, 'kubernetes.io/basic-auth')

    expect(changed('convert', of)[0]).toContain(
      `--docker-password="$(kubectl get secret pull -n team -o jsonpath='{.data.password}' | base64 -d)"`,
    )
  })

  it('apply over a secret with a single entry, and replace one that apply cannot change', () => {
    const data = { '.dockerconfigjson': config }
    const annotations = { 'berth.dev/expires-at': '2026-01-01T00:00:00Z' }

    expect(changed('replace', shape(data))).toEqual([`${create('pull')} ${dryRun} | kubectl apply -f -`])
    expect(changed('replace', shape(data, undefined, { annotations }))[0]).toContain('| kubectl replace --force -f -')
    expect(changed('replace', shape({ '.dockercfg': legacy }, 'kubernetes.io/dockercfg'))[0]).toContain('| kubectl replace --force -f -')
  }) // prettier-ignore

  it('keep the other entries', () => {
    const both = JSON.stringify({ auths: { [key]: { auth }, 'a.example': { auth } } })

    expect(changed('replace', shape({ '.dockerconfigjson': both }))).toEqual([
      `kubectl get secret pull -n team -o json | jq --arg u "$REGISTRY_USER" --arg p "$REGISTRY_PASSWORD" '.data[".dockerconfigjson"] |= (@base64d | fromjson | .auths["${key}"] = {auth: ("\\($u):\\($p)" | @base64)} | tojson | @base64)' | kubectl replace -f -`,
    ])
  })

  it('reuse the entry of another spelling of the registry', () => {
    const of = shape({ '.dockercfg': JSON.stringify({ 'r.example': { auth } }) }, 'kubernetes.io/dockercfg')
    const similarKey = { secret: 'pull', key: 'r.example' }

    expect(changed('create', of, { similarKey })[0]).toContain(`fromjson | .["${key}"] = .["r.example"] | tojson`)
  }) // prettier-ignore

  it('remove the entry for Amazon ECR Public, which needs none', () => {
    const data = { '.dockerconfigjson': JSON.stringify({ auths: { 'public.ecr.aws': { auth } } }) }

    expect(changed('replace', shape(data), { wantedKey: 'public.ecr.aws' })).toEqual([
      `kubectl get secret pull -n team -o json | jq '.data[".dockerconfigjson"] |= (@base64d | fromjson | .auths |= with_entries(select(.key | test("^(https?://)?public[.]ecr[.]aws(/|$)") | not)) | tojson | @base64)' | kubectl replace -f -`,
    ])
  })

  it('leave a secret alone that OpenShift generates', () => {
    const of = shape({ '.dockercfg': legacy }, 'kubernetes.io/dockercfg', { name: 'default-dockercfg-x7k2p' })

    expect(changed('create', of)[0]).toBe(create(made))
  }) // prettier-ignore
})
