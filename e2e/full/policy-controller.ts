/** Runs sigstore policy-controller as a process on this machine, with its own manifests. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { currentCluster } from '../harness/cluster.ts'
import { apply, kubectl, kubectlOk } from '../harness/kubectl.ts'
import { exitReason, startProcess, stopProcess } from '../harness/processes.ts'
import { waitFor } from '../harness/wait.ts'
import { buildModuleProgram, type GoModule, moduleSources } from './go-module.ts'
import type { PolicyEngine } from './policy-engine.ts'

export const policyControllerModule: GoModule = {
  path: 'github.com/sigstore/policy-controller',
  version: 'v0.13.1',
}
const namespace = 'cosign-system'

/** The port that it listens on. The API server calls its Service there. */
const port = 8443

/** The manifests of the module that need no image. */
const manifests = [
  '100-namespace',
  '300-clusterimagepolicy',
  '300-trustroot',
  '500-webhook-configuration',
  '501-policy-webhook-configurations',
  'config-image-policies',
  'config-leader-election',
  'config-logging',
  'config-observability',
  'config-sigstore-keys',
]

/** Starts policy-controller with `no-match-policy: allow`, so that it admits images that no policy covers. */
export async function startPolicyController(): Promise<PolicyEngine> {
  const program = await buildModuleProgram(policyControllerModule, './cmd/webhook')
  const sources = await moduleSources(policyControllerModule)
  const { runDir, kubeconfig, podAddress } = currentCluster()
  for (const name of manifests)
    await apply(readFileSync(join(sources, 'config', `${name}.yaml`), 'utf8'))
  await apply([
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'config-policy-controller', namespace },
      data: { 'no-match-policy': 'allow' },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'webhook', namespace },
      spec: { ports: [{ name: 'https', port: 443, targetPort: port }] },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: 'webhook-1',
        namespace,
        labels: { 'kubernetes.io/service-name': 'webhook' },
      },
      addressType: 'IPv4',
      ports: [{ name: 'https', port }],
      endpoints: [{ addresses: [podAddress] }],
    },
  ])
  const record = await startProcess(runDir, {
    name: 'policy-controller',
    command: program,
    args: ['--disable-tuf'],
    env: {
      KUBECONFIG: kubeconfig,
      SYSTEM_NAMESPACE: namespace,
      CONFIG_LOGGING_NAME: 'config-logging',
      METRICS_DOMAIN: 'sigstore.dev/policy',
      WEBHOOK_NAME: 'webhook',
      KUBERNETES_MIN_VERSION: '1.21.0',
    },
  })
  const stopReason = exitReason(runDir, record)
  return {
    name: 'policy-controller',
    namespaceLabels: { 'policy.sigstore.dev/include': 'true' },
    policy: policyFor,
    applyPolicy: async (text) => {
      await waitFor(
        'policy-controller to accept the policy',
        async () => {
          await apply(text)
          return true
        },
        { stopReason },
      )
    },
    stop: async () => {
      await kubectlOk(['delete', 'clusterimagepolicies', '--all'])
      for (const kind of ['mutatingwebhookconfiguration', 'validatingwebhookconfiguration'])
        for (const name of [
          'policy.sigstore.dev',
          'defaulting.clusterimagepolicy.sigstore.dev',
          'validating.clusterimagepolicy.sigstore.dev',
        ])
          await kubectl(['delete', kind, name, '--ignore-not-found'])
      await stopProcess(runDir, record)
      await kubectlOk(['delete', 'namespace', namespace, '--wait=false', '--ignore-not-found'])
    },
  }
}

function policyFor(repositories: readonly string[], publicKeyPem: string): object {
  return {
    apiVersion: 'policy.sigstore.dev/v1beta1',
    kind: 'ClusterImagePolicy',
    metadata: { name: 'signed' },
    spec: {
      images: repositories.map((repository) => ({ glob: `${repository}/**` })),
      authorities: [{ key: { data: publicKeyPem, hashAlgorithm: 'sha256' } }],
    },
  }
}
