import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Finding } from '../../src/diagnose/findings.ts'
import { currentCluster } from '../harness/cluster.ts'
import { run } from '../harness/command.ts'
import { type FaultyRegistry, startFaultyRegistry } from '../harness/faulty-registry.ts'
import { pushImage, pushIndex } from '../harness/images.ts'
import { apply, kubectlOk, remove } from '../harness/kubectl.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { podManifest } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { waitFor } from '../harness/wait.ts'

/** From a pod that a real kubelet cannot start to the verdict. */
const cluster = currentCluster()
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const namespace = 'diagnose'
const account = { username: 'puller', password: 'canary-diagnose' }
const hosts = ['docker.io', 'down.example', 'tls.example', 'nowhere.example', 'busy.example']

let open: Registry
let locked: Registry
let busy: FaultyRegistry

interface Case {
  readonly name: string
  readonly image: () => string
  readonly secret?: string
  readonly pullPolicy?: 'Never'
  readonly rule: string
  readonly cause: string
  readonly certainty: string
}

const cases: readonly Case[] = [
  { name: 'missing-tag', image: () => `${open.host}/team/app:2`, rule: 'D40', cause: 'not-found', certainty: 'likely' },
  { name: 'missing-repository', image: () => `${open.host}/team/none:1`, rule: 'D40', cause: 'not-found', certainty: 'likely' },
  { name: 'no-platform', image: () => `${open.host}/team/foreign:1`, rule: 'D35', cause: 'platform-missing', certainty: 'likely' },
  { name: 'no-secret', image: () => `${locked.host}/team/app:1`, rule: 'D22', cause: 'no-credential', certainty: 'likely' },
  { name: 'wrong-password', image: () => `${locked.host}/team/app:1`, secret: 'wrong-password', rule: 'D25', cause: 'credential-refused', certainty: 'likely' },
  { name: 'wrong-type', image: () => `${locked.host}/team/app:1`, secret: 'opaque', rule: 'D06', cause: 'pull-secret-ignored', certainty: 'proved' },
  { name: 'missing-secret', image: () => `${locked.host}/team/app:1`, secret: 'gone', rule: 'D05', cause: 'pull-secret-missing', certainty: 'proved' },
  { name: 'never-matches', image: () => 'team/app:1', secret: 'hub', rule: 'D07', cause: 'no-matching-credential', certainty: 'proved' },
  { name: 'undecodable', image: () => `${open.host}/team/app:1`, secret: 'broken', rule: 'D04', cause: 'pull-secret-undecodable', certainty: 'proved' },
  { name: 'never', image: () => `${open.host}/team/app:never`, pullPolicy: 'Never', rule: 'D02', cause: 'never-pulled', certainty: 'likely' },
  { name: 'invalid', image: () => 'Team/App:1', rule: 'D01', cause: 'invalid-reference', certainty: 'proved' },
  { name: 'refused', image: () => 'down.example/team/app:1', rule: 'D51', cause: 'localhost-refused', certainty: 'likely' },
  { name: 'plain-http', image: () => 'tls.example/team/app:1', rule: 'D45', cause: 'http-registry', certainty: 'likely' },
  { name: 'unresolvable', image: () => 'nowhere.example/team/app:1', rule: 'D50', cause: 'dns', certainty: 'likely' },
  { name: 'limited', image: () => 'busy.example/team/app:1', rule: 'D20', cause: 'rate-limited', certainty: 'likely' },
] // prettier-ignore

beforeAll(async () => {
  open = await startRegistry(cluster, { name: 'diagnose-open' })
  locked = await startRegistry(cluster, { name: 'diagnose-locked', htpasswd: account })
  busy = await startFaultyRegistry(cluster.address)
  busy.answerWith(429)
  setNodeHost(cluster, 'docker.io', [locked.url])
  setNodeHost(cluster, 'down.example', [`http://${cluster.address}:1`])
  setNodeHost(cluster, 'tls.example', [`https://${open.host}`])
  setNodeHost(cluster, 'nowhere.example', ['https://nowhere.invalid'])
  setNodeHost(cluster, 'busy.example', [busy.url])
  const app = { repository: 'team/app', tag: '1', content: 'app', marker: 'diagnose' }
  await pushImage({ ...app, registry: open.url })
  await pushImage({ ...app, registry: locked.url, auth: account })
  await pushIndex({
    ...app,
    registry: open.url,
    repository: 'team/foreign',
    platforms: ['linux/s390x', 'linux/riscv64'],
  })
  await kubectlOk(['create', 'namespace', namespace])
  const auth = Buffer.from(`${account.username}:${account.password}`).toString('base64')
  const wrong = Buffer.from(`${account.username}:canary-wrong`).toString('base64')
  await apply([
    secret('wrong-password', { [locked.host]: { auth: wrong } }),
    secret('opaque', { [locked.host]: { auth } }, 'Opaque'),
    secret('hub', { 'registry-1.docker.io': { auth } }),
    secret('broken', { 'elsewhere.example': { auth: 'bm90LWEtcGFpcg==' } }),
  ])
  await apply(
    cases.map(({ name, image, secret: pullSecret, pullPolicy }) =>
      podManifest({
        name,
        namespace,
        image: image(),
        ...(pullSecret === undefined ? {} : { pullSecret }),
        ...(pullPolicy === undefined ? {} : { pullPolicy }),
      }),
    ),
  )
})

afterAll(async () => {
  await remove('namespace', namespace)
  for (const host of hosts) removeNodeHost(cluster, host)
  await open?.stop()
  await locked?.stop()
  await busy?.close()
})

function secret(name: string, auths: object, type = 'kubernetes.io/dockerconfigjson') {
  const data = { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') }
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, type, data }
}

function diagnose(...args: string[]) {
  return run(process.execPath, [
    main,
    'diagnose',
    ...args,
    '-n',
    namespace,
    '--kubeconfig',
    cluster.kubeconfig,
  ])
}

describe('berth diagnose, of a pod in a real pull failure', () => {
  test.each(cases)('$name is $rule', async ({ name, rule, cause, certainty }) => {
    const found = await waitFor(`a verdict about ${name}`, async () => {
      const { stdout } = await diagnose(`pod/${name}`, '-o', 'json')
      const { findings } = JSON.parse(stdout) as { findings: Finding[] }
      if (findings.length === 0) throw new Error('nothing fails yet')
      return findings
    })

    expect(JSON.stringify(found)).not.toContain('canary')
    expect(found).toEqual([expect.objectContaining({ rule, cause, certainty })])
    expect(found[0]?.failures).toEqual([expect.objectContaining({ namespace, pod: name })])
  })

  test('all of them at once, for people', async () => {
    const { stdout, code } = await diagnose()

    expect(code).toBe(1)
    expect(stdout).not.toContain('canary')
    expect(stdout).toContain('--docker-server=https://index.docker.io/v1/')
  })
})
