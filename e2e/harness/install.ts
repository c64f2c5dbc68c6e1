/** Berth as people install it: an image of its own in a registry, and the manifests of deploy/ applied to the cluster. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { currentCluster } from './cluster.ts'
import { runOk } from './command.ts'
import { kubectl, kubectlOk } from './kubectl.ts'
import { setNodeHost } from './node-hosts.ts'
import { startRegistry, type Registry } from './registry.ts'

export const repository = fileURLToPath(new URL('../../', import.meta.url))

export const namespace = 'berth-system'

/** The name that the manifests give the image: it is nobody's, so that nobody else's image can be meant. */
const imageHost = 'berth.invalid'

export type ImageRegistry = Registry & { digest: string }

/** Builds the image and puts it where the node finds it under the manifests' own name. */
export async function publishBerthImage(version: string): Promise<ImageRegistry> {
  const cluster = currentCluster()
  const registry = await startRegistry(cluster, { name: 'berth-image' })
  const to = ['--push', `${registry.host}/berth:${version}`, '--plain-http']
  const out = ['--out', join(cluster.runDir, 'image')]
  const build = join(repository, 'deploy/image/build.ts')
  const digest = (await runOk(process.execPath, [build, ...out, ...to])).trim()
  setNodeHost(cluster, imageHost, [registry.url])
  return { ...registry, digest }
}

type OverlaySettings = {
  base: string
  files: Record<string, string>
  components?: readonly string[]
  extra?: string
}

/** A kustomization of a test's own: what somebody writes who installs Berth, with a table and perhaps patches. */
export function writeOverlay(
  name: string,
  { base, files, components = [], extra = '' }: OverlaySettings,
): string {
  const directory = join(currentCluster().runDir, `overlay-${name}`)
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  for (const [file, content] of Object.entries(files)) writeFileSync(join(directory, file), content)
  const from = (path: string) => relative(directory, join(repository, path))
  const generated = Object.keys(files).map(
    (file) =>
      `  - { name: berth-config, namespace: ${namespace}, behavior: replace, files: [${file}] }`,
  )
  writeFileSync(
    join(directory, 'kustomization.yaml'),
    [
      'sortOptions: { order: fifo }',
      `resources: ['${from(base)}']`,
      `components: ${JSON.stringify(components.map((each) => from(`deploy/components/${each}`)))}`,
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
  // kubectl sets its own flag for the order, and warns that the kustomization sets it as well.
  return stderr.replace(/.*Sorting order is set both.*\n\n?/, '')
}

/** A certificate by `berth certs` for Berth in this namespace, as a Secret; returns the CA as a caBundle. The namespace has to be there. */
export async function createServingCertificate(inNamespace = namespace): Promise<string> {
  const out = join(currentCluster().runDir, `certs-${inNamespace}`)
  const berth = join(repository, 'src/main.ts')
  await runOk(process.execPath, [berth, 'certs', '--out', out, '--force', '-n', inNamespace])
  await kubectlOk(['apply', '-f', join(out, 'secret.yaml')])
  return readFileSync(join(out, 'ca.crt')).toString('base64')
}

/** Tells the API server whose certificate to expect, by a patch: what is applied later has no caBundle, and leaves it. */
export async function setCaBundle(caBundle: string): Promise<void> {
  const patch = [0, 1].map((index) => ({
    op: 'add',
    path: `/webhooks/${index}/clientConfig/caBundle`,
    value: caBundle,
  }))
  const args = ['patch', 'mutatingwebhookconfiguration', 'berth', '--type=json', '-p']
  await kubectlOk([...args, JSON.stringify(patch)])
}

/** Waits until every replica is of the newest template and ready. */
export async function waitForRollout(
  deployment = 'berth-webhook',
  inNamespace = namespace,
): Promise<void> {
  const status = ['rollout', 'status', `deployment/${deployment}`, '-n', inNamespace]
  const { code, stdout, stderr } = await kubectl([...status, '--timeout=90s'])
  if (code === 0) return
  const pods = await kubectlOk(['describe', 'pods', '-n', inNamespace])
  const logs = await kubectl(['logs', '-n', inNamespace, `deployment/${deployment}`, '--tail=20'])
  throw new Error([stdout, stderr, pods, logs.stdout, logs.stderr].join('\n'))
}

/** The addresses of the pods behind a Service, and their names. */
export async function podsOfComponent(
  service: string,
  inNamespace = namespace,
): Promise<{ name: string; address: string }[]> {
  const selector = `app.kubernetes.io/name=berth,app.kubernetes.io/component=${service}`
  const { items } = JSON.parse(
    await kubectlOk(['get', 'pods', '-n', inNamespace, '-l', selector, '-o', 'json']),
  ) as { items: { metadata: { name: string }; status: { podIP: string } }[] }
  return items.map(({ metadata, status }) => ({ name: metadata.name, address: status.podIP }))
}
