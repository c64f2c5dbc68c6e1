/** The image of Berth, built once for a run and served under the name that the manifests of deploy/ use. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Cluster, currentCluster } from './cluster.ts'
import { runOk } from './command.ts'
import { logStep } from './log.ts'
import { setNodeHost } from './node-hosts.ts'
import { repository } from './paths.ts'
import { startRegistry } from './registry.ts'

/** The registry in the manifests of deploy/. It is a reserved name, so that no real image can be meant. */
const imageHost = 'berth.invalid'

const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
  version: string
}

/** The name of the image in those manifests. */
export const berthImage: string = `${imageHost}/berth:${version}`

/** Builds the image, pushes it to a registry, and leads the node there. The registry stops with the cluster. */
export async function publishBerthImage(cluster: Cluster): Promise<void> {
  await logStep('building the image of Berth', async () => {
    const registry = await startRegistry(cluster, { name: 'berth-image' })
    const digest = await runOk(process.execPath, [
      join(repository, 'deploy/image/build.ts'),
      '--out',
      join(cluster.runDir, 'image'),
      '--push',
      `${registry.host}/berth:${version}`,
      '--plain-http',
    ])
    setNodeHost(cluster, imageHost, [registry.url])
    writeFileSync(digestFile(cluster), digest.trim())
  })
}

/** Returns the digest of the image that the node gets under the manifests' name. */
export function berthImageDigest(): string {
  return readFileSync(digestFile(currentCluster()), 'utf8')
}

function digestFile({ runDir }: Cluster): string {
  return join(runDir, 'berth-image-digest')
}
