/** Kubeconfigs for service accounts. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { currentCluster } from './cluster.ts'
import { kubectlOk } from './kubectl.ts'

/** Writes a kubeconfig with a token of an existing service account; returns its path. */
export async function createKubeconfig(account: string, namespace: string): Promise<string> {
  const token = (await kubectlOk(['create', 'token', account, '-n', namespace])).trim()
  const admin = JSON.parse(
    await kubectlOk(['config', 'view', '--raw', '--flatten', '--output=json']),
  ) as { clusters: [{ name: string }] }
  const context = { cluster: admin.clusters[0].name, user: account, namespace }
  const file = join(currentCluster().runDir, `${namespace}-${account}.kubeconfig`)
  writeFileSync(
    file,
    JSON.stringify({
      ...admin,
      users: [{ name: account, user: { token } }],
      contexts: [{ name: account, context }],
      'current-context': account,
    }),
    { mode: 0o600 },
  )
  return file
}
