/**
 * Builds and installs everything that scenarios need, before the first one starts: no test or hook builds within its time
 * limit. Run as a program (`npm run e2e:prepare`), it prepares for all scenarios.
 */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { publishBerthImage } from './berth-image.ts'
import type { Cluster } from './cluster.ts'
import { chooseProvider } from './cluster-provider.ts'
import { crdFiles } from './crd-modules.ts'
import { ensureDebianPackages } from './debian-packages.ts'
import { buildContainerd, newestContainerd } from './containerd-program.ts'
import { buildHelm, buildKubernetes, buildKustomize, buildPause } from './go-programs.ts'
import { buildKubeconform } from './kubeconform.ts'
import { buildKubeScore } from './kube-score.ts'
import { installMoto } from './moto.ts'
import { unpackNginx } from './nginx.ts'
import { repository } from './paths.ts'
import { installPrometheus } from './prometheus.ts'
import { unpackTinyproxy } from './tinyproxy.ts'

const harness = join(repository, 'e2e/harness/')

type Steps = Record<string, () => Promise<unknown>>

/** What has to be downloaded before a harness module is used. */
const downloads: Steps = {
  'crd-modules.ts': crdFiles,
  'moto.ts': installMoto,
  'nginx.ts': unpackNginx,
  'prometheus.ts': installPrometheus,
  'tinyproxy.ts': unpackTinyproxy,
}

/** What has to be compiled before a harness module is used. */
const builds: Steps = {
  'containerd-program.ts': () => buildContainerd(newestContainerd),
  'helm.ts': buildHelm,
  'kube-score.ts': buildKubeScore,
  'kubeconform.ts': buildKubeconform,
  'kustomize.ts': buildKustomize,
}

const allModules = [...Object.keys(downloads), ...Object.keys(builds)]

/** Prepares the cluster and what these harness modules use. Downloads run while Go compiles. */
export async function prepare(modules: readonly string[] = allModules): Promise<void> {
  const provider = await chooseProvider()
  const runSteps = async (steps: Steps) => {
    for (const [module, step] of Object.entries(steps)) if (modules.includes(module)) await step()
  }
  await Promise.all([
    ensureDebianPackages(provider).then(() => runSteps(downloads)),
    buildClusterPrograms(provider).then(() => runSteps(builds)),
  ])
}

/** Prepares what needs the running cluster. */
export async function prepareInCluster(
  cluster: Cluster,
  modules: readonly string[],
): Promise<void> {
  const isImageUsed = ['install.ts', 'berth-image.ts'].some((module) => modules.includes(module))
  if (isImageUsed) await publishBerthImage(cluster)
}

/** Returns the names of the harness modules that scenario files import, directly or through other harness modules. */
export function harnessModulesOf(scenarioFiles: readonly string[]): string[] {
  const seen = new Set<string>()
  const addImportsOf = (file: string) => {
    for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(/ from '(\.[^']+)'/g)) {
      const imported = resolve(dirname(file), path)
      if (seen.has(imported) || !imported.startsWith(harness) || !existsSync(imported)) continue
      seen.add(imported)
      addImportsOf(imported)
    }
  }
  scenarioFiles.forEach(addImportsOf)
  return [...seen].map((file) => file.slice(harness.length))
}

async function buildClusterPrograms(provider: Cluster['provider']): Promise<void> {
  if (provider === 'local') await buildKubernetes()
  await buildPause()
}

if (import.meta.main) await prepare()
