import { globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { runBerth } from '../harness/berth-cli.ts'
import { currentCluster } from '../harness/cluster.ts'
import { crdFiles } from '../harness/crd-modules.ts'
import { scoreFindings, type ScoreFinding } from '../harness/kube-score.ts'
import { kubeconformProblems, writeSchemas } from '../harness/kubeconform.ts'
import { kubectlOk, type KubeObject } from '../harness/kubectl.ts'
import { componentLines, parseObjects, renderChart, renderKustomize } from '../harness/manifests.ts'
import { repository } from '../harness/paths.ts'
import { waitFor } from '../harness/wait.ts'

/** Everything that deploy/ and `berth install` render, checked by kubeconform and kube-score. */
const { runDir } = currentCluster()
let rendered: Readonly<Record<string, readonly KubeObject[]>>

const everyValue = [
  'certificate.provider=cert-manager',
  'monitoring.enabled=true',
  'autoscaling.enabled=true',
  'pullSecretWarnings.enabled=true',
  'sameDigest.enabled=true',
  'ensurePullSecrets.enabled=true',
  'proxy.secret=berth-proxy',
  'caBundle=-----BEGIN CERTIFICATE-----',
  'controller.ecrSecrets={ecr-pull}',
  ...[
    'mirror',
    'pullFailures',
    'leaveConflicts',
    'stuckPods',
    'unprocessedPods',
    'availability',
  ].map((name) => `controller.${name}=true`),
  'controller.reports=true',
  'controller.console.enabled=true',
]

async function renderAll(): Promise<Record<string, readonly KubeObject[]>> {
  const all: Record<string, readonly KubeObject[]> = {
    'the chart': await renderChart(),
    'the chart with every value': await renderChart(everyValue),
    'berth install': parseObjects(await installOutput()),
  }
  for (const overlay of readdirSync(`${repository}deploy/overlays`))
    all[`overlays/${overlay}`] = await renderKustomize(`${repository}deploy/overlays/${overlay}`)
  for (const component of readdirSync(`${repository}deploy/components`)) {
    const directory = join(runDir, `checked-${component}`)
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, 'kustomization.yaml'), componentLines(directory, [component]))
    all[`components/${component}`] = await renderKustomize(directory)
  }
  for (const file of globSync('deploy/{examples,rbac}/*.yaml', { cwd: repository }))
    all[file] = parseObjects(readFileSync(join(repository, file), 'utf8'))
  return all
}

async function installOutput(): Promise<string> {
  const config = join(runDir, 'checked-install.yaml')
  writeFileSync(config, 'apiVersion: berth.dev/v1alpha1\nkind: BerthConfig\n')
  const args = ['install', '--config', config, '--image', 'm.corp/berth:1']
  const { code, stdout, stderr } = await runBerth(args)
  if (code !== 0) throw new Error(stderr)
  return stdout
}

beforeAll(async () => {
  for (const file of await crdFiles()) await kubectlOk(['apply', '--server-side', '-f', file])
  await kubectlOk(['wait', '--for=condition=Established', 'crd', '--all'])
  rendered = await renderAll()
})

test('kubeconform accepts every object, with the schemas of the API server', async () => {
  const directory = join(runDir, 'schemas')
  // The API server publishes the schema of a new kind a moment later.
  const schemas = await waitFor('the schemas of custom resources', async () => {
    const location = await writeSchemas(directory)
    const names = readdirSync(directory)
    const needed = ['certificate-cert-manager-v1.json', 'servicemonitor-monitoring-v1.json']
    return needed.every((name) => names.includes(name)) && location
  })
  const problems: string[] = []
  for (const [name, objects] of Object.entries(rendered))
    for (const problem of await kubeconformProblems(objects, schemas))
      problems.push(`${name}: ${problem}`)

  expect(Object.values(rendered).flat().length).toBeGreaterThan(500)
  expect(problems).toEqual([])
})

test('kubeconform finds an unknown member and an unknown kind', async () => {
  const location = await writeSchemas(join(runDir, 'schemas'))
  const spec = { containers: [{ name: 'a', imag: 'b' }] }
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec }
  const unknown = { apiVersion: 'example.com/v1', kind: 'Boat', metadata: { name: 'b' } }

  expect((await kubeconformProblems([pod, unknown], location)).sort()).toEqual([
    'Boat/b: could not find schema for Boat',
    expect.stringContaining("additional properties 'imag' not allowed"),
  ])
})

/** Why Berth does not follow a check of kube-score; for all objects, or for those that are named. */
const exceptions: Readonly<Record<string, { reason: string; objects?: readonly string[] }>> = {
  'container-ephemeral-storage-request-and-limit': {
    reason:
      'The file systems are read-only. A limit would count the log, whose size the kubelet limits, and evict the webhook.',
  },
  'container-image-pull-policy': {
    reason: 'The tag of a release does not move. Always needs the registry for each restart.',
  },
  'container-security-context-user-group-id': {
    reason: 'The image has user 65532, and runAsNonRoot is set. OpenShift assigns another user.',
  },
  'deployment-replicas': {
    reason: 'Only the leader works. Another replica would save a few seconds after a failure.',
    objects: ['Deployment/berth-controller'],
  },
  'pod-networkpolicy': {
    reason: 'The pods run for a moment and accept no connections.',
    objects: ['Pod/berth-test', 'CronJob/berth-mirror'],
  },
  'pod-probes': {
    reason: 'No Service leads to the controller, so nothing would read its readiness.',
    objects: ['Deployment/berth-controller'],
  },
}

test('kube-score finds nothing without a known reason, and every reason is needed', async () => {
  const findings: ScoreFinding[] = []
  for (const objects of Object.values(rendered)) findings.push(...(await scoreFindings(objects)))
  const isExpected = ({ check, object }: ScoreFinding) =>
    exceptions[check] !== undefined && (exceptions[check].objects ?? [object]).includes(object)

  expect(findings.filter((finding) => !isExpected(finding))).toEqual([])
  expect([...new Set(findings.map(({ check }) => check))].sort()).toEqual(
    Object.keys(exceptions).sort(),
  )
})
