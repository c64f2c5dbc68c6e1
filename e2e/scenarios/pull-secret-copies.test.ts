import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { hasStatus } from '../../src/kube/error.ts'
import { type Cluster, connect } from '../../src/kube/connect.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import { auditEvents } from '../harness/audit-log.ts'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { type Controller, createKubeconfig, startController } from '../harness/controller.ts'
import { pushImage } from '../harness/images.ts'
import { apply, getJson, kubectl, kubectlOk } from '../harness/kubectl.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { podManifest, waitForPullFailure, waitForPodRunning } from '../harness/pods.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'
import { permissionsIn } from '../harness/permissions.ts'
import { waitFor } from '../harness/wait.ts'

/**
 * Copies of pull secrets, kept by a controller that has the rights of `berth secrets rbac` and no others. A copy is good
 * when a kubelet pulls with it, whichever of namespace, secret and pod came first.
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
const made: string[] = []
/** What `berth secrets rbac` makes outside of namespaces. */
const guards =
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

async function createNamespace(name: string, labels: Record<string, string> = {}): Promise<void> {
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } })
  made.push(name)
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

async function available(name: string, namespace: string): Promise<void> {
  await waitFor(`deployment ${namespace}/${name}`, async () => {
    const { status } = await getJson<{ status: { availableReplicas?: number } }>(
      'deployment',
      name,
      namespace,
    )
    return status.availableReplicas === 1
  })
}

/** The deployment's pod; one that is on its way out is none any more. */
async function podOf(name: string, namespace: string): Promise<string> {
  const args = ['get', 'pods', '-n', namespace, '-l', `app=${name}`, '-o', 'json']
  return waitFor(`a pod of ${name}`, async () => {
    const { items } = JSON.parse(await kubectlOk(args)) as {
      items: { metadata: { name: string; deletionTimestamp?: string } }[]
    }
    return items.find(({ metadata }) => metadata.deletionTimestamp === undefined)?.metadata.name
  })
}

function copyIn(namespace: string, name = 'berth-pull'): Promise<Secret> {
  return waitFor(`the copy in ${namespace}`, () => getJson<Secret>('secret', name, namespace))
}

async function gone(kind: string, name: string, namespace: string): Promise<void> {
  await waitFor(`the end of ${kind} ${namespace}/${name}`, async () => {
    const { code } = await kubectl(['get', kind, name, '-n', namespace])
    return code !== 0
  })
}

const listOf = async (namespace: string, name = 'default') =>
  ((await getJson<Account>('serviceaccount', name, namespace)).imagePullSecrets ?? []).map(
    // The API server leaves empty names out.
    (entry) => entry.name ?? '',
  )

async function linked(namespace: string, name = 'default', secret = 'berth-pull'): Promise<void> {
  await waitFor(`the link in ${namespace}/${name}`, async () =>
    (await listOf(namespace, name)).includes(secret),
  )
}

/** Events that somebody wrote; what a lease costs is not counted. */
function writesOf(username: string) {
  return auditEvents(
    ({ verb, user, objectRef }) =>
      user.username === username &&
      ['create', 'update', 'patch', 'delete'].includes(verb) &&
      objectRef?.resource !== 'leases',
  )
}

const rests = (of: Controller) =>
  of.log().filter(({ msg }) => msg === 'pull secrets up to date').length

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
  await createNamespace(home)
  await putSource('source', docker(account.password))
  await apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'berth-controller', namespace: home },
  })
  const file = join(cluster.runDir, 'secrets.yaml')
  writeFileSync(file, config)
  const rbac = ['secrets', 'rbac', '--config', file, '-n', home]
  await apply((await runBerth(rbac, cluster.kubeconfig)).stdout)
  kubeconfig = await createKubeconfig('berth-controller', home)
  controller = await startController({ name: 'secrets', namespace: home, config, kubeconfig })
})

afterAll(async () => {
  await controller?.stop()
  await kubectlOk(['delete', 'namespace', '--ignore-not-found', '--wait=false', ...made])
  await kubectlOk(['delete', guards, 'berth-pull-secrets'])
  await admin?.close()
  removeNodeHost(cluster, host)
  await registry?.stop()
})

test('the controller has these rights, and no others', async () => {
  await createNamespace('sec-a')

  expect(await permissionsIn('sec-a', kubeconfig)).toEqual([
    'events: get,create',
    'namespaces: get,list,watch',
    'pods/eviction: create',
    'pods: get,list,watch',
    'secrets [berth-pull,late-pull,team-pull]: get,list,watch,patch,delete',
    'secrets: create',
    'serviceaccounts [builder,default]: patch',
    'serviceaccounts: get,list,watch',
  ])
  expect(await permissionsIn(home, kubeconfig)).toEqual(
    expect.arrayContaining([
      'leases: get,create,update,patch',
      'secrets [extra,late,legacy,source]: get,list,watch',
    ]),
  )
})

describe('in every order', () => {
  test('the namespace last: it has the secret, its default account names it, and a pod runs', async () => {
    await linked('sec-a')
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

  test('the pod first, the secret last: the pod is made again by its owner, and runs', async () => {
    await createNamespace('sec-late')
    await linked('sec-late')
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
    await available('late', 'sec-late')

    expect(await podOf('late', 'sec-late')).not.toBe(first)
    expect(
      (await getJson<Account>('pod', await podOf('late', 'sec-late'), 'sec-late')) as unknown,
    ).toMatchObject({
      spec: { imagePullSecrets: [{ name: 'berth-pull' }, { name: 'late-pull' }] },
    })
    const evictions = writesOf(user).filter(
      ({ objectRef }) => objectRef?.subresource === 'eviction',
    )
    expect(evictions.map(({ objectRef }) => objectRef?.name)).toEqual([first])
    removeNodeHost(cluster, other)
  })

  test('a pod that nobody owns is told of, and left', async () => {
    await createNamespace('sec-bare', { 'berth.dev/pull-secrets': 'disabled' })
    await waitFor('the default account', () => listOf('sec-bare').then(() => true))
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

  test('the account cannot make itself a token of another account by a secret of that type', async () => {
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

describe('what others do', () => {
  test('a copy that is changed or removed comes back, and so does its name in the list', async () => {
    await createNamespace('sec-drift')
    await linked('sec-drift')
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
    await linked('sec-drift')

    expect(again.data).toEqual(data)
    expect(again.metadata.uid).not.toBe(metadata.uid)
    expect(await listOf('sec-drift')).toEqual(['theirs', 'berth-pull'])
  })

  test('a secret of that name that is not ours stays as it is, is told of, and makes way', async () => {
    await createNamespace('sec-foreign', { 'berth.dev/pull-secrets': 'disabled' })
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
    expect(await listOf('sec-foreign')).toEqual([])
    expect(await controller.metrics()).toContain(
      'berth_pull_secret_findings{copy="berth-pull",state="conflict"} 1',
    )
    await kubectlOk(['delete', 'secret', 'berth-pull', '-n', 'sec-foreign'])
    await linked('sec-foreign')
    expect((await copyIn('sec-foreign')).type).toBe('kubernetes.io/dockerconfigjson')
  })

  test('a hundred others who write the same account lose nothing, and neither do we', async () => {
    await createNamespace('sec-race', { 'berth.dev/pull-secrets': 'disabled' })
    await waitFor('the default account', () => listOf('sec-race').then(() => true))
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
    await linked('sec-race')

    expect((await listOf('sec-race')).toSorted()).toEqual([...names, 'berth-pull'].toSorted())
  })

  test('a tenant gets nothing copied out of or into another namespace by labels and annotations', async () => {
    await createNamespace('sec-tenant')
    await linked('sec-tenant')
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
    await gone('secret', 'late-pull', 'sec-tenant')

    expect((await copyIn('sec-a')).metadata.resourceVersion).toBe(before.metadata.resourceVersion)
  })
})

describe('sources', () => {
  test('several make one secret for the accounts that are named, of namespaces with the label', async () => {
    await createNamespace('team-a', { team: 'a' })
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
    await linked('team-a', 'builder', 'team-pull')
    const copy = await waitFor('both in one', async () => {
      const { data } = await getJson<Secret>('secret', 'team-pull', 'team-a')
      const text = Buffer.from(data['.dockerconfigjson'] ?? '', 'base64').toString()
      return text.includes('x.example') && text.includes('y.example') ? text : undefined
    })

    expect(copy).toBe('{"auths":{"x.example":{"auth":"dTpw"},"y.example":{"auth":"dTpw"}}}')
    expect(await listOf('team-a', 'builder')).toEqual(['', 'own', 'team-pull'])
    expect(await listOf('team-a')).toEqual([])
  })

  test('that turn bad leave the last good copies; a rotation reaches all, immutable ones too', async () => {
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
    expect(await listOf('sec-drift')).toContain('berth-pull')
  })
})

test('a namespace that opts out later loses the copy and the link, and nothing else', async () => {
  await kubectlOk(['label', 'namespace', 'sec-drift', 'berth.dev/pull-secrets=disabled'])
  await gone('secret', 'berth-pull', 'sec-drift')

  expect(await listOf('sec-drift')).toEqual(['theirs'])
})

test('at rest nothing is written, though everything is read again ten times', async () => {
  await waitFor('rest', () => rests(controller) > 0)
  const before = writesOf(user).length
  for (let round = 1; round <= 10; round++) {
    const rested = rests(controller)
    controller.configure(`${config}# ${round}\n`)
    await waitFor('the cluster to be read again', () => rests(controller) > rested)
  }

  expect(before).toBeGreaterThan(10)
  expect(writesOf(user)).toHaveLength(before)
})

test('berth secrets plan and sync find nothing to do, and after a change exactly that', async () => {
  const file = join(cluster.runDir, 'secrets-cli.yaml')
  writeFileSync(file, config)
  const idle = await runBerth(['secrets', 'plan', '--config', file], kubeconfig)
  const copies = `{ name: cli-pull, from: [${home}/source], namespaces: [cli, nowhere] }`
  const own = join(cluster.runDir, 'secrets-cli-own.yaml')
  writeFileSync(
    own,
    `apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\npullSecretCopies: { copies: [${copies}] }\n`,
  )
  await createNamespace('cli')
  await waitFor('the default account', () => listOf('cli').then(() => true))
  const args = ['--config', own, '-o', 'json']
  const plan = await runBerth(['secrets', 'plan', ...args], cluster.kubeconfig)
  const sync = await runBerth(['secrets', 'sync', ...args], cluster.kubeconfig)
  const again = await runBerth(['secrets', 'sync', ...args, '-n', 'cli'], cluster.kubeconfig)

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
  await linked('cli', 'default', 'cli-pull')
})

describe('the end of a source', () => {
  test('takes its copies away, though the controller is killed meanwhile', async () => {
    await kubectlOk(['label', 'secret', 'source', '-n', home, 'berth.dev/copy-'])
    await waitFor('the first to go', async () => {
      const { code } = await kubectl(['get', 'secret', 'berth-pull', '-n', 'sec-a'])
      return code !== 0
    })
    await controller.kill()
    controller = await startController({ name: 'secrets', namespace: home, config, kubeconfig })
    await waitFor(
      'the last to go',
      async () => !(await kubectlOk(['get', 'secrets', '-A'])).includes('berth-pull'),
    )
    for (const namespace of ['sec-a', 'sec-late', 'sec-bare', 'sec-foreign', 'sec-race'])
      expect(await listOf(namespace)).not.toContain('berth-pull')
  })
})

test('no other secret ever entered the process, and no password left it', async () => {
  const reads = auditEvents(
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

test('with a Role for each namespace it does the same there, and may do nothing elsewhere', async () => {
  await createNamespace('role-a')
  await createNamespace('role-b')
  await putSource('source', docker(account.password))
  await apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'berth-confined', namespace: home },
  })
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
  const rbac = [
    'secrets',
    'rbac',
    '--config',
    file,
    '-n',
    home,
    '--service-account',
    'berth-confined',
  ]
  const manifests = parseAllDocuments((await runBerth(rbac, cluster.kubeconfig)).stdout).map(
    (document) => document.toJSON() as KubeObject,
  )
  await apply(manifests.filter(({ metadata }) => metadata.namespace !== 'nowhere'))
  const confined = await createKubeconfig('berth-confined', home)
  const own = await startController({
    name: 'confined',
    namespace: home,
    config: text,
    kubeconfig: confined,
  })
  await linked('role-a', 'default', 'role-pull')
  await linked('role-b', 'default', 'role-pull')
  const before = await copyIn('role-b', 'role-pull')
  await kubectlOk(['delete', 'secret', 'role-pull', '-n', 'role-b'])
  await waitFor(
    'the repair',
    async () => (await copyIn('role-b', 'role-pull')).metadata.uid !== before.metadata.uid,
  )

  expect(manifests.filter(({ kind }) => kind?.startsWith('Cluster'))).toEqual([])
  expect(await permissionsIn('default', confined)).toEqual([])
  expect(await permissionsIn('role-a', confined)).toEqual([
    'events: get,create',
    'namespaces [role-a]: get',
    'pods: get,list,watch',
    'secrets [role-pull]: get,list,watch,patch,delete',
    'secrets: create',
    'serviceaccounts [default]: patch',
    'serviceaccounts: get,list,watch',
  ])
  const plan = await runBerth(['secrets', 'plan', '--config', file, '-o', 'json'], confined)
  expect(plan.code).toBe(1)
  expect(plan.stdout).toContain('nowhere')
  expect(plan.stdout).not.toContain('role-a')
  await own.stop()
  expect(readFileSync(file, 'utf8')).toBe(text)
})
