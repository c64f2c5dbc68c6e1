/** The webhook configurations of the API server benchmark: Berth, and a webhook that changes nothing. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Cluster } from '../../e2e/harness/cluster.ts'
import { kubectlOn } from '../../e2e/harness/kubectl.ts'
import { freePorts } from '../../e2e/harness/ports.ts'
import { waitFor } from '../../e2e/harness/wait.ts'
import { buildBerth, serveProgram, writeConfig } from './berth.ts'
import { type Started, startAnywhere } from './process.ts'
import type { FixedChange } from '../servers/fixed-response.ts'
import type { Workspace } from './workspace.ts'

export interface Webhook {
  readonly started: Started
  /** The manifest for `kubectl apply`. */
  readonly manifest: string
}

/** Berth's certificates and webhook configuration, by URL. It selects all namespaces that do not opt out. */
export async function startBerthWebhook(
  workspace: Workspace,
  { address }: Cluster,
  registryUrl: string,
): Promise<Webhook> {
  const [port = 0, metricsPort = 0] = await freePorts(2, address)
  const main = buildBerth(workspace)
  const out = join(workspace.directory, 'berth-certs')
  const url = `https://${address}:${port}`
  execFileSync(process.execPath, [main, 'certs', '--out', out, '--url', url], { stdio: 'ignore' })
  const files = { ...workspace, cert: join(out, 'tls.crt'), key: join(out, 'tls.key') }
  const configFile = writeConfig(workspace, registryUrl)
  const serve = serveProgram(files, { main, configFile, port, metricsPort, host: address })
  const started = startAnywhere(serve)
  const ready = `http://${address}:${metricsPort}/readyz`
  await waitFor('Berth', async () => (await fetch(ready)).ok, {
    stopReason: () => started.end() ?? undefined,
  })
  return { started, manifest: readFileSync(join(out, 'mutating-webhook.yaml'), 'utf8') }
}

export interface BareWebhook {
  readonly namespace: string
  readonly change: FixedChange
}

/** The webhook configuration of a bare server, for one namespace. */
export async function startBareWebhook(
  { cert, key, ca }: Workspace,
  { address }: Cluster,
  { namespace, change }: BareWebhook,
): Promise<Webhook> {
  const [port = 0] = await freePorts(1, address)
  const script = fileURLToPath(new URL('../servers/bare-node.ts', import.meta.url))
  const started = startAnywhere({
    command: process.execPath,
    args: [script, `${port}`, cert, key, change, address],
  })
  const manifest = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: { name: namespace },
    webhooks: [
      {
        name: `${namespace}.example.com`,
        clientConfig: {
          url: `https://${address}:${port}/mutate`,
          caBundle: readFileSync(ca).toString('base64'),
        },
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        failurePolicy: 'Fail',
        rules: [
          { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] },
        ],
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
      },
    ],
  }
  return { started, manifest: JSON.stringify(manifest) }
}

export async function applyTo(cluster: Cluster, manifest: string): Promise<void> {
  const { code, stderr } = await kubectlOn(cluster, ['apply', '-f', '-'], { input: manifest })
  if (code !== 0) throw new Error(`kubectl apply: ${stderr}`)
}
