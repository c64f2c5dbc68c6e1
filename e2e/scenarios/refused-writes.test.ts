import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { KubeObject } from '../../src/kube/object.ts'
import { currentCluster } from '../harness/cluster.ts'
import { type Controller, startController } from '../harness/controller.ts'
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
import { shortTimesController } from '../harness/paths.ts'
import { applySecretsRbac } from '../harness/secrets-rbac.ts'
import { waitFor } from '../harness/wait.ts'

/** A quota and a policy refuse some writes of the controller. It does the others, and says what it cannot do and why. */
const cluster = currentCluster()
const home = 'refused-home'
const namespaces = ['refused-quota', 'refused-policy']

type Account = KubeObject & { imagePullSecrets?: { name: string }[] }

let controller: Controller

const config = `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullFailures: { report: false }
pullSecretCopies:
  copies:
    - { name: first-pull, from: [${home}/source], namespaces: ['refused-*'] }
    - { name: second-pull, from: [${home}/source], namespaces: ['refused-*'] }
    - { name: withdrawn-pull, from: [${home}/withdrawn], namespaces: ['refused-*'] }
`

async function putSource(name: string): Promise<void> {
  await apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: home, labels: { 'berth.dev/copy': 'allowed' } },
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': '{"auths":{"x.example":{"auth":"dTpw"}}}' },
  })
}

const linksIn = async (namespace: string) => {
  const account = await getJson<Account>('serviceaccount', 'default', namespace)
  return (account.imagePullSecrets ?? []).map(({ name }) => name)
}

async function waitForLinks(namespace: string, links: readonly string[]): Promise<void> {
  await waitFor(
    `the links ${links.join()} in ${namespace}`,
    async () => (await linksIn(namespace)).toSorted().join() === links.join(),
  )
}

const hasSecret = async (namespace: string, name: string) =>
  (await kubectl(['get', 'secret', name, '-n', namespace])).code === 0

interface Event {
  readonly message: string
  readonly involvedObject: { readonly kind: string; readonly name: string }
}

async function refusalsIn(namespace: string): Promise<readonly Event[]> {
  const args = ['get', 'events', '-n', namespace, '--field-selector=reason=PullSecretRefused']
  return (JSON.parse(await kubectlOk([...args, '-o', 'json'])) as { items: Event[] }).items
}

const policy = 'refused-second-pull'

beforeAll(async () => {
  const apiVersion = 'admissionregistration.k8s.io/v1'
  for (const name of [home, ...namespaces]) await createNamespace(name)
  await apply([
    {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'few-secrets', namespace: 'refused-quota' },
      spec: { hard: { secrets: '2' } },
    },
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name: policy },
      spec: {
        matchConstraints: {
          resourceRules: [
            {
              apiGroups: [''],
              apiVersions: ['v1'],
              operations: ['CREATE', 'UPDATE'],
              resources: ['secrets'],
            },
          ],
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'refused-policy' } },
        },
        validations: [
          {
            expression: "object.metadata.name != 'first-pull'",
            message: 'first-pull is not wanted',
          },
        ],
      },
    },
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name: policy },
      spec: { policyName: policy, validationActions: ['Deny'] },
    },
  ])
  await waitFor('the policy', async () => {
    const args = ['create', 'secret', 'generic', 'first-pull', '-n', 'refused-policy']
    const { stderr } = await kubectl([...args, '--dry-run=server'])
    return stderr.includes('first-pull is not wanted')
  })
  await waitFor('the quota', async () => {
    const quota = await getJson<{ status?: { hard?: object } }>(
      'resourcequota',
      'few-secrets',
      'refused-quota',
    )
    return quota.status?.hard !== undefined
  })
  await putSource('source')
  await putSource('withdrawn')
  await createServiceAccount('berth-controller', home)
  const file = join(cluster.runDir, 'refused.yaml')
  writeFileSync(file, config)
  await applySecretsRbac(file, home)
  controller = await startController({
    name: 'refused',
    namespace: home,
    config,
    kubeconfig: await createKubeconfig('berth-controller', home),
    program: shortTimesController,
  })
})

afterAll(async () => {
  await controller?.stop()
  await removeNamespaces(home, ...namespaces)
  const kinds = 'validatingadmissionpolicy,validatingadmissionpolicybinding'
  await kubectlOk(['delete', `clusterrole,clusterrolebinding,${kinds}`, 'berth-pull-secrets'])
  await kubectlOk(['delete', '--ignore-not-found', kinds, policy])
})

test('the copies that the API server accepts are created and linked, and the others are reported', async () => {
  await waitForLinks('refused-policy', ['second-pull', 'withdrawn-pull'])
  // The quota allows two of three.
  await waitFor('two links', async () => (await linksIn('refused-quota')).length === 2)
  const [byPolicy] = await waitFor('the Event of the policy', async () => {
    const events = await refusalsIn('refused-policy')
    return events.length > 0 ? events : undefined
  })
  const [byQuota] = await waitFor('the Event of the quota', async () => {
    const events = await refusalsIn('refused-quota')
    return events.length > 0 ? events : undefined
  })

  expect(byPolicy).toMatchObject({
    message: expect.stringContaining('first-pull is not wanted'),
    involvedObject: { kind: 'Secret', name: 'first-pull' },
  })
  expect(byQuota?.message).toContain('exceeded quota: few-secrets')
  const metrics = await controller.metrics()
  expect(metrics).toMatch(/berth_pull_secret_findings\{copy="first-pull",state="refused"\} [12]/)
})

test('a copy whose source withdraws its consent is removed while other writes are refused', async () => {
  await kubectlOk(['label', 'secret', 'withdrawn', '-n', home, 'berth.dev/copy-'])
  for (const namespace of namespaces)
    await waitFor(
      `the removal in ${namespace}`,
      async () => !(await hasSecret(namespace, 'withdrawn-pull')),
    )

  expect(await linksIn('refused-policy')).toEqual(['second-pull'])
})

test('a refused copy comes when the API server accepts it, and each reason has had one Event', async () => {
  await kubectlOk(['delete', 'validatingadmissionpolicybinding', policy])
  await waitForLinks('refused-policy', ['first-pull', 'second-pull'])
  await waitForLinks('refused-quota', ['first-pull', 'second-pull'])
  await waitFor('no finding', async () =>
    /copy="first-pull",state="refused"\} 0/.test(await controller.metrics()),
  )

  expect(await refusalsIn('refused-policy')).toHaveLength(1)
  expect(await refusalsIn('refused-quota')).toHaveLength(1)
})
