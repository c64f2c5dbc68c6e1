/** The rights that `berth secrets rbac` prints for a config. */
import { parseAllDocuments } from 'yaml'
import { runBerth } from './berth-cli.ts'
import { apply, type KubeObject } from './kubectl.ts'

/** Returns the objects that `berth secrets rbac` prints for a config file and the namespace of Berth. */
export async function renderSecretsRbac(
  configFile: string,
  namespace: string,
  options: readonly string[] = [],
): Promise<KubeObject[]> {
  const args = ['secrets', 'rbac', '--config', configFile, '-n', namespace, ...options]
  const { stdout } = await runBerth(args)
  return parseAllDocuments(stdout).map((document) => document.toJS() as KubeObject)
}

/** Applies the objects that `berth secrets rbac` prints. */
export async function applySecretsRbac(configFile: string, namespace: string): Promise<void> {
  await apply(await renderSecretsRbac(configFile, namespace))
}
