import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { applyKustomization, waitForRollout } from '../harness/install.ts'
import {
  apply,
  createNamespace,
  getJson,
  kubectlOk,
  type KubeObject,
  remove,
} from '../harness/kubectl.ts'
import { namespace, writeOverlay } from '../harness/overlay.ts'
import { applySecretsRbac } from '../harness/secrets-rbac.ts'
import { waitFor } from '../harness/wait.ts'

/** `berth uninstall` on an installation with copies of pull secrets: it removes all of it, and nothing of others. */
const cluster = currentCluster()
const team = 'uninstall-team'
const home = 'uninstall-home'

type Account = KubeObject & { imagePullSecrets?: { name: string }[] }

const config = `
apiVersion: berth.dev/v1alpha1
kind: BerthConfig
pullFailures: { report: false }
pullSecretCopies:
  copies: [{ name: team-pull, from: [${home}/source], namespaces: [${team}] }]
`

const linksOf = async () =>
  (await getJson<Account>('serviceaccount', 'default', team)).imagePullSecrets?.map(
    ({ name }) => name,
  )

const uninstall = (...options: string[]) => runBerth(['uninstall', ...options])

beforeAll(async () => {
  for (const name of [home, team]) await createNamespace(name)
  await kubectlOk([
    'patch',
    'serviceaccount',
    'default',
    '-n',
    team,
    '-p',
    '{"imagePullSecrets":[{"name":"theirs"}]}',
  ])
  await apply({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'source', namespace: home, labels: { 'berth.dev/copy': 'allowed' } },
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': '{"auths":{"x.example":{"auth":"dTpw"}}}' },
  })
  const file = join(cluster.runDir, 'uninstall.yaml')
  writeFileSync(file, config)
  await applyKustomization(
    writeOverlay('uninstall', { base: 'deploy/base', files: { 'berth.yaml': config } }),
  )
  await applySecretsRbac(file, namespace)
  await waitForRollout()
  await waitForRollout('berth-controller')
  await waitFor('the link', async () => (await linksOf())?.join() === 'theirs,team-pull')
})

afterAll(async () => {
  for (const name of [home, team, namespace]) await remove('namespace', name)
})

test('--plan lists the installation, roles, policies, copies and links, and removes nothing', async () => {
  const { stdout } = await uninstall('--plan')

  for (const line of [
    /delete +MutatingWebhookConfiguration +- +berth /,
    /delete +Deployment +berth-system +berth-controller /,
    /delete +ClusterRole +- +berth-pull-secrets /,
    /delete +ValidatingAdmissionPolicy +- +berth-pull-secrets /,
    /delete +Secret +uninstall-team +team-pull /,
    /delete +Secret +berth-system +berth-own-certificate /,
    /unlink +ServiceAccount +uninstall-team +default /,
    /delete +Namespace +- +berth-system /,
  ])
    expect(stdout).toMatch(line)
  expect(await linksOf()).toEqual(['theirs', 'team-pull'])
})

test('--yes removes all of it while the controller runs, and leaves the entries of others', async () => {
  const { code, stderr } = await uninstall('--yes')
  expect({ code, left: stderr.match(/^(left|failed) .*$/gm) }).toEqual({ code: 0, left: null })
  await remove('namespace', namespace)

  expect(await linksOf()).toEqual(['theirs'])
  expect(await kubectlOk(['get', 'secrets', '-n', team, '-o', 'name'])).toBe('')
  const kinds = [
    'mutatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings',
    'clusterroles,clusterrolebindings,roles,rolebindings,namespaces',
  ].join()
  const labelled = ['get', kinds, '-A', '-l', 'app.kubernetes.io/name=berth', '-o', 'name']
  expect(await kubectlOk(labelled)).toBe('')
  expect(await getJson('secret', 'source', home)).toMatchObject({ metadata: { name: 'source' } })
})
