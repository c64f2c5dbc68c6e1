/** Runs Kyverno's admission controller as a process on this machine, with its own custom resource definitions. */
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { currentCluster } from '../harness/cluster.ts'
import { apply, kubectl, kubectlOk } from '../harness/kubectl.ts'
import { freePort } from '../harness/ports.ts'
import { exitReason, startProcess, stopProcess } from '../harness/processes.ts'
import { waitFor } from '../harness/wait.ts'
import { buildModuleProgram, type GoModule, moduleSources } from './go-module.ts'
import type { PolicyEngine } from './policy-engine.ts'

export const kyvernoModule: GoModule = { path: 'github.com/kyverno/kyverno', version: 'v1.19.1' }
const namespace = 'kyverno'

type PolicyKind = {
  /** The plural that kubectl understands. */
  resource: string
  policy: PolicyEngine['policy']
}

/** Starts Kyverno, for policies of the kind ClusterPolicy. */
export const startKyvernoForClusterPolicies = () =>
  startKyverno({ resource: 'clusterpolicies.kyverno.io', policy: clusterPolicy })

/** Starts Kyverno, for policies of the kind ImageValidatingPolicy. */
export const startKyvernoForImageValidatingPolicies = () =>
  startKyverno({
    resource: 'imagevalidatingpolicies.policies.kyverno.io',
    policy: imageValidatingPolicy,
  })

async function startKyverno({ resource, policy }: PolicyKind): Promise<PolicyEngine> {
  const program = await buildModuleProgram(kyvernoModule, './cmd/kyverno')
  const { runDir, kubeconfig, address } = currentCluster()
  await applyDefinitions()
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  const port = await freePort(address)
  const record = await startProcess(runDir, {
    name: 'kyverno',
    command: program,
    args: [
      `--kubeconfig=${kubeconfig}`,
      // With an address, Kyverno registers its webhooks by URL instead of a Service.
      `--serverIP=${address}:${port}`,
      `--webhookServerHost=${address}`,
      `--webhookServerPort=${port}`,
      '--caSecretName=kyverno-ca',
      '--tlsSecretName=kyverno-tls',
      '--controllerRuntimeMetricsAddress=0',
      '--disableMetrics',
      '--admissionReports=false',
      '--allowInsecureRegistry',
      '--loggingFormat=json',
    ],
    env: {
      KYVERNO_NAMESPACE: namespace,
      KYVERNO_SERVICEACCOUNT_NAME: 'kyverno',
      KYVERNO_DEPLOYMENT: 'kyverno',
      KYVERNO_POD_NAME: 'kyverno',
      INIT_CONFIG: 'kyverno',
      METRICS_CONFIG: 'kyverno-metrics',
    },
  })
  const options = { stopReason: exitReason(runDir, record) }
  // Without its webhook for policies, the API server would accept policies that Kyverno rejects.
  await waitFor('the webhooks of Kyverno', async () => (await webhooks()).length >= 2, options)
  return {
    name: 'kyverno',
    namespaceLabels: {},
    policy,
    applyPolicy: async (text) => {
      // Kyverno's webhook for policies answers some seconds after its registration.
      await waitFor('Kyverno to accept the policy', async () => (await apply(text)) !== '', options)
    },
    stop: async () => {
      await kubectlOk(['delete', resource, '--all'])
      await stopProcess(runDir, record)
      for (const name of await webhooks()) await kubectlOk(['delete', name])
      await kubectlOk(['delete', 'namespace', namespace, '--wait=false'])
    },
  }
}

/** Applies the definitions on the server, because some are too large for kubectl's annotation. */
async function applyDefinitions(): Promise<void> {
  const directory = join(await moduleSources(kyvernoModule), 'config/crds')
  const files = globSync('*/*.yaml', { cwd: directory }).flatMap((file) => [
    '-f',
    join(directory, file),
  ])
  await kubectlOk(['apply', '--server-side', ...files])
  await kubectlOk(['wait', '--for=condition=Established', '--timeout=60s', ...files])
}

/** Returns the names of Kyverno's webhook configurations, each with its kind. */
async function webhooks(): Promise<string[]> {
  const kinds = 'mutatingwebhookconfigurations,validatingwebhookconfigurations'
  const labels = ['-l', 'webhook.kyverno.io/managed-by=kyverno']
  const { stdout } = await kubectl(['get', kinds, '-o', 'name', ...labels])
  return stdout.split('\n').filter((name) => name !== '')
}

function clusterPolicy(repositories: readonly string[], publicKeyPem: string): object {
  const keys = {
    publicKeys: publicKeyPem,
    rekor: { ignoreTlog: true },
    ctlog: { ignoreSCT: true },
  }
  return {
    apiVersion: 'kyverno.io/v1',
    kind: 'ClusterPolicy',
    metadata: { name: 'signed' },
    spec: {
      background: false,
      rules: [
        {
          name: 'signed',
          match: { any: [{ resources: { kinds: ['Pod'] } }] },
          verifyImages: [
            {
              imageReferences: repositories.map((repository) => `${repository}/*`),
              failureAction: 'Enforce',
              attestors: [{ entries: [{ keys }] }],
            },
          ],
        },
      ],
    },
  }
}

function imageValidatingPolicy(repositories: readonly string[], publicKeyPem: string): object {
  const pods = { apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }
  return {
    apiVersion: 'policies.kyverno.io/v1',
    kind: 'ImageValidatingPolicy',
    metadata: { name: 'signed' },
    spec: {
      validationActions: ['Deny'],
      matchConstraints: { resourceRules: [{ ...pods, operations: ['CREATE', 'UPDATE'] }] },
      matchImageReferences: repositories.map((repository) => ({ glob: `${repository}/**` })),
      attestors: [
        {
          name: 'ours',
          cosign: {
            key: { data: publicKeyPem },
            ctlog: { insecureIgnoreTlog: true, insecureIgnoreSCT: true },
          },
        },
      ],
      validations: [
        {
          expression:
            'images.containers.map(image, verifyImageSignatures(image, [attestors.ours])).all(count, count > 0)',
          message: 'the image is not signed',
        },
      ],
    },
  }
}
