import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { KubeObject } from '../../src/kube/object.ts'
import { settledAuditEvents } from '../harness/audit-log.ts'
import { currentCluster } from '../harness/cluster.ts'
import { type Controller, startController } from '../harness/controller.ts'
import { createKubeconfig } from '../harness/kubeconfig.ts'
import {
  apply,
  create,
  createNamespace,
  createServiceAccount,
  getJson,
  kubectlOk,
  removeNamespaces,
} from '../harness/kubectl.ts'
import { shortTimesController } from '../harness/paths.ts'
import { applySecretsRbac } from '../harness/secrets-rbac.ts'
import { waitFor } from '../harness/wait.ts'

/** The controller takes over secrets that other tools left, and its own copies after a restore from a backup. */
const cluster = currentCluster()
const home = 'adopt-home'
const user = `system:serviceaccount:${home}:berth-controller`
const namespaces = {
  same: 'adopt-same',
  other: 'adopt-other',
  tool: 'adopt-tool',
  frozen: 'adopt-frozen',
  outside: 'outside-adopt',
}

type Account = KubeObject & { imagePullSecrets?: { name: string }[] }
type Secret = KubeObject & { type: string; data: Record<string, string> }

let controller: Controller

const config = `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullFailures: { report: false }
pullSecretCopies:
  copies:
    - { name: adopt-pull, from: [${home}/source], namespaces: ['adopt-*'] }
`

const dockerConfig = '{"auths":{"x.example":{"auth":"dTpw"}}}'
const otherConfig = '{"auths":{"x.example":{"auth":"dTpjYW5hcnk="}}}'

function secret(
  metadata: Partial<KubeObject['metadata']>,
  content = dockerConfig,
  more: object = {},
): object {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'adopt-pull', ...metadata },
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': content },
    ...more,
  }
}

const copyIn = (namespace: string) => getJson<Secret>('secret', 'adopt-pull', namespace)

const contentOf = ({ data }: Secret) =>
  Buffer.from(data['.dockerconfigjson'] ?? '', 'base64').toString()

const linksIn = async (namespace: string) => {
  const account = await getJson<Account>('serviceaccount', 'default', namespace)
  return (account.imagePullSecrets ?? []).map(({ name }) => name)
}

const waitUntilLinked = (namespace: string) =>
  waitFor(`the link in ${namespace}`, async () => (await linksIn(namespace)).includes('adopt-pull'))

/** Waits for the Event about a conflict and returns its message. */
function conflictIn(namespace: string): Promise<string> {
  return waitFor(`the conflict in ${namespace}`, async () => {
    const args = ['get', 'events', '-n', namespace, '--field-selector=reason=PullSecretConflict']
    const { items } = JSON.parse(await kubectlOk([...args, '-o', 'json'])) as {
      items: { message: string }[]
    }
    return items[0]?.message
  })
}

/** Deletes Secrets and creates them again with their labels and annotations, as a restore does. */
async function restore(secrets: readonly Secret[]): Promise<void> {
  for (const { metadata, ...rest } of secrets) {
    const { name, namespace = '', labels, annotations = {} } = metadata
    const { 'kubectl.kubernetes.io/last-applied-configuration': _, ...others } = annotations
    const restored = { ...labels, 'velero.io/restore-name': 'restored' }
    const manifest = {
      ...rest,
      metadata: { name, namespace, labels: restored, annotations: others },
    }
    await kubectlOk(['delete', 'secret', name, '-n', namespace, '--ignore-not-found'])
    const { code, stderr } = await create(manifest)
    // The controller may have created its copy meanwhile; a restore then leaves that one.
    if (code !== 0) expect(stderr).toContain('AlreadyExists')
  }
}

const startBerth = async (name: string) =>
  startController({
    name,
    namespace: home,
    config,
    kubeconfig: await createKubeconfig('berth-controller', home),
    program: shortTimesController,
  })

beforeAll(async () => {
  for (const name of [home, ...Object.values(namespaces)]) await createNamespace(name)
  const labels = { 'berth.dev/copy': 'allowed' }
  const byTool = { 'app.kubernetes.io/managed-by': 'imagepullsecret-patcher' }
  await apply([
    secret({ name: 'source', namespace: home, labels }),
    secret({ namespace: namespaces.same }, `${dockerConfig.replace(':', ' : ')}\n`),
    secret({ namespace: namespaces.other }, otherConfig),
    secret({ namespace: namespaces.tool, annotations: byTool }),
    secret({ namespace: namespaces.frozen }, dockerConfig, { immutable: true }),
    secret({ namespace: namespaces.outside }),
  ])
  await createServiceAccount('berth-controller', home)
  const file = join(cluster.runDir, 'adopted.yaml')
  writeFileSync(file, config)
  await applySecretsRbac(file, home)
  controller = await startBerth('adopted')
})

afterAll(async () => {
  await controller?.stop()
  const all = [home, ...Object.values(namespaces)]
  await removeNamespaces(...all)
  const kinds =
    'clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding'
  await kubectlOk(['delete', kinds, 'berth-pull-secrets'])
})

test('a secret with the same content becomes the copy and keeps its data', async () => {
  await waitUntilLinked(namespaces.same)
  const copy = await copyIn(namespaces.same)

  expect(copy.metadata.labels).toMatchObject({ 'berth.dev/copied': 'true' })
  expect(copy.metadata.annotations).toMatchObject({ 'berth.dev/copied-from': `${home}/source` })
  expect(contentOf(copy)).toBe(`${dockerConfig.replace(':', ' : ')}\n`)
})

test('a secret with another content stays until its label allows to overwrite it', async () => {
  const message = await conflictIn(namespaces.other)
  const before = await copyIn(namespaces.other)
  const command = /kubectl label .*$/.exec(message)?.[0] ?? ''

  expect(command).toBe(
    `kubectl label secret adopt-pull -n ${namespaces.other} berth.dev/adopt=allowed`,
  )
  expect(contentOf(before)).toBe(otherConfig)
  expect(await linksIn(namespaces.other)).toEqual([])
  await kubectlOk(command.split(' ').slice(1))
  await waitUntilLinked(namespaces.other)
  const copy = await copyIn(namespaces.other)
  expect(contentOf(copy)).toBe(dockerConfig)
  expect(copy.metadata.uid).toBe(before.metadata.uid)
})

test('a secret that another tool maintains stays until it is handed over', async () => {
  expect(await conflictIn(namespaces.tool)).toContain('is maintained by imagepullsecret-patcher')
  expect(await linksIn(namespaces.tool)).toEqual([])
  const label = 'berth.dev/adopt=allowed'
  await kubectlOk(['label', 'secret', 'adopt-pull', '-n', namespaces.tool, label])
  await waitUntilLinked(namespaces.tool)

  const { metadata } = await copyIn(namespaces.tool)
  expect(metadata.labels).toMatchObject({ 'app.kubernetes.io/managed-by': 'berth' })
  expect(metadata.annotations).not.toHaveProperty(['app.kubernetes.io/managed-by'])
})

test('an immutable secret stays until it is deleted', async () => {
  expect(await conflictIn(namespaces.frozen)).toContain('is immutable')
  await kubectlOk(['delete', 'secret', 'adopt-pull', '-n', namespaces.frozen])
  await waitUntilLinked(namespaces.frozen)
})

const adopted = [namespaces.same, namespaces.other, namespaces.tool]

const sourceAndCopies = async () => [
  await getJson<Secret>('secret', 'source', home),
  ...(await Promise.all(adopted.map(copyIn))),
]

/** Waits until every copy has the UID of the source, and returns the copies. */
async function waitForSourceUid(): Promise<readonly Secret[]> {
  const { metadata } = await getJson<Secret>('secret', 'source', home)
  const hasUid = (copy: Secret) =>
    copy.metadata.annotations?.['berth.dev/source-uid'] === metadata.uid
  return waitFor('the UID of the source', async () => {
    const copies = await Promise.all(adopted.map(copyIn))
    return copies.every(hasUid) ? copies : undefined
  })
}

const deletions = () =>
  settledAuditEvents(
    ({ verb, user: { username }, objectRef }) =>
      username === user && verb === 'delete' && objectRef?.resource === 'secrets',
  )

test('restored copies get the UID of the restored source, and are not deleted or reported', async () => {
  await controller.stop()
  await restore(await sourceAndCopies())
  const [, ...restored] = await sourceAndCopies()
  controller = await startBerth('restored')
  const now = await waitForSourceUid()
  await waitFor('the controller to be idle', () =>
    controller.log().some(({ msg }) => msg === 'pull secrets up to date'),
  )

  expect(now.map(({ metadata, data }) => ({ uid: metadata.uid, data }))).toEqual(
    restored.map(({ metadata, data }) => ({ uid: metadata.uid, data })),
  )
  expect(await controller.metrics()).toContain(
    'berth_pull_secret_findings{copy="adopt-pull",state="conflict"} 0',
  )
  expect(await deletions()).toEqual([])
})

test('a restore while the controller runs ends with the same copies and links', async () => {
  await restore(await sourceAndCopies())
  const copies = await waitForSourceUid()
  for (const namespace of adopted) await waitUntilLinked(namespace)

  // One copy has white space of its own, unless the controller was faster than the restore.
  for (const copy of copies) expect(JSON.parse(contentOf(copy))).toEqual(JSON.parse(dockerConfig))
})

test('the controller reads no secret where the copy does not belong, and prints no content', async () => {
  const requests = await settledAuditEvents(
    ({ user: { username }, objectRef }) => username === user && objectRef?.resource === 'secrets',
  )
  const namespacesOf = (verb: string) =>
    requests.flatMap((event) => (event.verb === verb ? [event.objectRef?.namespace] : []))
  const outside = await copyIn(namespaces.outside)

  expect(namespacesOf('list')).toContain(namespaces.same)
  expect(requests.map(({ objectRef }) => objectRef?.namespace)).not.toContain(namespaces.outside)
  expect(outside.metadata.labels).toBeUndefined()
  expect(controller.output()).not.toContain('canary')
})
