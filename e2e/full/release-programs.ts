/** Programs that check a release: cosign, krew, and the oldest Node.js that Berth supports. */
import { join } from 'node:path'
import { architectures } from '../../deploy/image/architecture.ts'
import { debianLibraries } from '../../deploy/image/debian-libraries.ts'
import { nodeProgram } from '../../deploy/image/node-program.ts'
import { buildOnce } from '../harness/cached-build.ts'
import { runOk } from '../harness/command.ts'
import { buildPublishedProgram } from '../harness/go-programs.ts'
import { cacheDirectory, repository } from '../harness/paths.ts'

export const cosignVersion = 'v3.1.3'
export const krewVersion = 'v0.4.3'
/** The version under `engines` in package.json. */
export const oldestNode = '22.19.0'

export type ReleasePrograms = { cosign: string; krew: string; validateKrew: string; node: string }

/** Builds and downloads the programs once and returns their paths. Building cosign takes ten minutes on two cores. */
export async function releasePrograms(): Promise<ReleasePrograms> {
  return {
    cosign: await buildPublishedProgram('github.com/sigstore/cosign/v3/cmd/cosign', cosignVersion),
    krew: await buildPublishedProgram('sigs.k8s.io/krew/cmd/krew', krewVersion),
    validateKrew: await buildPublishedProgram(
      'sigs.k8s.io/krew/cmd/validate-krew-manifest',
      krewVersion,
    ),
    node: await installOldestNode(),
  }
}

/** Downloads what `npm run release` keeps, so that it needs no network afterwards. */
export function downloadMaterials(): void {
  for (const architecture of architectures) {
    nodeProgram(repository, architecture)
    debianLibraries(repository, architecture)
  }
}

async function installOldestNode(): Promise<string> {
  const name = `node-linux-${process.arch}`
  const directory = join(cacheDirectory(), `${name}-${oldestNode}`)
  await buildOnce(directory, `installing Node.js ${oldestNode}`, async (partial) => {
    const flags = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund']
    await runOk('npm', ['install', '--prefix', partial, ...flags, `${name}@${oldestNode}`])
  })
  return join(directory, 'node_modules', name, 'bin/node')
}
