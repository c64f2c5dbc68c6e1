/** The manifests of deploy/ as objects, rendered by kustomize or by Helm. */
import { join, relative } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { kubernetesVersion } from './go-programs.ts'
import { helmOk } from './helm.ts'
import { type KubeObject, kubectlOk } from './kubectl.ts'
import { repository } from './paths.ts'

/** The directory of the Helm chart. */
export const chart = join(repository, 'deploy/chart')

/** Without a cluster, Helm assumes the version of Kubernetes that it was built for. */
const kubeVersion = ['--kube-version', kubernetesVersion]

/** Renders a kustomization. */
export async function renderKustomize(directory: string): Promise<KubeObject[]> {
  return parseObjects(await kubectlOk(['kustomize', directory]))
}

/** Renders the chart with values such as `webhook.replicas=3`, and with a values file. */
export async function renderChart(
  values: readonly string[] = [],
  file?: string,
): Promise<KubeObject[]> {
  const args = ['template', 'berth', chart, '-n', 'berth-system', ...kubeVersion, ...sets(values)]
  return parseObjects(await helmOk(file === undefined ? args : [...args, '-f', file]))
}

/** Lints the chart with these values; throws with Helm's output if it finds a problem. */
export function lintChart(values: readonly string[] = []): Promise<string> {
  return helmOk(['lint', '--strict', chart, ...kubeVersion, ...sets(values)])
}

/** Returns the lines of a kustomization in `directory` of deploy/base with components. */
export function componentLines(directory: string, components: readonly string[]): string {
  const from = (path: string) => relative(directory, join(repository, 'deploy', path))
  return [
    `resources: ['${from('base')}']`,
    `components: [${components.map((name) => `'${from(`components/${name}`)}'`).join(', ')}]`,
  ].join('\n')
}

function sets(values: readonly string[]): string[] {
  return values.flatMap((value) => ['--set', value])
}

/** Returns the objects of YAML documents. */
export function parseObjects(text: string): KubeObject[] {
  return parseAllDocuments(text).flatMap((document) => {
    const value = document.toJS() as KubeObject | null
    return value === null ? [] : [value]
  })
}
