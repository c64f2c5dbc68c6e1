/** Berth as users install it: from its own image, by the manifests of deploy/. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { currentCluster } from './cluster.ts'
import { runOk } from './command.ts'
import { kubectl, kubectlOk } from './kubectl.ts'
import { namespace, withoutSortWarning } from './overlay.ts'
import { berthMain } from './paths.ts'

/** Applies a kustomization; returns kubectl's standard error output, which contains the warnings. */
export async function applyKustomization(directory: string): Promise<string> {
  const { code, stdout, stderr } = await kubectl(['apply', '-k', directory])
  if (code !== 0) throw new Error(`kubectl apply -k ${directory}: ${stderr || stdout}`)
  return withoutSortWarning(stderr)
}

/** Creates a serving certificate with `berth certs` as a Secret in an existing namespace; returns the caBundle. */
export async function createServingCertificate(inNamespace = namespace): Promise<string> {
  const out = join(currentCluster().runDir, `certs-${inNamespace}`)
  await runOk(process.execPath, [berthMain, 'certs', '--out', out, '--force', '-n', inNamespace])
  await kubectlOk(['apply', '-f', join(out, 'secret.yaml')])
  return readFileSync(join(out, 'ca.crt')).toString('base64')
}

/** Patches the caBundle into the webhook configuration. A later apply keeps it, because the manifests have none. */
export async function setCaBundle(caBundle: string): Promise<void> {
  const patch = [0, 1].map((index) => ({
    op: 'add',
    path: `/webhooks/${index}/clientConfig/caBundle`,
    value: caBundle,
  }))
  const args = ['patch', 'mutatingwebhookconfiguration', 'berth', '--type=json', '-p']
  await kubectlOk([...args, JSON.stringify(patch)])
}

/** Returns the caBundles of Berth's webhooks, in base64 and separated by spaces. */
export function readCaBundles(): Promise<string> {
  const output = 'jsonpath={.webhooks[*].clientConfig.caBundle}'
  return kubectlOk(['get', 'mutatingwebhookconfiguration', 'berth', '-o', output])
}

/** Waits until every replica has the current template and is ready; throws with its pods and logs otherwise. */
export async function waitForRollout(
  deployment = 'berth-webhook',
  inNamespace = namespace,
): Promise<void> {
  const status = ['rollout', 'status', `deployment/${deployment}`, '-n', inNamespace]
  const { code, stdout, stderr } = await kubectl([...status, '--timeout=300s'])
  if (code === 0) return
  const pods = await kubectlOk(['describe', 'pods', '-n', inNamespace])
  const logs = await kubectl(['logs', '-n', inNamespace, `deployment/${deployment}`, '--tail=20'])
  throw new Error([stdout, stderr, pods, logs.stdout, logs.stderr].join('\n'))
}

/** Returns the names and addresses of the pods of a component, such as `webhook`. */
export async function podsOfComponent(
  component: string,
  inNamespace = namespace,
): Promise<{ name: string; address: string }[]> {
  const selector = `app.kubernetes.io/name=berth,app.kubernetes.io/component=${component}`
  const { items } = JSON.parse(
    await kubectlOk(['get', 'pods', '-n', inNamespace, '-l', selector, '-o', 'json']),
  ) as { items: { metadata: { name: string }; status: { podIP: string } }[] }
  return items.map(({ metadata, status }) => ({ name: metadata.name, address: status.podIP }))
}
