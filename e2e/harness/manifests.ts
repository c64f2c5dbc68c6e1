/** What deploy/ renders to, as objects that can be compared: by kustomize, and by Helm. */
import { join, relative } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { helmOk } from './helm.ts'
import { repository } from './install.ts'
import { type KubeObject, kubectlOk } from './kubectl.ts'

export const chart = join(repository, 'deploy/chart')

/** The Helm of the tests does not know which Kubernetes it is for when it has no cluster to ask. */
const kubeVersion = ['--kube-version', 'v1.36.3']

export async function renderKustomize(directory: string): Promise<KubeObject[]> {
  return documents(await kubectlOk(['kustomize', directory]))
}

export async function renderChart(settings: readonly string[] = []): Promise<KubeObject[]> {
  const sets = settings.flatMap((each) => ['--set', each])
  const args = ['template', 'berth', chart, '-n', 'berth-system', ...kubeVersion, ...sets]
  return documents(await helmOk(args))
}

export function lintChart(settings: readonly string[] = []): Promise<string> {
  const sets = settings.flatMap((each) => ['--set', each])
  return helmOk(['lint', '--strict', chart, ...kubeVersion, ...sets])
}

/** A kustomization of deploy/base with components, for what has no overlay of its own. */
export function withComponents(directory: string, components: readonly string[]): string {
  const from = (path: string) => relative(directory, join(repository, 'deploy', path))
  return [
    `resources: ['${from('base')}']`,
    `components: [${components.map((name) => `'${from(`components/${name}`)}'`).join(', ')}]`,
  ].join('\n')
}

function documents(text: string): KubeObject[] {
  return parseAllDocuments(text).flatMap((document) => {
    const value = document.toJS() as KubeObject | null
    return value === null ? [] : [value]
  })
}
