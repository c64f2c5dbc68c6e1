/** Berth as people install it: an image of its own in a registry, and the manifests of deploy/ applied to the cluster. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { currentCluster } from './cluster.ts'
import { must } from './command.ts'
import { kubectl, kubectlOk } from './kubectl.ts'
import { setNodeHost } from './node-hosts.ts'
import { startRegistry, type Registry } from './registry.ts'

export const repository = fileURLToPath(new URL('../../', import.meta.url))

export const namespace = 'berth-system'

/** The name that the manifests give the image: it is nobody's, so that nobody else's image can be meant. */
const imageHost = 'berth.invalid'

export type ImageRegistry = Registry & { digest: string }

/** Builds the image and puts it where the node finds it under the manifests' own name. */
export async function publishImage(version: string): Promise<ImageRegistry> {
  const cluster = currentCluster()
  const registry = await startRegistry(cluster, { name: 'berth-image' })
  const to = ['--push', `${registry.host}/berth:${version}`, '--plain-http']
  const out = ['--out', join(cluster.runDir, 'image')]
  const build = join(repository, 'deploy/image/build.ts')
  const digest = (await must(process.execPath, [build, ...out, ...to])).trim()
  setNodeHost(cluster, imageHost, [registry.url])
  return { ...registry, digest }
}

/** A kustomization of a test's own: what somebody writes who installs Berth, with a table and perhaps patches. */
export function writeOverlay(
  name: string,
  { base, files, extra = '' }: { base: string; files: Record<string, string>; extra?: string },
): string {
  const directory = join(currentCluster().runDir, `overlay-${name}`)
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  for (const [file, content] of Object.entries(files)) writeFileSync(join(directory, file), content)
  const generated = Object.keys(files).map((file) => {
    const map = file === 'mirrors' ? 'berth-mirrors' : 'berth-config'
    return `  - { name: ${map}, namespace: ${namespace}, behavior: replace, files: [${file}] }`
  })
  writeFileSync(
    join(directory, 'kustomization.yaml'),
    [
      'sortOptions: { order: fifo }',
      `resources: ['${relative(directory, join(repository, base))}']`,
      'generatorOptions: { disableNameSuffixHash: true }',
      'configMapGenerator:',
      ...generated,
      extra,
    ].join('\n'),
  )
  return directory
}

/** Applies a kustomization; returns what kubectl said on standard error, where it prints warnings. */
export async function applyKustomization(directory: string): Promise<string> {
  const { code, stdout, stderr } = await kubectl(['apply', '-k', directory])
  if (code !== 0) throw new Error(`kubectl apply -k ${directory}: ${stderr || stdout}`)
  return stderr
}

/** Makes a certificate by `berth certs`, as somebody does who has one made elsewhere: the Secret first, the CA at the end. */
export async function giveCertificate(): Promise<void> {
  const out = join(currentCluster().runDir, 'install-certs')
  const berth = join(repository, 'src/main.ts')
  await must(process.execPath, [berth, 'certs', '--out', out, '--force', '-n', namespace])
  await kubectlOk(['apply', '-f', join(out, 'secret.yaml')])
  await kubectlOk(['apply', '-f', join(out, 'mutating-webhook.yaml')])
}

/** Waits until every replica is of the newest template and ready. */
export async function rolledOut(deployment = 'berth-webhook'): Promise<void> {
  const status = ['rollout', 'status', `deployment/${deployment}`, '-n', namespace]
  const { code, stdout, stderr } = await kubectl([...status, '--timeout=90s'])
  if (code === 0) return
  const pods = await kubectlOk(['describe', 'pods', '-n', namespace])
  const logs = await kubectl(['logs', '-n', namespace, `deployment/${deployment}`, '--tail=20'])
  throw new Error([stdout, stderr, pods, logs.stdout, logs.stderr].join('\n'))
}
