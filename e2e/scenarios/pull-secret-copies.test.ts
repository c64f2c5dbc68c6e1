import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasStatus } from '../../src/kube/error.ts'
import { type Cluster, connect } from '../../src/kube/connect.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { settledAuditEvents } from '../harness/audit-log.ts'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { type Controller, startController } from '../harness/controller.ts'
import { shortTimesController } from '../harness/paths.ts'
import { pushImage } from '../harness/images.ts'
import { createKubeconfig } from '../harness/kubeconfig.ts'
import {
  apply,
  createNamespace,
  createServiceAccount,
  getJson,
  kubectl,
  kubectlOk,
  removeNamespaces,
} from '../harness/kubectl.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { podManifest, waitForPullFailure, waitForPodRunning } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { permissionsIn } from '../harness/permissions.ts'
import { waitFor } from '../harness/wait.ts'
import { dryRunPod } from '../harness/webhook.ts'
import { applySecretsRbac, renderSecretsRbac } from '../harness/secrets-rbac.ts'

/**
 * A controller with only the rights of `berth secrets rbac` copies pull secrets. The kubelet pulls with a copy, whichever of
 * namespace, secret and pod was created first.
 */
const cluster = currentCluster()
const account = { username: 'puller', password: 'canary-9b1d:with-colon' }
const host = 'private.example'
const image = `${host}/team/app:1`
const home = 'berth-secrets'
const user = `system:serviceaccount:${home}:berth-controller`

type Account = KubeObject & { imagePullSecrets?: { name?: string }[] }
type Secret = KubeObject & { type: string; data: Record<string, string>; immutable?: boolean }

let registry: Registry
let controller: Controller
let kubeconfig: string
let admin: Cluster
const createdNamespaces: string[] = []
/** The cluster-wide kinds that `berth secrets rbac` creates. */
const clusterWideKinds =
  'clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding'

const config = `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullSecretCopies:
  stuckPods: recreate
  copies:
    - name: berth-pull
      from: [${home}/source]
      namespaces: ['sec-*']
    - name: late-pull
      from: [${home}/late]
      namespaces: [sec-late]
    - name: team-pull
      from: [${home}/legacy, ${home}/extra]
      namespaces: { selector: { matchLabels: { team: a } } }
      serviceAccounts: [builder]
`

function docker(password: string): object {
  const auth = Buffer.from(`${account.username}:${password}`).toString('base64')
  return { auths: { [host]: { auth } } }
}

async function putSource(name: string, content: object, labels = {}): Promise<void> {
  await apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: home, labels: { 'berth.dev/copy': 'allowed', ...labels } },
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': JSON.stringify(content) },
  })
}

async function createTeam(name: string, labels: Record<string, string> = {}): Promise<void> {
  await createNamespace(name, labels)
  createdNamespaces.push(name)
}

function deployment(name: string, namespace: string): object {
  const { spec } = podManifest({ name, image, namespace })
  const labels = { app: name }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
  }
}

async function waitUntilAvailable(name: string, namespace: string): Promise<void> {
  await waitFor(`deployment ${namespace}/${name}`, async () => {
    const { status } = await getJson<{ status: { availableReplicas?: number } }>(
      'deployment',
      name,
      namespace,
    )
    return status.availableReplicas === 1
  })
}

/** Waits for the deployment's pod and returns its name. Ignores a terminating pod. */
async function podOf(name: string, namespace: string): Promise<string> {
  const args = ['get', 'pods', '-n', namespace, '-l', `app=${name}`, '-o', 'json']
  return waitFor(`a pod of ${name}`, async () => {
    const { items } = JSON.parse(await kubectlOk(args)) as {
      items: { metadata: { name: string; deletionTimestamp?: string } }[]
    }
    return items.find(({ metadata }) => metadata.deletionTimestamp === undefined)?.metadata.name
  })
}

/** Waits for the copy in a namespace. */
function copyIn(namespace: string, name = 'berth-pull'): Promise<Secret> {
  return waitFor(`the copy in ${namespace}`, () => getJson<Secret>('secret', name, namespace))
}

async function waitUntilDeleted(kind: string, name: string, namespace: string): Promise<void> {
  await waitFor(`the deletion of ${kind} ${namespace}/${name}`, async () => {
    const { code } = await kubectl(['get', kind, name, '-n', namespace])
    return code !== 0
  })
}

/** Returns the names in a service account's imagePullSecrets. */
const pullSecretsOf = async (namespace: string, name = 'default') =>
  ((await getJson<Account>('serviceaccount', name, namespace)).imagePullSecrets ?? []).map(
    // The API server omits empty names.
    (entry) => entry.name ?? '',
  )

async function waitUntilLinked(
  namespace: string,
  name = 'default',
  secret = 'berth-pull',
): Promise<void> {
  await waitFor(`the link in ${namespace}/${name}`, async () =>
    (await pullSecretsOf(namespace, name)).includes(secret),
  )
}

/** Returns the writes of a user, without those to Leases. */
function writesOf(username: string) {
  return settledAuditEvents(
    ({ verb, user, objectRef, responseStatus }) =>
      user.username === username &&
      ['create', 'update', 'patch', 'delete'].includes(verb) &&
      objectRef?.resource !== 'leases' &&
      // An Event that exists already is not written again.
      !(objectRef?.resource === 'events' && responseStatus?.code === 409),
  )
}

/** Returns how often a controller has become idle. */
const idleCount = (of: Controller) =>
  of.log().filter(({ msg }) => msg === 'pull secrets up to date').length

/** Starts a controller with short times, so that no test waits for half a minute. */
function start(
  name: string,
  text: string,
  credentials: string,
  lease = 'berth-controller',
): Promise<Controller> {
  const options = { name, namespace: home, lease, config: text, kubeconfig: credentials }
  return startController({ ...options, program: shortTimesController })
}

beforeAll(async () => {
  admin = await connect({ kubeconfig: cluster.kubeconfig, env: {} })
  registry = await startRegistry(cluster, { name: 'secrets', htpasswd: account })
  setNodeHost(cluster, host, [registry.url])
  await pushImage({
    registry: registry.url,
    repository: 'team/app',
    tag: '1',
    binary: cluster.pauseBinary,
    marker: 'secrets',
    auth: account,
  })
  await createTeam(home)
  await putSource('source', docker(account.password))
  await createServiceAccount('berth-controller', home)
  const file = join(cluster.runDir, 'secrets.yaml')
  writeFileSync(file, config)
  await applySecretsRbac(file, home)
  kubeconfig = await createKubeconfig('berth-controller', home)
  controller = await start('secrets', config, kubeconfig)
})

afterAll(async () => {
  await controller?.stop()
  await removeNamespaces(...createdNamespaces)
  await kubectlOk(['delete', clusterWideKinds, 'berth-pull-secrets'])
  await admin?.close()
  removeNodeHost(cluster, host)
  await registry?.stop()
})

test('the controller has exactly the rights that the config needs', async () => {
  await createTeam('sec-a')

  expect(await permissionsIn('sec-a', kubeconfig)).toEqual([
    'events: create',
    'namespaces: list,watch',
    'pods/eviction: create',
    'pods: list,watch',
    'secrets [berth-pull,late-pull,team-pull]: list,watch,patch,delete',
    'secrets: create',
    'serviceaccounts [builder,default]: patch',
    'serviceaccounts: get,list,watch',
  ])
  expect(await permissionsIn(home, kubeconfig)).toEqual(
    expect.arrayContaining([
      'leases [berth-controller]: get,update',
      'leases: create',
      'secrets [extra,late,legacy,source]: list,watch',
    ]),
  )
})

describe('a namespace, a secret and a pod', () => {
  test('a new namespace gets the copy and the link, and a pod runs with them', async () => {
    await waitUntilLinked('sec-a')
    // The API server sees a changed service account after a moment, and a pod keeps the secrets that it was created with.
    await waitFor('the copy in new pods', async () =>
      (await dryRunPod(image, 'sec-a')).spec.imagePullSecrets?.some(
        ({ name }) => name === 'berth-pull',
      ),
    )
    await apply(podManifest({ name: 'app', image, namespace: 'sec-a' }))
    await waitForPodRunning('app', 'sec-a')

    const copy = await copyIn('sec-a')
    const source = await getJson<Secret>('secret', 'source', home)
    expect(copy.data).toEqual(source.data)
    expect(copy.metadata.annotations).toMatchObject({
      'berth.dev/copied-from': `${home}/source`,
      'berth.dev/source-uid': source.metadata.uid,
    })
  })

  test('a pod that existed before the secret is recreated and runs', async () => {
    await createTeam('sec-late')
    await waitUntilLinked('sec-late')
    const other = `${host}.late`
    setNodeHost(cluster, other, [registry.url])
    const late = JSON.parse(
      JSON.stringify(deployment('late', 'sec-late')).replaceAll(image, `${other}/team/app:1`),
    ) as object
    await apply(late)
    const first = await podOf('late', 'sec-late')
    expect(await waitForPullFailure(first, 'sec-late')).toMatch(/authoriz|authentic/)
    await putSource(
      'late',
      JSON.parse(JSON.stringify(docker(account.password)).replace(host, other)) as object,
    )
    await waitUntilAvailable('late', 'sec-late')

    expect(await podOf('late', 'sec-late')).not.toBe(first)
    expect(
      (await getJson<Account>('pod', await podOf('late', 'sec-late'), 'sec-late')) as unknown,
    ).toMatchObject({
      spec: { imagePullSecrets: [{ name: 'berth-pull' }, { name: 'late-pull' }] },
    })
    const evictions = (await writesOf(user)).filter(
      ({ objectRef }) => objectRef?.subresource === 'eviction',
    )
    expect(evictions.map(({ objectRef }) => objectRef?.name)).toEqual([first])
    removeNodeHost(cluster, other)
  })

  test('a pod without a controller gets an Event and stays', async () => {
    await createTeam('sec-bare', { 'berth.dev/pull-secrets': 'disabled' })
    await apply(podManifest({ name: 'bare', image, namespace: 'sec-bare' }))
    await waitForPullFailure('bare', 'sec-bare')
    await kubectlOk(['label', 'namespace', 'sec-bare', 'berth.dev/pull-secrets-'])
    const event = await waitFor('the Event', async () => {
      const args = ['get', 'events', '-n', 'sec-bare', '--field-selector=reason=PullSecretLate']
      const { items } = JSON.parse(await kubectlOk([...args, '-o', 'json'])) as {
        items: { message: string; involvedObject: { name: string } }[]
      }
      return items[0]
    })

    expect(event.involvedObject.name).toBe('bare')
    expect(event.message).toContain('the pod has no controller')
    await kubectlOk(['get', 'pod', 'bare', '-n', 'sec-bare'])
  })

  test('the policy rejects a service-account token under the name of a copy', async () => {
    const token = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name: 'berth-pull',
        namespace: 'kube-system',
        annotations: { 'kubernetes.io/service-account.name': 'default' },
      },
      type: 'kubernetes.io/service-account-token',
    }
    const { code, stderr } = await kubectl(['--kubeconfig', kubeconfig, 'create', '-f', '-'], {
      input: JSON.stringify(token),
    })

    expect(code).not.toBe(0)
    expect(stderr).toContain('this account may write only pull secrets')
  })
})

describe('other writers', () => {
  test('a changed or deleted copy is restored, and so is its link', async () => {
    await createTeam('sec-drift')
    await waitUntilLinked('sec-drift')
    const { metadata, data } = await copyIn('sec-drift')
    await kubectlOk([
      'patch',
      'secret',
      'berth-pull',
      '-n',
      'sec-drift',
      '-p',
      '{"data":{".dockerconfigjson":"e30=","extra":"eA=="}}',
    ])
    await waitFor('the content', async () => {
      const now = await getJson<Secret>('secret', 'berth-pull', 'sec-drift')
      return JSON.stringify(now.data) === JSON.stringify(data)
    })
    await kubectlOk(['delete', 'secret', 'berth-pull', '-n', 'sec-drift'])
    const again = await copyIn('sec-drift')
    await kubectlOk([
      'patch',
      'serviceaccount',
      'default',
      '-n',
      'sec-drift',
      '-p',
      '{"imagePullSecrets":[{"name":"theirs"}]}',
    ])
    await waitUntilLinked('sec-drift')

    expect(again.data).toEqual(data)
    expect(again.metadata.uid).not.toBe(metadata.uid)
    expect(await pullSecretsOf('sec-drift')).toEqual(['theirs', 'berth-pull'])
  })

  test('a Secret of another owner with the name of a copy is kept and reported until it is deleted', async () => {
    await createTeam('sec-foreign', { 'berth.dev/pull-secrets': 'disabled' })
    const own = [
      'create',
      'secret',
      'generic',
      'berth-pull',
      '-n',
      'sec-foreign',
      '--from-literal=a=b',
    ]
    await kubectlOk(own)
    const before = await copyIn('sec-foreign')
    await kubectlOk(['label', 'namespace', 'sec-foreign', 'berth.dev/pull-secrets-'])
    await waitFor('the Event', async () =>
      (await kubectlOk(['get', 'events', '-n', 'sec-foreign'])).includes('PullSecretConflict'),
    )

    expect(await copyIn('sec-foreign')).toEqual(before)
    expect(await pullSecretsOf('sec-foreign')).toEqual([])
    expect(await controller.metrics()).toContain(
      'berth_pull_secret_findings{copy="berth-pull",state="conflict"} 1',
    )
    await kubectlOk(['delete', 'secret', 'berth-pull', '-n', 'sec-foreign'])
    await waitUntilLinked('sec-foreign')
    expect((await copyIn('sec-foreign')).type).toBe('kubernetes.io/dockerconfigjson')
  })

  test('a hundred concurrent writers of a service account and the controller all keep their entries', async () => {
    await createTeam('sec-race', { 'berth.dev/pull-secrets': 'disabled' })
    const names = Array.from({ length: 100 }, (_, index) => `theirs-${index}`)
    const where = {
      apiVersion: 'v1',
      resource: 'serviceaccounts',
      namespace: 'sec-race',
      name: 'default',
    }
    const append = async (name: string): Promise<void> => {
      for (;;) {
        const object = await admin.api.get<Account>(where)
        if (object === null) throw new Error('no account')
        const imagePullSecrets = [...(object.imagePullSecrets ?? []), { name }]
        try {
          await admin.api.replace(where, { ...object, imagePullSecrets })
          return
        } catch (error) {
          if (!hasStatus(error, 409)) throw error
        }
      }
    }
    const writers = names.map(append)
    await kubectlOk(['label', 'namespace', 'sec-race', 'berth.dev/pull-secrets-'])
    await Promise.all(writers)
    await waitUntilLinked('sec-race')

    expect((await pullSecretsOf('sec-race')).toSorted()).toEqual(
      [...names, 'berth-pull'].toSorted(),
    )
  })

  test('a tenant cannot cause a copy by labels and annotations', async () => {
    await createTeam('sec-tenant')
    await waitUntilLinked('sec-tenant')
    const before = await copyIn('sec-a')
    await apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        name: 'late-pull',
        namespace: 'sec-tenant',
        labels: {
          'berth.dev/copy': 'allowed',
          'berth.dev/copied': 'true',
          'app.kubernetes.io/managed-by': 'berth',
        },
        annotations: { 'berth.dev/copied-from': `${home}/late` },
      },
      type: 'kubernetes.io/dockerconfigjson',
      stringData: { '.dockerconfigjson': JSON.stringify(docker('theirs')) },
    })
    await waitUntilDeleted('secret', 'late-pull', 'sec-tenant')

    expect((await copyIn('sec-a')).metadata.resourceVersion).toBe(before.metadata.resourceVersion)
  })
})

describe('sources', () => {
  test('are merged into one copy for the named accounts in namespaces with the label', async () => {
    await createTeam('team-a', { team: 'a' })
    await apply({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'builder', namespace: 'team-a' },
      imagePullSecrets: [{ name: '' }, { name: 'own' }],
    })
    await putSource('extra', { auths: { 'y.example': { auth: 'dTpw' } } })
    await apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'legacy', namespace: home, labels: { 'berth.dev/copy': 'allowed' } },
      type: 'kubernetes.io/dockercfg',
      stringData: { '.dockercfg': '{"x.example":{"username":"u","password":"p"}}' },
    })
    await waitUntilLinked('team-a', 'builder', 'team-pull')
    const copy = await waitFor('the merged copy', async () => {
      const { data } = await getJson<Secret>('secret', 'team-pull', 'team-a')
      const text = Buffer.from(data['.dockerconfigjson'] ?? '', 'base64').toString()
      return text.includes('x.example') && text.includes('y.example') ? text : undefined
    })

    expect(copy).toBe('{"auths":{"x.example":{"auth":"dTpw"},"y.example":{"auth":"dTpw"}}}')
    expect(await pullSecretsOf('team-a', 'builder')).toEqual(['', 'own', 'team-pull'])
    expect(await pullSecretsOf('team-a')).toEqual([])
  })

  test('that become invalid do not change the copies, and a rotation reaches every copy', async () => {
    const before = await copyIn('sec-drift')
    await kubectlOk([
      'patch',
      'secret',
      'berth-pull',
      '-n',
      'sec-drift',
      '-p',
      '{"immutable":true}',
    ])
    await putSource('source', { auths: { [host]: { auth: '%' } } })
    await waitFor('the metric', async () =>
      /state="invalid"\} [1-9]/.test(await controller.metrics()),
    )
    expect((await copyIn('sec-drift')).data).toEqual(before.data)

    await putSource('source', {
      auths: {
        ...(docker(account.password) as { auths: object }).auths,
        'z.example': { auth: 'dTpw' },
      },
    })
    const { data } = await getJson<Secret>('secret', 'source', home)
    for (const namespace of ['sec-a', 'sec-late', 'sec-bare', 'sec-drift', 'sec-foreign'])
      await waitFor(`the rotation in ${namespace}`, async () => {
        const now = await getJson<Secret>('secret', 'berth-pull', namespace)
        return JSON.stringify(now.data) === JSON.stringify(data)
      })

    expect((await copyIn('sec-drift')).immutable).toBeUndefined()
    expect(await pullSecretsOf('sec-drift')).toContain('berth-pull')
  })
})

test('a namespace that opts out later loses the copy and the link and keeps other links', async () => {
  await kubectlOk(['label', 'namespace', 'sec-drift', 'berth.dev/pull-secrets=disabled'])
  await waitUntilDeleted('secret', 'berth-pull', 'sec-drift')

  expect(await pullSecretsOf('sec-drift')).toEqual(['theirs'])
})

test('ten reloads of the config cause no write', async () => {
  await waitFor('the controller to be idle', () => idleCount(controller) > 0)
  const before = (await writesOf(user)).length
  for (let round = 1; round <= 10; round++) {
    const idleBefore = idleCount(controller)
    controller.configure(`${config}# ${round}\n`)
    await waitFor('the controller to be idle again', () => idleCount(controller) > idleBefore)
  }

  expect(before).toBeGreaterThan(10)
  expect(await writesOf(user)).toHaveLength(before)
})

test('berth secrets plan and sync agree with the controller', async () => {
  const file = join(cluster.runDir, 'secrets-cli.yaml')
  writeFileSync(file, config)
  const idle = await runBerth(['secrets', 'plan', '--config', file], { kubeconfig })
  const copies = `{ name: cli-pull, from: [${home}/source], namespaces: [cli, nowhere] }`
  const own = join(cluster.runDir, 'secrets-cli-own.yaml')
  writeFileSync(
    own,
    `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\npullSecretCopies: { copies: [${copies}] }\n`,
  )
  await createTeam('cli')
  const args = ['--config', own, '-o', 'json']
  const plan = await runBerth(['secrets', 'plan', ...args])
  const sync = await runBerth(['secrets', 'sync', ...args])
  const again = await runBerth(['secrets', 'sync', ...args, '-n', 'cli'])

  const missing = { namespace: 'nowhere', action: 'missing' }
  expect(idle).toMatchObject({
    code: 0,
    stdout: '',
    stderr: 'all copies and service accounts are up to date\n',
  })
  // The account is linked once the copy is there; both are planned.
  expect(JSON.parse(plan.stdout)).toMatchObject([
    missing,
    { namespace: 'cli', action: 'create', object: 'secret cli-pull' },
    { namespace: 'cli', action: 'link', object: 'serviceaccount default' },
  ])
  expect(plan.code).toBe(1)
  expect(sync.code).toBe(1)
  expect(JSON.parse(sync.stdout)).toEqual(JSON.parse(plan.stdout))
  expect(again).toMatchObject({ code: 0, stdout: '[]\n' })
  await waitUntilLinked('cli', 'default', 'cli-pull')
})

describe('a source without consent', () => {
  test('loses its copies, also if the controller is killed in between', async () => {
    await kubectlOk(['label', 'secret', 'source', '-n', home, 'berth.dev/copy-'])
    await waitFor('the first to go', async () => {
      const { code } = await kubectl(['get', 'secret', 'berth-pull', '-n', 'sec-a'])
      return code !== 0
    })
    await controller.kill()
    controller = await start('secrets', config, kubeconfig)
    await waitFor(
      'the last to go',
      async () => !(await kubectlOk(['get', 'secrets', '-A'])).includes('berth-pull'),
    )
    for (const namespace of ['sec-a', 'sec-late', 'sec-bare', 'sec-foreign', 'sec-race'])
      expect(await pullSecretsOf(namespace)).not.toContain('berth-pull')
  })
})

test('the controller reads no other Secret, and prints no password', async () => {
  const reads = await settledAuditEvents(
    ({ verb, user: { username }, objectRef }) =>
      username === user &&
      ['get', 'list', 'watch'].includes(verb) &&
      objectRef?.resource === 'secrets',
  )
  const unselected = reads.filter(
    ({ requestURI }) =>
      !/fieldSelector=metadata.name%3D/.test(requestURI) || !requestURI.includes('labelSelector='),
  )
  const encoded = Buffer.from(`${account.username}:${account.password}`).toString('base64')

  expect(reads.length).toBeGreaterThan(10)
  expect(unselected).toEqual([])
  for (const text of [
    controller.output(),
    await controller.metrics(),
    await kubectlOk(['get', 'events', '-A', '-o', 'json']),
  ]) {
    expect(text).not.toContain(account.password)
    expect(text).not.toContain(encoded)
  }
})

test('a controller with a Role per namespace copies there and has no rights elsewhere', async () => {
  await createTeam('role-a')
  await createTeam('role-b')
  await putSource('source', docker(account.password))
  await createServiceAccount('berth-confined', home)
  const text = `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullSecretCopies:
  rbac: namespaced
  copies:
    - { name: role-pull, from: [${home}/source], namespaces: [role-a, nowhere, role-b] }
`
  const file = join(cluster.runDir, 'secrets-confined.yaml')
  writeFileSync(file, text)
  const names = ['--service-account', 'berth-confined', '--lease', 'berth-confined']
  const manifests = await renderSecretsRbac(file, home, names)
  await apply(manifests.filter(({ metadata }) => metadata.namespace !== 'nowhere'))
  const confined = await createKubeconfig('berth-confined', home)
  const own = await start('confined', text, confined, 'berth-confined')
  await waitUntilLinked('role-a', 'default', 'role-pull')
  await waitUntilLinked('role-b', 'default', 'role-pull')
  const before = await copyIn('role-b', 'role-pull')
  await kubectlOk(['delete', 'secret', 'role-pull', '-n', 'role-b'])
  await waitFor(
    'the repair',
    async () => (await copyIn('role-b', 'role-pull')).metadata.uid !== before.metadata.uid,
  )

  expect(manifests.filter(({ kind }) => kind?.startsWith('Cluster'))).toEqual([])
  expect(await permissionsIn('default', confined)).toEqual([])
  expect(await permissionsIn('role-a', confined)).toEqual([
    'events: create',
    'namespaces [role-a]: get',
    'pods: list,watch',
    'secrets [role-pull]: list,watch,patch,delete',
    'secrets: create',
    'serviceaccounts [default]: patch',
    'serviceaccounts: get,list,watch',
  ])
  const plan = await runBerth(['secrets', 'plan', '--config', file, '-o', 'json'], {
    kubeconfig: confined,
  })
  expect(plan.code).toBe(1)
  expect(plan.stdout).toContain('nowhere')
  expect(plan.stdout).not.toContain('role-a')
  await own.stop()
  expect(readFileSync(file, 'utf8')).toBe(text)
})
