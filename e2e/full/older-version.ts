/** Berth 0.1.0, from the history of this repository: its manifests, and its image, built by its own tools. */
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Cluster } from '../harness/cluster.ts'
import { run, runOk } from '../harness/command.ts'
import { logStep } from '../harness/log.ts'
import { removeNodeHost, setNodeHost } from '../harness/node-hosts.ts'
import { repository } from '../harness/paths.ts'
import { type Registry, startRegistry } from '../harness/registry.ts'

export const olderVersion = '0.1.0'

/** 0.1.0 has no tag, because it was not published. The changelog names the same commit. */
const commit = '65fec8b'

/** The host in the name of the older image; the manifests of both versions have the same. */
const host = 'older.berth.invalid'

export type OlderBerth = {
  /** The directory of its sources. */
  checkout: string
  /** The repository of its image; the tag is the version. */
  image: string
  stop(): Promise<void>
}

/** Builds and publishes the older version, so that the node can pull it. The packages in its image are those of today. */
export async function publishOlderBerth(cluster: Cluster): Promise<OlderBerth> {
  const { code } = await run('git', ['-C', repository, 'cat-file', '-e', `${commit}^{commit}`])
  if (code !== 0)
    throw new Error(
      `the history lacks ${commit}, which is Berth ${olderVersion}; run git fetch --unshallow`,
    )
  const checkout = join(cluster.runDir, `berth-${olderVersion}`)
  const archive = `${checkout}.tar`
  mkdirSync(checkout, { recursive: true })
  await runOk('git', ['-C', repository, 'archive', '--output', archive, commit])
  await runOk('tar', ['-xf', archive, '-C', checkout])
  symlinkSync(join(repository, 'node_modules'), join(checkout, 'node_modules'))
  const registry: Registry = await startRegistry(cluster, { name: 'older-berth' })
  await logStep(`building the image of Berth ${olderVersion}`, () =>
    runOk(process.execPath, [
      join(checkout, 'deploy/image/build.ts'),
      '--out',
      join(cluster.runDir, 'older-image'),
      '--push',
      `${registry.host}/berth:${olderVersion}`,
      '--plain-http',
    ]),
  )
  setNodeHost(cluster, host, [registry.url])
  return {
    checkout,
    image: `${host}/berth`,
    stop: async () => {
      removeNodeHost(cluster, host)
      await registry.stop()
    },
  }
}
